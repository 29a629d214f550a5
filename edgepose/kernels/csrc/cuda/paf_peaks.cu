// paf_peaks on the device: a block lists the peaks of one map. It scans the map in runs of kEach * kThreads pixels, in
// raster order. Few runs contain a peak, and only in those do the threads synchronize to order their peaks.
#include "../core/jobs.h"
#include "../core/paf_peaks.h"
#include "block.h"

namespace ep {
namespace paf_peak {

enum { kThreads = 512, kWarps = kThreads / kLanesOfWarp, kEach = 4 };

// Bit k of the result is set if this thread's pixel begin + threadIdx.x + k * kThreads is a peak. `fine` becomes false
// if a pixel is not finite.
template <class T>
EP_DEVICE unsigned peaks_among(const PafPeaksJob& job, const Map<T>& map, int begin, bool& fine) {
    const int count = map.height * map.width;
    unsigned found = 0;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
        const int i = begin + static_cast<int>(threadIdx.x) + k * kThreads;
        if (i >= count) continue;
        const float value = map.at_index(i, 0);
        fine = fine && finite(value);
        if (value > job.threshold && is_peak(map, i % map.width, i / map.width)) found |= 1u << k;
    }
    return found;
}

// Append pixel i of every thread that found a peak there, in the order of the threads, after the first `listed` peaks.
// Returns the new number of listed peaks.
template <class T>
EP_DEVICE int append(const PafPeaksJob& job, const Map<T>& map, float* list, int listed, bool found, int i) {
    __shared__ int totals[kWarps];
    const int lane = threadIdx.x % kLanesOfWarp, warp = threadIdx.x / kLanesOfWarp;
    const unsigned lanes = __ballot_sync(kAllLanes, found);
    if (lane == 0) totals[warp] = __popc(lanes);
    __syncthreads();
    int place = listed + __popc(lanes & ((1u << lane) - 1));
    for (int other = 0; other < kWarps; ++other) {
        place += other < warp ? totals[other] : 0;
        listed += totals[other];
    }
    if (found && place < job.capacity) put(list + 3 * place, peak_at(map, i % map.width, i / map.width));
    __syncthreads();  // The next call overwrites the totals.
    return listed;
}

template <class T>
EP_DEVICE void paf_peaks(const PafPeaksJob& job) {
    const int64_t joint = blockIdx.x;
    const int count = job.height * job.width;
    const Map<T> map = {static_cast<const T*>(job.maps) + joint * count, nullptr, job.height, job.width};
    float* list = job.peaks + 3 * joint * job.capacity;
    int listed = 0;
    bool fine = true;
    for (int begin = 0; begin < count; begin += kEach * kThreads) {
        const unsigned found = peaks_among(job, map, begin, fine);
        if (!__syncthreads_or(found)) continue;
        for (int k = 0; k < kEach; ++k) {
            const int i = begin + static_cast<int>(threadIdx.x) + k * kThreads;
            listed = append(job, map, list, listed, (found >> k & 1) != 0, i);
        }
    }
    const bool all_fine = __syncthreads_and(fine);
    for (int i = 3 * smaller(listed, job.capacity) + threadIdx.x; i < 3 * job.capacity; i += kThreads) list[i] = 0.0f;
    if (threadIdx.x == 0) job.counts[joint] = all_fine ? listed : -1;
}

}  // namespace paf_peak
}  // namespace ep

extern "C" __global__ void __launch_bounds__(ep::paf_peak::kThreads) paf_peaks_f32(const ep::PafPeaksJob job) {
    ep::paf_peak::paf_peaks<float>(job);
}
extern "C" __global__ void __launch_bounds__(ep::paf_peak::kThreads) paf_peaks_f16(const ep::PafPeaksJob job) {
    ep::paf_peak::paf_peaks<ep::Half>(job);
}
