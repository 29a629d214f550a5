// regress_to_image on the host.
#include "../core/regress_to_image.h"

#include "ops.h"
#include "simd.h"

namespace ep {
namespace EP_ISA {
namespace {

template <class T>
void typed(const RegressJob& job, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        const T* coords = static_cast<const T*>(job.coords) + i * job.channels;
        const Joint placed = regressed(coords, job.channels, job.affines + 6 * (i / job.joints));
        memcpy(job.out + 3 * i, &placed, sizeof placed);
    }
}

}  // namespace

void regress_to_image(const RegressJob& job, int64_t begin, int64_t end) {
    job.type == Float::f32 ? typed<float>(job, begin, end) : typed<Half>(job, begin, end);
}

}  // namespace EP_ISA
}  // namespace ep
