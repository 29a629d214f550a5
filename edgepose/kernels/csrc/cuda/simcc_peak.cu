// simcc_peak on the device: one block per joint, one warp per axis.
#include "../core/jobs.h"
#include "../core/simcc_peak.h"
#include "block.h"

namespace ep {
namespace simcc {

template <class T>
EP_DEVICE void simcc_peak(const SimccJob& job) {
    __shared__ Peak tops[2];
    const int64_t i = blockIdx.x;
    const int bins = threadIdx.y == 0 ? job.x_bins : job.y_bins;
    const T* values = static_cast<const T*>(threadIdx.y == 0 ? job.x : job.y) + i * bins;
    const auto at = [values](int bin) { return load(values + bin); };
    const Peak top = best_of_warp(highest_of_thread(at, threadIdx.x, kLanesOfWarp, bins));
    if (threadIdx.x == 0) tops[threadIdx.y] = top;
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0)
        put(job.out + 3 * i, simcc_joint(tops[0], tops[1], job.affines + 6 * (i / job.joints)));
}

}  // namespace simcc
}  // namespace ep

extern "C" __global__ void __launch_bounds__(2 * ep::kLanesOfWarp) simcc_peak_f32(const ep::SimccJob job) {
    ep::simcc::simcc_peak<float>(job);
}
extern "C" __global__ void __launch_bounds__(2 * ep::kLanesOfWarp) simcc_peak_f16(const ep::SimccJob job) {
    ep::simcc::simcc_peak<ep::Half>(job);
}
