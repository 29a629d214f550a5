// Reductions over the threads of a block. Warps are 32 lanes along threadIdx.x. Every thread of the block must call
// these functions.
#pragma once

#include "../core/heatmap_peak.h"

#define EP_DEVICE static __device__ __forceinline__

namespace ep {

enum { kLanesOfWarp = 32 };
constexpr unsigned kAllLanes = 0xffffffffu;

// Returns the best of a warp in its lane 0.
EP_DEVICE Peak best_of_warp(Peak mine) {
    for (int away = kLanesOfWarp / 2; away > 0; away /= 2) {
        const Peak other = {__shfl_down_sync(kAllLanes, mine.value, away),
                            __shfl_down_sync(kAllLanes, mine.index, away)};
        mine = better(mine, other);
    }
    return mine;
}

// Returns the highest of the values at(i) for i = first, first + step, ... below `count`; at(0) if there is none.
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
