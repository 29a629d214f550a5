// paf_score on the device: one thread per pair of peaks; blockIdx.y is the limb. Most pairs are beyond the counts, and
// their thread only writes a zero.
#include "../core/jobs.h"
#include "block.h"

namespace ep {
namespace paf_limb {

enum { kThreads = 128 };

template <class T>
EP_DEVICE void paf_score(const PafScoreJob& job) {
    const int pair = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    const int pairs = job.capacity * job.capacity;
    if (pair >= pairs) return;
    const int64_t limb = blockIdx.y;
    const T* field = static_cast<const T*>(job.fields) + 2 * limb * job.limbs.height * job.limbs.width;
    job.out[limb * pairs + pair] = pair_score(job.limbs, field, listed(job, 2 * limb), listed(job, 2 * limb + 1),
                                              pair / job.capacity, pair % job.capacity);
}

}  // namespace paf_limb
}  // namespace ep

extern "C" __global__ void __launch_bounds__(ep::paf_limb::kThreads) paf_score_f32(const ep::PafScoreJob job) {
    ep::paf_limb::paf_score<float>(job);
}
extern "C" __global__ void __launch_bounds__(ep::paf_limb::kThreads) paf_score_f16(const ep::PafScoreJob job) {
    ep::paf_limb::paf_score<ep::Half>(job);
}
