// paf_score on the host. Pairs are computed one by one, because there are few people.
#include "../core/paf_score.h"

#include "ops.h"
#include "simd.h"

namespace ep {
namespace EP_ISA {
namespace {

template <class T>
void typed(const PafScoreJob& job, int64_t begin, int64_t end) {
    const int64_t size = 2 * static_cast<int64_t>(job.limbs.height) * job.limbs.width;
    for (int64_t i = begin; i < end; ++i) {
        const int64_t limb = i / job.capacity;
        const Listed starts = listed(job, 2 * limb), ends = listed(job, 2 * limb + 1);
        const T* field = static_cast<const T*>(job.fields) + limb * size;
        for (int second = 0; second < job.capacity; ++second)
            job.out[i * job.capacity + second] =
                pair_score(job.limbs, field, starts, ends, static_cast<int>(i % job.capacity), second);
    }
}

}  // namespace

void paf_score(const PafScoreJob& job, int64_t begin, int64_t end) {
    job.type == Float::f32 ? typed<float>(job, begin, end) : typed<Half>(job, begin, end);
}

}  // namespace EP_ISA
}  // namespace ep
