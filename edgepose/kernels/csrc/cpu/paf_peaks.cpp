// paf_peaks on the host. Few pixels are above the threshold, so most vectors are skipped as a whole.
#include "peak.h"

#include "../core/paf_peaks.h"
#include "ops.h"

namespace ep {
namespace EP_ISA {
namespace {

struct List {
    float* peaks;  // [capacity, 3]
    int capacity, count;
};

void look(const Map<float>& map, float threshold, int x, int y, List& list) {
    if (!(map.at(y, x) > threshold) || !is_peak(map, x, y)) return;
    if (list.count < list.capacity) {
        const Joint joint = peak_at(map, x, y);
        memcpy(list.peaks + 3 * list.count, &joint, sizeof joint);
    }
    ++list.count;
}

// Returns false if the row contains NaN or infinity.
bool row(const Map<float>& map, float threshold, int y, List& list) {
    const float* values = map.pixels + static_cast<int64_t>(y) * map.width;
    I32 overflowed = {};
    int x = 0;
    for (; x + kLanes <= map.width; x += kLanes) {
        const F32 value = load_lanes(values + x);
        overflowed |= (value - value) != 0.0f;
        if (any(value > threshold))
            for (int lane = 0; lane < kLanes; ++lane) look(map, threshold, x + lane, y, list);
    }
    bool fine = !any(overflowed);
    for (; x < map.width; ++x) {
        fine = fine && finite(values[x]);
        look(map, threshold, x, y, list);
    }
    return fine;
}

template <class T>
void typed(const PafPeaksJob& job, int64_t begin, int64_t end, float* scratch) {
    const int64_t size = static_cast<int64_t>(job.height) * job.width;
    for (int64_t joint = begin; joint < end; ++joint) {
        const float* values =
            as_floats(static_cast<const T*>(job.maps) + joint * size, static_cast<int>(size), scratch);
        const Map<float> map = {values, nullptr, job.height, job.width};
        List list = {job.peaks + 3 * joint * job.capacity, job.capacity, 0};
        bool fine = true;
        for (int y = 0; y < job.height; ++y) fine &= row(map, job.threshold, y, list);
        for (int i = list.count; i < job.capacity; ++i) memset(list.peaks + 3 * i, 0, 3 * sizeof(float));
        job.counts[joint] = fine ? list.count : -1;
    }
}

}  // namespace

void paf_peaks(const PafPeaksJob& job, int64_t begin, int64_t end, float* scratch) {
    job.type == Float::f32 ? typed<float>(job, begin, end, scratch) : typed<Half>(job, begin, end, scratch);
}

}  // namespace EP_ISA
}  // namespace ep
