// paf_score for one pair of peaks: the mean of the field along the line between them. edgepose/codecs/affinity.py is
// the definition (Cao et al. 2017, equation 10).
#pragma once

#include "half.h"
#include "platform.h"

namespace ep {

struct Limbs {
    int height, width;
    int samples, needed;  // `needed` is how many of the samples must be above `threshold`
    float threshold;
};

// Samples one component [height, width] of a field between its pixels; positions outside move to the nearest edge.
template <class T>
EP_HD float sampled(const T* component, int height, int width, float x, float y) {
    // `clamped` would keep a NaN. This turns a NaN into 0, so that the load below stays inside the map.
    const float inside_x = smaller(larger(0.0f, x), static_cast<float>(width - 1)),
                inside_y = smaller(larger(0.0f, y), static_cast<float>(height - 1));
    const int x0 = static_cast<int>(inside_x), y0 = static_cast<int>(inside_y);
    const int x1 = smaller(x0 + 1, width - 1), y1 = smaller(y0 + 1, height - 1);
    const float across = inside_x - static_cast<float>(x0), down = inside_y - static_cast<float>(y0);
    const T *above = component + static_cast<int64_t>(y0) * width,
            *below = component + static_cast<int64_t>(y1) * width;
    const float top = fma(across, load(above + x1) - load(above + x0), load(above + x0));
    const float bottom = fma(across, load(below + x1) - load(below + x0), load(below + x0));
    return fma(down, bottom - top, top);
}

// `field` is [2, height, width], x and y components. The result is NaN or infinity if the field overflowed.
template <class T>
EP_HD float limb_score(const Limbs& limbs, const T* field, float ax, float ay, float bx, float by) {
    const float dx = bx - ax, dy = by - ay, length = ::sqrtf(fma(dx, dx, dy * dy));
    if (length == 0.0f) return 0.0f;
    const float ux = dx / length, uy = dy / length;
    const T* vertical = field + static_cast<int64_t>(limbs.height) * limbs.width;
    float sum = 0.0f;
    int above = 0;
    for (int i = 0; i < limbs.samples; ++i) {
        const float share = static_cast<float>(i) / static_cast<float>(limbs.samples - 1);
        const float x = fma(share, dx, ax), y = fma(share, dy, ay);
        const float along = fma(sampled(field, limbs.height, limbs.width, x, y), ux,
                                sampled(vertical, limbs.height, limbs.width, x, y) * uy);
        sum += along;
        above += along > limbs.threshold;
    }
    const float mean = sum / static_cast<float>(limbs.samples);
    return finite(mean) && !(above >= limbs.needed && mean > 0.0f) ? 0.0f : mean;
}

// The peaks [., 3] of one joint and their number.
struct Listed {
    const float* peaks;
    int count;
};

// The score of peak `first` of the limb's first joint and peak `second` of its second joint; 0 beyond the counts.
template <class T>
EP_HD float pair_score(const Limbs& limbs, const T* field, Listed starts, Listed ends, int first, int second) {
    if (first >= starts.count || second >= ends.count) return 0.0f;
    const float *a = starts.peaks + 3 * first, *b = ends.peaks + 3 * second;
    return limb_score(limbs, field, a[0], a[1], b[0], b[1]);
}

}  // namespace ep
