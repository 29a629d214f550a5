#include "dispatch.h"

#include <atomic>
#include <cstring>

namespace ep {
namespace {

#define EP_DECLARE(ISA)                                                                                   \
    }                                                                                                     \
    namespace ISA {                                                                                       \
    void warp_normalize(const WarpJob&, int64_t, int64_t);                                                \
    void heatmap_peak(const PeakJob&, int64_t, int64_t, float*);                                          \
    void simcc_peak(const SimccJob&, int64_t, int64_t, float*);                                           \
    void regress_to_image(const RegressJob&, int64_t, int64_t);                                           \
    void paf_peaks(const PafPeaksJob&, int64_t, int64_t, float*);                                         \
    void paf_score(const PafScoreJob&, int64_t, int64_t);                                                 \
    void onestage_people(const OnestageJob&, int64_t, int64_t, int*);                                     \
    }                                                                                                     \
    namespace {                                                                                           \
    const Table ISA##_table = {                                                                           \
        #ISA,           ISA::warp_normalize, ISA::heatmap_peak,   ISA::simcc_peak, ISA::regress_to_image, \
        ISA::paf_peaks, ISA::paf_score,      ISA::onestage_people};

#if defined(__x86_64__)
EP_DECLARE(avx512)
EP_DECLARE(avx2)
EP_DECLARE(sse2)

bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
EP_DECLARE(neon)
#else
EP_DECLARE(generic)
#endif

struct Usable {
    const Table* tables[4] = {};

    Usable() {
        int count = 0;
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (has_avx512()) tables[count++] = &avx512_table;
        if (has_avx2()) tables[count++] = &avx2_table;
        tables[count++] = &sse2_table;
#elif defined(__aarch64__)
        tables[count++] = &neon_table;
#else
        tables[count++] = &generic_table;
#endif
    }
};

const Usable& usable() {
    static const Usable found;
    return found;
}

std::atomic<const Table*> selected{nullptr};

}  // namespace

const Table* const* usable_tables() { return usable().tables; }

const Table& table() {
    const Table* chosen = selected.load(std::memory_order_relaxed);
    return chosen ? *chosen : *usable().tables[0];
}

bool select_table(const char* name) {
    for (const Table* const* at = usable_tables(); *at; ++at) {
        if (std::strcmp((*at)->name, name) == 0) {
            selected.store(*at, std::memory_order_relaxed);
            return true;
        }
    }
    return false;
}

}  // namespace ep
