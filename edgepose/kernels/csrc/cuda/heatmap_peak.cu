// heatmap_peak on the device: a block finds and refines the peak of one map. The flip merge happens as pixels are read.
#include "../core/jobs.h"
#include "block.h"

namespace ep {
namespace heatmap {

enum { kThreads = 256, kWarps = kThreads / kLanesOfWarp };

template <class T>
EP_DEVICE Map<T> map_of(const PeakJob& job, int64_t i) {
    const int64_t size = static_cast<int64_t>(job.height) * job.width, person = i / job.joints;
    const T *maps = static_cast<const T*>(job.maps), *flipped = static_cast<const T*>(job.flipped);
    if (flipped != nullptr) flipped += (person * job.joints + job.flip_order[i - person * job.joints]) * size;
    return {maps + i * size, flipped, job.height, job.width};
}

// Returns the peak of the map in every thread.
template <class T>
EP_DEVICE Peak highest(const Map<T>& map) {
    __shared__ Peak tops[kWarps];
    const auto at = [&map](int i) { return map.at_index(i, map.flipped == nullptr ? 0 : i % map.width); };
    const Peak mine = best_of_warp(highest_of_thread(at, threadIdx.x, kThreads, map.height * map.width));
    if (threadIdx.x % kLanesOfWarp == 0) tops[threadIdx.x / kLanesOfWarp] = mine;
    __syncthreads();
    Peak best = tops[0];
    for (int warp = 1; warp < kWarps; ++warp) best = better(best, tops[warp]);
    return best;
}

// The step of DARK or UDP. The block copies the part of the map that the blur reads, with zeros outside the map, blurs
// its columns for the rows of the patch, then blurs along the rows; one thread computes the step. Every sum has the
// order that core/ defines.
template <class T>
EP_DEVICE void step_blurred(const PeakJob& job, const Map<T>& map, int x, int y, Joint& joint) {
    __shared__ float part[kSideMax * kSideMax], columns[5 * kSideMax], patch[5][5];
    const int around = reach(job.refine), far = around + job.blur.radius, side = 2 * far + 1, rows = 2 * around + 1;
    for (int i = threadIdx.x; i < side * side; i += kThreads) {
        const int row = y + i / side - far, column = x + i % side - far;
        const bool inside = row >= 0 && row < map.height && column >= 0 && column < map.width;
        part[i] = inside ? map.at(row, column) : 0.0f;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < rows * side; i += kThreads) columns[i] = column_sum(job.blur, part + i, side);
    __syncthreads();
    if (threadIdx.x < rows * rows) {
        const int i = threadIdx.x / rows, j = threadIdx.x % rows;
        const bool wanted = looks_at(job.refine, i - around, j - around);
        patch[2 + i - around][2 + j - around] = wanted ? log_blurred(job.blur, columns + i * side + j) : 0.0f;
    }
    __syncthreads();
    if (threadIdx.x == 0) step(job.refine, patch, joint);
}

template <class T>
EP_DEVICE void heatmap_peak(const PeakJob& job) {
    const int64_t i = blockIdx.x;
    const Map<T> map = map_of<T>(job, i);
    const Peak peak = highest(map);
    const int y = peak.index / job.width, x = peak.index - y * job.width;
    Joint joint = {static_cast<float>(x), static_cast<float>(y), peak.value};
    if (finite(peak.value) && steps(job.refine, job.height, job.width, x, y)) step_blurred(job, map, x, y, joint);
    if (threadIdx.x != 0) return;
    if (finite(peak.value) && job.refine == Refine::quarter) quarter(map, x, y, joint);
    put(job.out + 3 * i, moved(job.affines + 6 * (i / job.joints), joint));
}

}  // namespace heatmap
}  // namespace ep

extern "C" __global__ void __launch_bounds__(ep::heatmap::kThreads) heatmap_peak_f32(const ep::PeakJob job) {
    ep::heatmap::heatmap_peak<float>(job);
}
extern "C" __global__ void __launch_bounds__(ep::heatmap::kThreads) heatmap_peak_f16(const ep::PeakJob job) {
    ep::heatmap::heatmap_peak<ep::Half>(job);
}
