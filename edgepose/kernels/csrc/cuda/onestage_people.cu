// onestage_people on the device: a block finds the people of one image. Thread t holds the candidates t, t + kThreads
// and so on, and one bit for each that may still become a person. In every round the block chooses the best candidate,
// writes it, and clears the bits of those that overlap it. The rounds cost little, because few candidates are above the
// threshold. Loops are not unrolled, since a block of this size has few registers.
#include "../core/jobs.h"
#include "../core/onestage_people.h"
#include "block.h"

namespace ep {
namespace onestage {

enum { kThreads = 1024, kWarps = kThreads / kLanesOfWarp, kBits = 64 };
constexpr float kNone = -1.0f;  // the score where nobody is left; those of people are above 0

// Bit k of the result is set if candidate threadIdx.x + k * kThreads is above the threshold. `fine` becomes false if a
// score is not finite.
template <class T>
EP_DEVICE uint64_t above(const OnestageJob& job, const T* rows, bool& fine) {
    uint64_t waiting = 0;
#pragma unroll 1
    for (int k = 0; k < kBits; ++k) {
        const int i = static_cast<int>(threadIdx.x) + k * kThreads;
        if (i >= job.candidates) break;
        const float score = person_score(rows + static_cast<int64_t>(i) * job.columns);
        fine = fine && finite(score);
        if (score > job.score_threshold) waiting |= uint64_t{1} << k;
    }
    return waiting;
}

// The best candidate that waits in this thread.
template <class T>
EP_DEVICE Peak best_waiting(const OnestageJob& job, const T* rows, uint64_t waiting) {
    Peak best = {kNone, job.candidates};
    for (int k = 0; k < kBits && waiting >> k != 0; ++k) {
        if ((waiting >> k & 1) == 0) continue;
        const int i = static_cast<int>(threadIdx.x) + k * kThreads;
        best = better(best, Peak{person_score(rows + static_cast<int64_t>(i) * job.columns), i});
    }
    return best;
}

// The best of the block, in all threads. The caller synchronizes before the next call.
EP_DEVICE Peak best_of_block(Peak mine) {
    __shared__ Peak winners[kWarps];
    const Peak best = best_of_warp(mine);
    if (threadIdx.x % kLanesOfWarp == 0) winners[threadIdx.x / kLanesOfWarp] = best;
    __syncthreads();
    Peak found = winners[0];
#pragma unroll 1
    for (int warp = 1; warp < kWarps; ++warp) found = better(found, winners[warp]);
    return found;
}

template <class T>
EP_DEVICE void onestage_people(const OnestageJob& job) {
    const int64_t image = blockIdx.x;
    const T* rows = static_cast<const T*>(job.rows) + image * job.candidates * job.columns;
    float* out = job.out + image * job.limit * job.columns;
    const double* affine = job.affines + 6 * image;
    bool fine = true;
    uint64_t waiting = above(job, rows, fine);
    const bool overflow = !__syncthreads_and(fine);
    int people = 0;
    while (!overflow && people < job.limit) {
        const Peak best = best_of_block(best_waiting(job, rows, waiting));
        if (best.value == kNone) break;
        const T* winner = rows + static_cast<int64_t>(best.index) * job.columns;
#pragma unroll 1
        for (int part = static_cast<int>(threadIdx.x); part < parts(job.columns); part += kThreads)
            put_part(winner, affine, part, out + static_cast<int64_t>(people) * job.columns);
        const Corners box = corners(winner);
        for (int k = 0; k < kBits && waiting >> k != 0; ++k) {
            const int i = static_cast<int>(threadIdx.x) + k * kThreads;
            if ((waiting >> k & 1) == 0) continue;
            const bool gone = i == best.index ||
                              overlap(box, corners(rows + static_cast<int64_t>(i) * job.columns), job.iou_threshold);
            if (gone) waiting &= ~(uint64_t{1} << k);
        }
        ++people;
        __syncthreads();  // The next round overwrites the winners.
    }
#pragma unroll 1
    for (int i = people * job.columns + static_cast<int>(threadIdx.x); i < job.limit * job.columns; i += kThreads)
        out[i] = overflow && i == kBoxColumns - 1 ? nanf("") : 0.0f;
}

}  // namespace onestage
}  // namespace ep

extern "C" __global__ void __launch_bounds__(ep::onestage::kThreads) onestage_people_f32(const ep::OnestageJob job) {
    ep::onestage::onestage_people<float>(job);
}
extern "C" __global__ void __launch_bounds__(ep::onestage::kThreads) onestage_people_f16(const ep::OnestageJob job) {
    ep::onestage::onestage_people<ep::Half>(job);
}
