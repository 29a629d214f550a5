// paf_score on the host: pair by pair, as people are few.
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
        const int first = static_cast<int>(i % job.capacity), a = job.pairs[2 * limb], b = job.pairs[2 * limb + 1];
        const float* start = job.peaks + 3 * (static_cast<int64_t>(a) * job.capacity + first);
        const float* ends = job.peaks + 3 * static_cast<int64_t>(b) * job.capacity;
        for (int second = 0; second < job.capacity; ++second) {
            const bool listed = first < job.counts[a] && second < job.counts[b];
            const float* end_at = ends + 3 * second;
            job.out[i * job.capacity + second] =
                listed ? limb_score(job.limbs, static_cast<const T*>(job.fields) + limb * size, start[0], start[1],
                                    end_at[0], end_at[1])
                       : 0.0f;
        }
    }
}

}  // namespace

void paf_score(const PafScoreJob& job, int64_t begin, int64_t end) {
    job.type == Float::f32 ? typed<float>(job, begin, end) : typed<Half>(job, begin, end);
}

}  // namespace EP_ISA
}  // namespace ep
