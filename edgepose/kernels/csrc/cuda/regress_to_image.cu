// regress_to_image on the device: one thread per joint.
#include "../core/jobs.h"
#include "../core/regress_to_image.h"
#include "block.h"

namespace ep {
namespace regress {

enum { kThreads = 128 };

template <class T>
EP_DEVICE void regress_to_image(const RegressJob& job) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
    if (i >= job.people * job.joints) return;
    const T* coords = static_cast<const T*>(job.coords) + i * job.channels;
    put(job.out + 3 * i, regressed(coords, job.channels, job.affines + 6 * (i / job.joints)));
}

}  // namespace regress
}  // namespace ep

extern "C" __global__ void __launch_bounds__(ep::regress::kThreads) regress_to_image_f32(const ep::RegressJob job) {
    ep::regress::regress_to_image<float>(job);
}
extern "C" __global__ void __launch_bounds__(ep::regress::kThreads) regress_to_image_f16(const ep::RegressJob job) {
    ep::regress::regress_to_image<ep::Half>(job);
}
