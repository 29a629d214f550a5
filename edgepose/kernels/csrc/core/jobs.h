// The arguments of each operation. bind.cpp fills them in for the host loops, and edgepose/kernels/cuda/structs.py,
// with the same bytes, for the device kernels. Pointers are host or device addresses accordingly. The name of a kernel
// determines the types, the kind of pixels and the layout, so a kernel does not read those fields.
#pragma once

#include "heatmap_peak.h"
#include "onestage_people.h"
#include "paf_score.h"
#include "warp_normalize.h"

namespace ep {

enum class Float : int { f32, f16 };

struct WarpJob {
    Frame frame;
    Pixels pixels;
    Finish finish;
    const FixedAffine* maps;  // [count], crop -> image
    int64_t count, height, width;
    Layout layout;
    Float type;
    void* out;  // [count, 3, height, width] or [count, height, width, 3]
};

struct PeakJob {
    const void* maps;       // [people, joints, height, width]
    const void* flipped;    // the same of the mirrored crops, or null
    const int* flip_order;  // [joints]
    Float type;
    int64_t people, joints;
    int height, width;
    Refine refine;
    Blur blur;
    const double* affines;  // [people, 2, 3], heatmap -> image
    float* out;             // [people, joints, 3]: x, y, score
};

struct SimccJob {
    const void *x, *y;  // [people, joints, bins]
    Float type;
    int64_t people, joints;
    int x_bins, y_bins;
    const double* affines;  // [people, 2, 3], bins -> image
    float* out;             // [people, joints, 3]
};

struct RegressJob {
    const void* coords;  // [people, joints, channels]
    Float type;
    int64_t people, joints;
    int channels;           // 2, or 3 with a score
    const double* affines;  // [people, 2, 3], coordinates -> image
    float* out;             // [people, joints, 3]
};

struct PafPeaksJob {
    const void* maps;  // [joints, height, width]
    Float type;
    int64_t joints;
    int height, width;
    float threshold;
    int capacity;
    float* peaks;  // [joints, capacity, 3]: x, y, score; zeros after the last peak
    int* counts;   // [joints]: number of peaks, including those beyond the capacity; -1 if the map overflowed
};

struct PafScoreJob {
    const void* fields;  // [count, 2, height, width]
    Float type;
    int64_t count;
    Limbs limbs;
    const float* peaks;  // [joints, capacity, 3]
    const int* counts;   // [joints]
    int capacity;
    const int* pairs;  // [count, 2] joints
    float* out;        // [count, capacity, capacity]
};

struct OnestageJob {
    const void* rows;  // [images, candidates, columns]
    Float type;
    int64_t images;
    int candidates, columns;  // columns: 5 + 3 joints
    float score_threshold;
    float iou_threshold;    // above 1: nobody is suppressed
    const double* affines;  // [images, 2, 3], canvas -> image
    int limit;
    float* out;  // [images, limit, columns]; zeros after the last person, a NaN if the network overflowed
};

// The peaks of one end of a limb: of joint pairs[end].
EP_HD Listed listed(const PafScoreJob& job, int64_t end) {
    const int joint = job.pairs[end];
    return {job.peaks + 3 * static_cast<int64_t>(joint) * job.capacity, job.counts[joint]};
}

}  // namespace ep
