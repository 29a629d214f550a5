// simcc_peak on the host.
#include "peak.h"

#include "../core/simcc_peak.h"
#include "ops.h"

namespace ep {
namespace EP_ISA {
namespace {

template <class T>
Peak axis(const void* values, int64_t joint, int bins, float* scratch) {
    return highest(as_floats(static_cast<const T*>(values) + joint * bins, bins, scratch), bins);
}

template <class T>
void typed(const SimccJob& job, int64_t begin, int64_t end, float* scratch) {
    for (int64_t i = begin; i < end; ++i) {
        const Peak x = axis<T>(job.x, i, job.x_bins, scratch), y = axis<T>(job.y, i, job.y_bins, scratch);
        const Joint placed = simcc_joint(x, y, job.affines + 6 * (i / job.joints));
        memcpy(job.out + 3 * i, &placed, sizeof placed);
    }
}

}  // namespace

void simcc_peak(const SimccJob& job, int64_t begin, int64_t end, float* scratch) {
    job.type == Float::f32 ? typed<float>(job, begin, end, scratch) : typed<Half>(job, begin, end, scratch);
}

}  // namespace EP_ISA
}  // namespace ep
