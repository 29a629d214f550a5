// onestage_people on the host. Few candidates are above the threshold. They are taken from a heap, best first, until
// there are enough people, so that most of them are never sorted.
#include "../core/onestage_people.h"

#include "ops.h"
#include "simd.h"

namespace ep {
namespace EP_ISA {
namespace {

// The candidates of an image that are not taken yet: a binary heap of indices, the best at [0].
template <class T>
struct Waiting {
    const T* rows;
    int columns;
    int* heap;
    int count;

    const T* row(int candidate) const { return rows + static_cast<int64_t>(candidate) * columns; }

    bool before(int a, int b) const {
        const float first = person_score(row(a)), second = person_score(row(b));
        return first > second || (first == second && a < b);
    }

    void sift(int at) {
        const int moving = heap[at];
        for (int child; (child = 2 * at + 1) < count; at = child) {
            if (child + 1 < count && before(heap[child + 1], heap[child])) ++child;
            if (!before(heap[child], moving)) break;
            heap[at] = heap[child];
        }
        heap[at] = moving;
    }

    int take() {
        const int best = heap[0];
        heap[0] = heap[--count];
        if (count > 0) sift(0);
        return best;
    }
};

// Returns false if a score is not finite.
template <class T>
bool gather(const OnestageJob& job, Waiting<T>& waiting) {
    bool fine = true;
    for (int i = 0; i < job.candidates; ++i) {
        const float score = person_score(waiting.row(i));
        fine = fine && finite(score);
        if (score > job.score_threshold) waiting.heap[waiting.count++] = i;
    }
    for (int i = waiting.count / 2 - 1; i >= 0; --i) waiting.sift(i);
    return fine;
}

template <class T>
void image(const OnestageJob& job, int64_t number, int* scratch) {
    const int64_t size = static_cast<int64_t>(job.candidates) * job.columns;
    Waiting<T> waiting = {static_cast<const T*>(job.rows) + number * size, job.columns, scratch, 0};
    int* kept = scratch + job.candidates;
    float* out = job.out + number * job.limit * job.columns;
    const bool fine = gather(job, waiting);
    int people = 0;
    while (fine && waiting.count > 0 && people < job.limit) {
        const int candidate = waiting.take();
        const Corners box = corners(waiting.row(candidate));
        bool better = true;
        for (int i = 0; better && i < people; ++i)
            better = !overlap(corners(waiting.row(kept[i])), box, job.iou_threshold);
        if (!better) continue;
        float* person = out + static_cast<int64_t>(people) * job.columns;
        for (int part = 0; part < parts(job.columns); ++part)
            put_part(waiting.row(candidate), job.affines + 6 * number, part, person);
        kept[people++] = candidate;
    }
    memset(out + static_cast<int64_t>(people) * job.columns, 0,
           static_cast<size_t>(job.limit - people) * static_cast<size_t>(job.columns) * sizeof(float));
    if (!fine) out[kBoxColumns - 1] = __builtin_nanf("");
}

}  // namespace

void onestage_people(const OnestageJob& job, int64_t begin, int64_t end, int* scratch) {
    for (int64_t number = begin; number < end; ++number)
        job.type == Float::f32 ? image<float>(job, number, scratch) : image<Half>(job, number, scratch);
}

}  // namespace EP_ISA
}  // namespace ep
