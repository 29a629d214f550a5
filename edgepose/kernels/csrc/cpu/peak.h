// The highest value of an array, kLanes at a time.
#pragma once

#include "simd.h"  // must precede core/

#include "../core/heatmap_peak.h"

namespace ep {

enum { kStride = 4 * kLanes };  // four vectors at a time, because updates of a single maximum would be sequential

// The start of the first whole stride that contains `wanted` (for NaN, any NaN), or the end of the whole strides.
EP_HD int stride_with(const float* values, int count, float wanted) {
    const F32 top = splat(wanted);
    const bool nan = wanted != wanted;
    int i = 0;
    for (; i + kStride <= count; i += kStride) {
        I32 found = {};
        for (int v = 0; v < 4; ++v) {
            const F32 value = load_lanes(values + i + v * kLanes);
            found |= nan ? value != value : value == top;
        }
        if (any(found)) break;
    }
    return i;
}

// `values` are [count] floats, count > 0.
EP_HD Peak highest(const float* values, int count) {
    float best = values[0];
    int i = 0;
    if (count >= kStride) {
        F32 top[4];
        for (int v = 0; v < 4; ++v) top[v] = load_lanes(values + v * kLanes);
        I32 nan = {};
        for (; i + kStride <= count; i += kStride) {
            F32 value[4];
            for (int v = 0; v < 4; ++v) value[v] = load_lanes(values + i + v * kLanes);
            for (int v = 0; v < 4; ++v) top[v] = larger(top[v], value[v]);
            nan |= unordered(value[0], value[1]) | unordered(value[2], value[3]);
        }
        const F32 highest_of = larger(larger(top[0], top[1]), larger(top[2], top[3]));
        for (int lane = 0; lane < kLanes; ++lane) best = beats(highest_of[lane], best) ? highest_of[lane] : best;
        if (any(nan)) best = __builtin_nanf("");
    }
    for (; i < count; ++i) best = beats(values[i], best) ? values[i] : best;
    i = stride_with(values, count, best);
    while (!(values[i] == best || (best != best && values[i] != values[i]))) ++i;
    return {values[i], i};
}

// Returns the values as floats: the same memory for floats, a converted copy for halves.
EP_HD const float* as_floats(const float* values, int, float*) { return values; }

EP_HD const float* as_floats(const Half* values, int count, float* scratch) {
    int i = 0;
    for (; i + kLanes <= count; i += kLanes) store_lanes(scratch + i, load_lanes(values + i));
    for (; i < count; ++i) scratch[i] = to_float(values[i]);
    return scratch;
}

}  // namespace ep
