// The host operations as jobs: filled in by bind.cpp, cut into slices by threads.h, computed by the table that
// dispatch.cpp picks. A slice touches nothing but its own part of the output.
#pragma once

#include "../core/heatmap_peak.h"
#include "../core/paf_score.h"
#include "../core/warp_normalize.h"

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
    float* peaks;  // [joints, capacity, 3]: x, y, score; zeros after the last
    int* counts;   // [joints]: how many there are, also beyond the capacity; -1 where the map overflowed
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

// One instruction set. Slices are of: the rows of all crops; maps; joints; joints; maps; first peaks of all limbs.
struct Table {
    const char* name;
    void (*warp_normalize)(const WarpJob&, int64_t begin, int64_t end);
    void (*heatmap_peak)(const PeakJob&, int64_t begin, int64_t end, float* scratch);  // scratch [height * width]
    void (*simcc_peak)(const SimccJob&, int64_t begin, int64_t end,
                       float* scratch);  // scratch [the larger of the bins]
    void (*regress_to_image)(const RegressJob&, int64_t begin, int64_t end);
    void (*paf_peaks)(const PafPeaksJob&, int64_t begin, int64_t end, float* scratch);  // scratch [height * width]
    void (*paf_score)(const PafScoreJob&, int64_t begin, int64_t end);
};

}  // namespace ep
