// The Python module edgepose.kernels._native. It checks everything about the arrays that the loops rely on, with the
// error messages of edgepose._checks. The interpreter lock is released while a loop runs.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

#include "cpu/dispatch.h"
#include "cpu/threads.h"

namespace nb = nanobind;
using namespace ep;

namespace {

using Bytes = nb::ndarray<const uint8_t, nb::device::cpu>;
using Matrices = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& what) { throw nb::value_error(what.c_str()); }

void expect(bool holds, const char* what) {
    if (!holds) refuse(what);
}

void expect_affines(const Matrices& m, size_t count, const char* what) {
    expect(m.ndim() == 3 && m.shape(0) == count && m.shape(1) == 2 && m.shape(2) == 3, what);
}

void expect_joints(const Floats& out, const Input& of) {
    expect(out.ndim() == 3 && out.shape(0) == of.shape(0) && out.shape(1) == of.shape(1) && out.shape(2) == 3,
           "out: expected [N, K, 3]");
}

// Offsets into a frame, from its first row to the end of its last, must fit in 32 bits.
void expect_reachable(const Bytes& rows, size_t row_bytes, const char* what) {
    const double pitch = static_cast<double>(rows.stride(0));
    expect(pitch >= 0 && pitch * static_cast<double>(rows.shape(0) - 1) + static_cast<double>(row_bytes) < 0x1p31,
           what);
}

Float float_type(nb::dlpack::dtype type, const char* name) {
    if (type == nb::dtype<float>()) return Float::f32;
    if (type.code == static_cast<uint8_t>(nb::dlpack::dtype_code::Float) && type.bits == 16 && type.lanes == 1)
        return Float::f16;
    refuse(std::string(name) + ": expected dtype float32 or float16");
}

// The inverse of an image -> crop matrix, as crop -> image in fixed point. Crops whose corners lie further than 2^30
// pixels from the frame are refused, because positions would wrap.
FixedAffine inverted(const double* m, int64_t height, int64_t width) {
    const double det = m[0] * m[4] - m[1] * m[3];
    bool fits = std::isfinite(m[2]) && std::isfinite(m[5]) && std::abs(det) > 1e-12;
    const double i[6] = {m[4] / det,  -m[1] / det, (m[1] * m[5] - m[4] * m[2]) / det,
                         -m[3] / det, m[0] / det,  (m[3] * m[2] - m[0] * m[5]) / det};
    for (int corner = 0; corner < 4; ++corner) {
        const double x = corner & 1 ? static_cast<double>(width) : 0, y = corner & 2 ? static_cast<double>(height) : 0;
        for (int axis = 0; axis < 6; axis += 3)
            fits = fits && std::abs(i[axis] * x + i[axis + 1] * y + i[axis + 2]) < 0x1p30;
    }
    expect(fits,
           "matrices: expected invertible affine maps, image -> crop, whose crops lie within 2^30 pixels of the image");
    const auto fixed = [](double v) { return static_cast<uint64_t>(std::llrint(v * 0x1p32)); };
    return {fixed(i[0]), fixed(i[1]), fixed(i[2]), fixed(i[3]), fixed(i[4]), fixed(i[5])};
}

Finish make_finish(std::array<int, 3> channel, std::array<float, 3> scale, std::array<float, 3> shift,
                   std::array<float, 12> color, uint32_t outside, bool replicate) {
    Finish made{};
    std::copy(color.begin(), color.end(), made.color);
    std::copy(channel.begin(), channel.end(), made.channel);
    std::copy(scale.begin(), scale.end(), made.scale);
    std::copy(shift.begin(), shift.end(), made.shift);
    made.outside = outside;
    made.border = replicate ? Border::replicate : Border::constant;
    return made;
}

// image: [H, W, 3] or [H, W]; its last axes are contiguous. chroma: None, or [H / 2, W] rows of U, V pairs.
void warp_normalize(Bytes image, std::optional<Bytes> chroma, Matrices matrices, const Finish& finish, bool hwc,
                    Output out, int threads) {
    expect(image.ndim() == 2 || image.ndim() == 3, "image: expected [H, W, 3] or [H, W]");
    const bool color = image.ndim() == 3;
    expect(image.shape(0) > 0 && image.shape(1) > 0, "image: expected at least one pixel");
    expect_reachable(image, image.shape(1) * (color ? 3 : 1),
                     "image: expected less than 2 GiB, rows from top to bottom");
    expect(color ? image.shape(2) == 3 && image.stride(2) == 1 && image.stride(1) == 3 : image.stride(1) == 1,
           "image: expected contiguous pixels");
    WarpJob job{};
    job.frame = {image.data(),    nullptr, static_cast<int>(image.shape(0)), static_cast<int>(image.shape(1)),
                 image.stride(0), 0};
    job.pixels = color ? Pixels::bgr : Pixels::gray;
    if (chroma) {
        expect(!color && chroma->ndim() == 2 && chroma->shape(0) * 2 == image.shape(0) &&
                   chroma->shape(1) == image.shape(1) && image.shape(1) % 2 == 0 && chroma->stride(1) == 1,
               "chroma: expected [H / 2, W] for a luma plane [H, W] with even sides");
        expect_reachable(*chroma, chroma->shape(1), "chroma: expected less than 2 GiB, rows from top to bottom");
        job.frame.chroma = chroma->data();
        job.frame.chroma_pitch = chroma->stride(0);
        job.pixels = Pixels::nv12;
    }
    expect(out.ndim() == 4 && out.shape(hwc ? 3 : 1) == 3, "out: expected [N, 3, h, w], or [N, h, w, 3]");
    expect_affines(matrices, out.shape(0), "matrices: expected [N, 2, 3]");
    job.finish = finish;
    job.count = static_cast<int64_t>(out.shape(0));
    job.height = static_cast<int64_t>(out.shape(hwc ? 1 : 2));
    job.width = static_cast<int64_t>(out.shape(hwc ? 2 : 3));
    job.layout = hwc ? Layout::hwc : Layout::chw;
    job.type = float_type(out.dtype(), "out");
    job.out = out.data();
    std::vector<FixedAffine> maps(matrices.shape(0));
    for (size_t i = 0; i < maps.size(); ++i) maps[i] = inverted(matrices.data() + 6 * i, job.height, job.width);
    job.maps = maps.data();
    const Table& ops = table();
    nb::gil_scoped_release unlocked;
    const int64_t rows_worth_a_thread = 65536 / std::max<int64_t>(job.width, 1) + 1;
    in_threads(threads, job.count * job.height, rows_worth_a_thread,
               [&](int64_t begin, int64_t end) { ops.warp_normalize(job, begin, end); });
}

// Grid coordinates -> image: inverse * (x * sx + tx, y * sy + ty, 1).
std::vector<double> composed(const Matrices& inverse, std::array<double, 4> grid) {
    std::vector<double> made(6 * inverse.shape(0));
    for (size_t i = 0; i < made.size(); i += 3) {
        const double* row = inverse.data() + i;
        made[i] = row[0] * grid[0];
        made[i + 1] = row[1] * grid[1];
        made[i + 2] = row[0] * grid[2] + row[1] * grid[3] + row[2];
    }
    return made;
}

// Matrices in the form that the device kernels read. The host writes them into memory that is copied to the device.
using FixedAffines = nb::ndarray<uint64_t, nb::shape<-1, 6>, nb::c_contig, nb::device::cpu>;
using Affines = nb::ndarray<double, nb::shape<-1, 2, 3>, nb::c_contig, nb::device::cpu>;

void fixed_affines(Matrices matrices, int64_t height, int64_t width, FixedAffines out) {
    static_assert(sizeof(FixedAffine) == 6 * sizeof(uint64_t), "rows of `out` are FixedAffine");
    expect_affines(matrices, out.shape(0), "matrices: expected [N, 2, 3]");
    for (size_t i = 0; i < matrices.shape(0); ++i) {
        const FixedAffine made = inverted(matrices.data() + 6 * i, height, width);
        std::memcpy(out.data() + 6 * i, &made, sizeof made);
    }
}

void joint_affines(Matrices inverse, std::array<double, 4> grid, Affines out) {
    expect_affines(inverse, out.shape(0), "inverse: expected [N, 2, 3]");
    const std::vector<double> made = composed(inverse, grid);
    std::copy(made.begin(), made.end(), out.data());
}

bool all_finite(const Floats& out) {
    bool fine = true;
    for (size_t i = 0; i < out.size(); ++i) fine = fine && std::isfinite(out.data()[i]);
    return fine;
}

template <class Job>
void peaks(const Job& job, int threads, int64_t scratch, void (*loop)(const Job&, int64_t, int64_t, float*)) {
    nb::gil_scoped_release unlocked;
    in_threads(threads, job.people * job.joints, 64, [&](int64_t begin, int64_t end) {
        const std::unique_ptr<float[]> own(new float[static_cast<size_t>(scratch)]);
        loop(job, begin, end, own.get());
    });
}

// Parameters for decoding maps, created once per network and not for every frame.
struct Decoding {
    std::array<double, 4> grid;  // map -> crop: scale of x and y, shift of x and y
    Refine refine;
    Blur blur;
    std::vector<int> flip_order;
};

Decoding make_decoding(std::array<double, 4> grid, int refine, const std::vector<float>& taps,
                       const std::vector<int>& flip_order) {
    expect(!taps.empty() && taps.size() <= kTapsMax, "taps: expected 1 to 21");
    std::vector<bool> seen(flip_order.size());
    for (const int joint : flip_order) {
        expect(joint >= 0 && static_cast<size_t>(joint) < seen.size() && !seen[static_cast<size_t>(joint)],
               "flip_order: expected each joint once");
        seen[static_cast<size_t>(joint)] = true;
    }
    Decoding made{grid, static_cast<Refine>(refine), {}, flip_order};
    made.blur.radius = static_cast<int>(taps.size()) - 1;
    std::copy(taps.begin(), taps.end(), made.blur.taps);
    return made;
}

// Returns false if a score is not finite, which means that the network overflowed.
bool heatmap_peak(Input maps, std::optional<Input> flipped, Matrices inverse, const Decoding& decoding, Floats out,
                  int threads) {
    expect(maps.ndim() == 4 && maps.shape(2) * maps.shape(3) > 0,
           "heatmaps: expected [N, K, h, w] with at least one pixel");
    expect(maps.shape(2) * maps.shape(3) < 1u << 31, "heatmaps: expected fewer than 2^31 pixels a map");
    expect_affines(inverse, maps.shape(0), "inverse: expected [N, 2, 3]");
    expect_joints(out, maps);
    PeakJob job{};
    job.type = float_type(maps.dtype(), "heatmaps");
    job.joints = static_cast<int64_t>(maps.shape(1));
    if (flipped) {
        bool same = flipped->ndim() == 4 && flipped->dtype() == maps.dtype();
        for (size_t i = 0; same && i < 4; ++i) same = flipped->shape(i) == maps.shape(i);
        expect(same, "flipped: expected the shape and dtype of heatmaps");
        expect(static_cast<int64_t>(decoding.flip_order.size()) == job.joints, "flip_order: expected each joint once");
        job.flipped = flipped->data();
        job.flip_order = decoding.flip_order.data();
    }
    job.maps = maps.data();
    job.people = static_cast<int64_t>(maps.shape(0));
    job.height = static_cast<int>(maps.shape(2));
    job.width = static_cast<int>(maps.shape(3));
    job.refine = decoding.refine;
    job.blur = decoding.blur;
    const std::vector<double> affines = composed(inverse, decoding.grid);
    job.affines = affines.data();
    job.out = out.data();
    peaks(job, threads, int64_t{job.height} * job.width, table().heatmap_peak);
    return all_finite(out);
}

bool simcc_peak(Input x, Input y, Matrices inverse, std::array<double, 4> grid, Floats out, int threads) {
    expect(x.ndim() == 3 && y.ndim() == 3 && x.shape(0) == y.shape(0) && x.shape(1) == y.shape(1) &&
               x.dtype() == y.dtype() && x.shape(2) > 0 && y.shape(2) > 0 && x.shape(2) < 1u << 31 &&
               y.shape(2) < 1u << 31,
           "x, y: expected [N, K, bins] of one dtype");
    expect_affines(inverse, x.shape(0), "inverse: expected [N, 2, 3]");
    expect_joints(out, x);
    SimccJob job{};
    job.x = x.data(), job.y = y.data();
    job.type = float_type(x.dtype(), "x, y");
    job.people = static_cast<int64_t>(x.shape(0));
    job.joints = static_cast<int64_t>(x.shape(1));
    job.x_bins = static_cast<int>(x.shape(2));
    job.y_bins = static_cast<int>(y.shape(2));
    const std::vector<double> affines = composed(inverse, grid);
    job.affines = affines.data();
    job.out = out.data();
    peaks(job, threads, std::max(job.x_bins, job.y_bins), table().simcc_peak);
    return all_finite(out);
}

bool regress_to_image(Input coords, Matrices inverse, std::array<double, 4> grid, Floats out, int threads) {
    expect(coords.ndim() == 3 && (coords.shape(2) == 2 || coords.shape(2) == 3),
           "coords: expected [N, K, 2] or [N, K, 3]");
    expect_affines(inverse, coords.shape(0), "inverse: expected [N, 2, 3]");
    expect_joints(out, coords);
    RegressJob job{};
    job.coords = coords.data();
    job.type = float_type(coords.dtype(), "coords");
    job.people = static_cast<int64_t>(coords.shape(0));
    job.joints = static_cast<int64_t>(coords.shape(1));
    job.channels = static_cast<int>(coords.shape(2));
    const std::vector<double> affines = composed(inverse, grid);
    job.affines = affines.data();
    job.out = out.data();
    {
        const Table& ops = table();
        nb::gil_scoped_release unlocked;
        in_threads(threads, job.people * job.joints, 4096,
                   [&](int64_t begin, int64_t end) { ops.regress_to_image(job, begin, end); });
    }
    return all_finite(out);
}

using Ints = nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>;
using GivenFloats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using GivenInts = nb::ndarray<const int32_t, nb::c_contig, nb::device::cpu>;

void paf_peaks(Input maps, float threshold, Floats peaks, Ints counts, int threads) {
    expect(maps.ndim() == 3 && maps.shape(1) * maps.shape(2) > 0 && maps.shape(1) * maps.shape(2) < 1u << 31,
           "maps: expected [K, h, w]");
    expect(peaks.ndim() == 3 && peaks.shape(0) == maps.shape(0) && peaks.shape(2) == 3 && counts.ndim() == 1 &&
               counts.shape(0) == maps.shape(0),
           "peaks, counts: expected [K, P, 3] and [K]");
    PafPeaksJob job{};
    job.maps = maps.data();
    job.type = float_type(maps.dtype(), "maps");
    job.joints = static_cast<int64_t>(maps.shape(0));
    job.height = static_cast<int>(maps.shape(1));
    job.width = static_cast<int>(maps.shape(2));
    job.threshold = threshold;
    job.capacity = static_cast<int>(peaks.shape(1));
    job.peaks = peaks.data();
    job.counts = counts.data();
    const Table& ops = table();
    nb::gil_scoped_release unlocked;
    in_threads(threads, job.joints, 1, [&](int64_t begin, int64_t end) {
        const std::unique_ptr<float[]> scratch(
            new float[static_cast<size_t>(job.height) * static_cast<size_t>(job.width)]);
        ops.paf_peaks(job, begin, end, scratch.get());
    });
}

bool paf_score(Input fields, GivenFloats peaks, GivenInts counts, GivenInts pairs, int samples, float threshold,
               int needed, Floats out, int threads) {
    expect(fields.ndim() == 4 && fields.shape(1) == 2 && fields.shape(2) * fields.shape(3) > 0,
           "fields: expected [L, 2, h, w]");
    expect(peaks.ndim() == 3 && peaks.shape(2) == 3, "peaks: expected [K, P, 3]");
    const size_t limbs = fields.shape(0), capacity = peaks.shape(1);
    expect(counts.ndim() == 1 && counts.shape(0) == peaks.shape(0), "counts: expected [K]");
    expect(pairs.ndim() == 2 && pairs.shape(0) == limbs && pairs.shape(1) == 2, "limbs: expected [L, 2]");
    for (size_t i = 0; i < 2 * limbs; ++i)
        expect(pairs.data()[i] >= 0 && static_cast<size_t>(pairs.data()[i]) < peaks.shape(0),
               "limbs: expected indices of joints");
    expect(out.ndim() == 3 && out.shape(0) == limbs && out.shape(1) == capacity && out.shape(2) == capacity,
           "out: expected [L, P, P]");
    expect(samples >= 2, "samples: expected at least 2");
    PafScoreJob job{};
    job.fields = fields.data();
    job.type = float_type(fields.dtype(), "fields");
    job.count = static_cast<int64_t>(limbs);
    job.limbs = {static_cast<int>(fields.shape(2)), static_cast<int>(fields.shape(3)), samples, needed, threshold};
    job.peaks = peaks.data();
    job.counts = counts.data();
    job.capacity = static_cast<int>(capacity);
    job.pairs = pairs.data();
    job.out = out.data();
    {
        const Table& ops = table();
        nb::gil_scoped_release unlocked;
        in_threads(threads, job.count * job.capacity, 64,
                   [&](int64_t begin, int64_t end) { ops.paf_score(job, begin, end); });
    }
    return all_finite(out);
}

// Returns false if the network overflowed.
bool onestage_people(Input rows, Matrices affines, float score_threshold, float iou_threshold, Floats out,
                     int threads) {
    expect(rows.ndim() == 3 && rows.shape(2) >= kBoxColumns && (rows.shape(2) - kBoxColumns) % 3 == 0,
           "rows: expected [N, M, 5 + 3K]");
    expect(rows.shape(1) < 1u << 24 && rows.shape(2) < 1u << 16, "rows: expected fewer than 2^24 candidates");
    expect_affines(affines, rows.shape(0), "inverse: expected [N, 2, 3]");
    expect(out.ndim() == 3 && out.shape(0) == rows.shape(0) && out.shape(1) > 0 && out.shape(1) < 1u << 24 &&
               out.shape(2) == rows.shape(2),
           "out: expected [N, P, 5 + 3K]");
    expect(score_threshold >= 0, "score_threshold: expected at least 0");
    OnestageJob job{};
    job.rows = rows.data();
    job.type = float_type(rows.dtype(), "rows");
    job.images = static_cast<int64_t>(rows.shape(0));
    job.candidates = static_cast<int>(rows.shape(1));
    job.columns = static_cast<int>(rows.shape(2));
    job.score_threshold = score_threshold;
    job.iou_threshold = iou_threshold;
    job.affines = affines.data();
    job.limit = static_cast<int>(out.shape(1));
    job.out = out.data();
    {
        const Table& ops = table();
        nb::gil_scoped_release unlocked;
        in_threads(threads, job.images, 1, [&](int64_t begin, int64_t end) {
            const std::unique_ptr<int[]> scratch(
                new int[static_cast<size_t>(job.candidates) + static_cast<size_t>(job.limit)]);
            ops.onestage_people(job, begin, end, scratch.get());
        });
    }
    return all_finite(out);
}

// The register that says how this thread treats denormal numbers, and the bits in it that flush them to zero.
#if defined(__x86_64__) || defined(_M_X64)
constexpr uint64_t kFlush = 0x8040;  // flush to zero, denormals are zero
uint64_t float_mode() { return _mm_getcsr(); }
void set_float_mode(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
constexpr uint64_t kFlush = uint64_t{1} << 24;
uint64_t float_mode() {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
void set_float_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" ::"r"(mode)); }
#else
constexpr uint64_t kFlush = 0;
uint64_t float_mode() { return 0; }
void set_float_mode(uint64_t) {}
#endif

uint64_t flush_denormals() {
    const uint64_t before = float_mode();
    set_float_mode(before | kFlush);
    return before;
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Table* const* at = usable_tables(); *at; ++at) names.emplace_back((*at)->name);
    return names;
}

}  // namespace

NB_MODULE(_native, m) {
    nb::class_<Finish>(m, "Finish");
    m.def("finish", make_finish, nb::kw_only(), nb::arg("channel"), nb::arg("scale"), nb::arg("shift"),
          nb::arg("color"), nb::arg("outside"), nb::arg("replicate"));
    m.def("warp_normalize", warp_normalize, nb::arg("image"), nb::arg("chroma").none(), nb::arg("matrices"),
          nb::arg("finish"), nb::arg("hwc"), nb::arg("out"), nb::arg("threads"));
    nb::class_<Decoding>(m, "Decoding");
    m.def("decoding", make_decoding, nb::arg("grid"), nb::arg("refine"), nb::arg("taps"), nb::arg("flip_order"));
    m.def("heatmap_peak", heatmap_peak, nb::arg("heatmaps"), nb::arg("flipped").none(), nb::arg("inverse"),
          nb::arg("decoding"), nb::arg("out"), nb::arg("threads"));
    m.def("simcc_peak", simcc_peak, nb::arg("x"), nb::arg("y"), nb::arg("inverse"), nb::arg("grid"), nb::arg("out"),
          nb::arg("threads"));
    m.def("regress_to_image", regress_to_image, nb::arg("coords"), nb::arg("inverse"), nb::arg("grid"), nb::arg("out"),
          nb::arg("threads"));
    m.def("paf_peaks", paf_peaks, nb::arg("maps"), nb::arg("threshold"), nb::arg("peaks"), nb::arg("counts"),
          nb::arg("threads"));
    m.def("paf_score", paf_score, nb::arg("fields"), nb::arg("peaks"), nb::arg("counts"), nb::arg("limbs"),
          nb::arg("samples"), nb::arg("threshold"), nb::arg("needed"), nb::arg("out"), nb::arg("threads"));
    m.def("onestage_people", onestage_people, nb::arg("rows"), nb::arg("inverse"), nb::arg("score_threshold"),
          nb::arg("iou_threshold"), nb::arg("out"), nb::arg("threads"));
    m.def("fixed_affines", fixed_affines, nb::arg("matrices"), nb::arg("height"), nb::arg("width"), nb::arg("out"));
    m.def("joint_affines", joint_affines, nb::arg("inverse"), nb::arg("grid"), nb::arg("out"));
    m.def("flush_denormals", flush_denormals);
    m.def("set_float_mode", set_float_mode, nb::arg("mode"));
    m.def("instruction_sets", instruction_sets);
    m.def("instruction_set", [] { return std::string(table().name); });
    m.def("select", [](const std::string& name) {
        expect(select_table(name.c_str()), "select: not an instruction set of this CPU");
    });
}
