// heatmap_peak on the host. A half-precision map, or the two maps of a flip test, are first converted to one float map.
#include "peak.h"

#include "ops.h"

namespace ep {
namespace EP_ISA {
namespace {

template <class T>
const float* merged(const Map<T>& map, float* scratch) {
    for (int y = 0; y < map.height; ++y)
        for (int x = 0; x < map.width; ++x) scratch[y * map.width + x] = map.at(y, x);
    return scratch;
}

enum { kRow = (kSideMax + kLanes - 1) / kLanes * kLanes };

// The step of DARK or UDP. The part of the map that the blur reads is copied, with zeros outside the map, into rows of
// whole vectors, whose columns are then summed kLanes at a time.
void step_blurred(const PeakJob& job, const float* map, int x, int y, Joint& joint) {
    const int around = reach(job.refine), far = around + job.blur.radius, side = 2 * far + 1,
              row = (side + kLanes - 1) / kLanes * kLanes;
    float part[kSideMax * kRow], columns[kRow], patch[5][5] = {};
    memset(part, 0, sizeof(float) * static_cast<size_t>(side * row));
    const int left = larger(0, far - x), right = smaller(side, job.width + far - x);
    for (int i = larger(0, far - y); i < smaller(side, job.height + far - y); ++i)
        memcpy(part + i * row + left, map + static_cast<int64_t>(y + i - far) * job.width + x + left - far,
               sizeof(float) * static_cast<size_t>(right - left));
    for (int i = -around; i <= around; ++i) {
        for (int c = 0; c < row; c += kLanes) {
            F32 sum = {};
            for (int t = -job.blur.radius; t <= job.blur.radius; ++t)
                sum = fma(splat(job.blur.taps[t < 0 ? -t : t]), load_lanes(part + (far + i + t) * row + c), sum);
            store_lanes(columns + c, sum);
        }
        for (int j = -around; j <= around; ++j)
            if (looks_at(job.refine, i, j)) patch[2 + i][2 + j] = log_blurred(job.blur, columns + around + j);
    }
    step(job.refine, patch, joint);
}

Joint refined(const PeakJob& job, const float* map, Peak peak) {
    const int y = peak.index / job.width, x = peak.index - y * job.width;
    Joint joint = {static_cast<float>(x), static_cast<float>(y), peak.value};
    if (!finite(peak.value)) return joint;
    if (job.refine == Refine::quarter) quarter(Map<float>{map, nullptr, job.height, job.width}, x, y, joint);
    if (steps(job.refine, job.height, job.width, x, y)) step_blurred(job, map, x, y, joint);
    return joint;
}

template <class T>
void typed(const PeakJob& job, int64_t begin, int64_t end, float* scratch) {
    const int64_t size = static_cast<int64_t>(job.height) * job.width;
    for (int64_t i = begin; i < end; ++i) {
        const T* pixels = static_cast<const T*>(job.maps) + i * size;
        const int64_t person = i / job.joints;
        const float* values;
        if (job.flipped) {
            const int64_t mirrored = person * job.joints + job.flip_order[i % job.joints];
            values = merged(Map<T>{pixels, static_cast<const T*>(job.flipped) + mirrored * size, job.height, job.width},
                            scratch);
        } else {
            values = as_floats(pixels, static_cast<int>(size), scratch);
        }
        const Joint joint = refined(job, values, highest(values, static_cast<int>(size)));
        const Joint placed = moved(job.affines + 6 * person, joint);
        memcpy(job.out + 3 * i, &placed, sizeof placed);
    }
}

}  // namespace

void heatmap_peak(const PeakJob& job, int64_t begin, int64_t end, float* scratch) {
    job.type == Float::f32 ? typed<float>(job, begin, end, scratch) : typed<Half>(job, begin, end, scratch);
}

}  // namespace EP_ISA
}  // namespace ep
