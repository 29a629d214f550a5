// What threads of a block do together: warps of 32 lanes along threadIdx.x, one row of the block each or one after the
// other in it. Every thread of the block calls these functions.
#pragma once

#include "../core/heatmap_peak.h"

#define EP_DEVICE static __device__ __forceinline__

namespace ep {

enum { kLanesOfWarp = 32 };
constexpr unsigned kAllLanes = 0xffffffffu;

// The best of a warp, in its lane 0.
EP_DEVICE Peak best_of_warp(Peak mine) {
    for (int away = kLanesOfWarp / 2; away > 0; away /= 2) {
        const Peak other = {__shfl_down_sync(kAllLanes, mine.value, away),
                            __shfl_down_sync(kAllLanes, mine.index, away)};
        mine = better(mine, other);
    }
    return mine;
}

// The highest of values at(i), i = first, first + step, ..., below `count`, for a thread; at(0) if it has none.
template <class At>
EP_DEVICE Peak highest_of_thread(const At& at, int first, int step, int count) {
    Peak best = {at(0), 0};
#pragma unroll 4
    for (int i = first; i < count; i += step) best = better(best, Peak{at(i), i});
    return best;
}

EP_DEVICE void put(float* at, Joint joint) {
    at[0] = joint.x;
    at[1] = joint.y;
    at[2] = joint.score;
}

}  // namespace ep
