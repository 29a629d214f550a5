// Runs the jobs of a file (tests/kernel_jobs.py writes it) on this processor and compares bit by bit with what the
// host extension gave:
//
//     native JOBS fused       against an instruction set with a fused multiply-add
//     plain JOBS separate     against one without
//
// Prints what it compared, or the first job that differs; exits with 1 then.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/threads.h"

namespace {

using namespace ep;
using Bytes = std::vector<uint8_t>;

// The file is arrays, each with its length in bytes before it.
class Reader {
  public:
    explicit Reader(const char* path) : file_(path, std::ios::binary) {
        if (!file_) throw std::runtime_error(std::string("cannot read ") + path);
    }

    bool more() { return file_.peek() != std::ifstream::traits_type::eof(); }

    template <class T>
    std::vector<T> array() {
        uint64_t bytes = 0;
        read(&bytes, sizeof bytes);
        std::vector<T> values(bytes / sizeof(T));
        read(values.data(), bytes);
        return values;
    }

    Bytes bytes() { return array<uint8_t>(); }
    std::vector<int> numbers() { return array<int>(); }

  private:
    void read(void* to, size_t bytes) {
        if (!file_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes)))
            throw std::runtime_error("the file ends within a job");
    }

    std::ifstream file_;
};

Float float_type(int half) { return half ? Float::f16 : Float::f32; }
float* floats(Bytes& bytes) { return reinterpret_cast<float*>(bytes.data()); }
Bytes zeros(int64_t count, size_t size) { return Bytes(static_cast<size_t>(count) * size); }

Bytes warp(Reader& file, const Table& ops) {
    const std::vector<int> n = file.numbers(), channel = file.numbers();
    const std::vector<float> color = file.array<float>(), scale = file.array<float>(), shift = file.array<float>();
    const Bytes image = file.bytes(), chroma = file.bytes();
    const std::vector<FixedAffine> maps = file.array<FixedAffine>();
    WarpJob job{};
    job.pixels = static_cast<Pixels>(n[0]);
    job.frame = {image.data(), chroma.data(), n[1], n[2], n[3], n[4]};
    job.maps = maps.data(), job.count = static_cast<int64_t>(maps.size()), job.height = n[5], job.width = n[6];
    job.layout = static_cast<Layout>(n[7]), job.type = float_type(n[8]);
    job.finish.border = static_cast<Border>(n[9]), job.finish.outside = static_cast<uint32_t>(n[10]);
    std::copy(channel.begin(), channel.end(), job.finish.channel);
    std::copy(color.begin(), color.end(), job.finish.color);
    std::copy(scale.begin(), scale.end(), job.finish.scale);
    std::copy(shift.begin(), shift.end(), job.finish.shift);
    Bytes out = zeros(3 * job.count * job.height * job.width, job.type == Float::f16 ? 2 : 4);
    job.out = out.data();
    in_threads(2, job.count * job.height, 16, [&](int64_t begin, int64_t end) { ops.warp_normalize(job, begin, end); });
    return out;
}

Bytes heatmap(Reader& file, const Table& ops) {
    const std::vector<int> n = file.numbers(), order = file.numbers();
    const Bytes maps = file.bytes(), flipped = file.bytes();
    const std::vector<float> taps = file.array<float>();
    const std::vector<double> affines = file.array<double>();
    PeakJob job{};
    job.maps = maps.data(), job.flipped = flipped.empty() ? nullptr : flipped.data(), job.flip_order = order.data();
    job.people = n[0], job.joints = n[1], job.height = n[2], job.width = n[3];
    job.type = float_type(n[4]), job.refine = static_cast<Refine>(n[5]);
    job.blur.radius = static_cast<int>(taps.size()) - 1;
    std::copy(taps.begin(), taps.end(), job.blur.taps);
    job.affines = affines.data();
    Bytes out = zeros(3 * job.people * job.joints, sizeof(float));
    job.out = floats(out);
    in_threads(2, job.people * job.joints, 1, [&](int64_t begin, int64_t end) {
        std::vector<float> scratch(static_cast<size_t>(job.height) * static_cast<size_t>(job.width));
        ops.heatmap_peak(job, begin, end, scratch.data());
    });
    return out;
}

Bytes simcc(Reader& file, const Table& ops) {
    const std::vector<int> n = file.numbers();
    const Bytes x = file.bytes(), y = file.bytes();
    const std::vector<double> affines = file.array<double>();
    SimccJob job{};
    job.x = x.data(), job.y = y.data(), job.affines = affines.data();
    job.people = n[0], job.joints = n[1], job.x_bins = n[2], job.y_bins = n[3], job.type = float_type(n[4]);
    Bytes out = zeros(3 * job.people * job.joints, sizeof(float));
    job.out = floats(out);
    std::vector<float> scratch(static_cast<size_t>(std::max(job.x_bins, job.y_bins)));
    ops.simcc_peak(job, 0, job.people * job.joints, scratch.data());
    return out;
}

Bytes regress(Reader& file, const Table& ops) {
    const std::vector<int> n = file.numbers();
    const Bytes coords = file.bytes();
    const std::vector<double> affines = file.array<double>();
    RegressJob job{};
    job.coords = coords.data(), job.affines = affines.data();
    job.people = n[0], job.joints = n[1], job.channels = n[2], job.type = float_type(n[3]);
    Bytes out = zeros(3 * job.people * job.joints, sizeof(float));
    job.out = floats(out);
    ops.regress_to_image(job, 0, job.people * job.joints);
    return out;
}

Bytes paf_peaks(Reader& file, const Table& ops) {  // the peaks, then their counts
    const std::vector<int> n = file.numbers();
    const Bytes maps = file.bytes();
    PafPeaksJob job{};
    job.threshold = file.array<float>()[0];
    job.maps = maps.data();
    job.joints = n[0], job.height = n[1], job.width = n[2], job.capacity = n[3], job.type = float_type(n[4]);
    Bytes out = zeros(job.joints * (3 * job.capacity + 1), sizeof(float));
    job.peaks = floats(out);
    job.counts = reinterpret_cast<int*>(job.peaks + 3 * job.joints * job.capacity);
    std::vector<float> scratch(static_cast<size_t>(job.height) * static_cast<size_t>(job.width));
    ops.paf_peaks(job, 0, job.joints, scratch.data());
    return out;
}

Bytes paf_score(Reader& file, const Table& ops) {
    const std::vector<int> n = file.numbers(), counts = file.numbers(), pairs = file.numbers();
    const Bytes fields = file.bytes();
    const std::vector<float> peaks = file.array<float>();
    PafScoreJob job{};
    job.limbs = {n[1], n[2], n[3], n[4], file.array<float>()[0]};
    job.fields = fields.data(), job.peaks = peaks.data(), job.counts = counts.data(), job.pairs = pairs.data();
    job.count = n[0], job.capacity = n[5], job.type = float_type(n[6]);
    Bytes out = zeros(job.count * job.capacity * job.capacity, sizeof(float));
    job.out = floats(out);
    ops.paf_score(job, 0, job.count * job.capacity);
    return out;
}

Bytes onestage_people(Reader& file, const Table& ops) {
    const std::vector<int> n = file.numbers();
    const Bytes rows = file.bytes();
    const std::vector<float> thresholds = file.array<float>();
    const std::vector<double> affines = file.array<double>();
    OnestageJob job{};
    job.rows = rows.data(), job.affines = affines.data();
    job.images = n[0], job.candidates = n[1], job.columns = n[2], job.limit = n[3], job.type = float_type(n[4]);
    job.score_threshold = thresholds[0], job.iou_threshold = thresholds[1];
    Bytes out = zeros(job.images * job.limit * job.columns, sizeof(float));
    job.out = floats(out);
    std::vector<int> scratch(static_cast<size_t>(job.candidates) + static_cast<size_t>(job.limit));
    ops.onestage_people(job, 0, job.images, scratch.data());
    return out;
}

Bytes run(const std::string& name, Reader& file, const Table& ops) {
    if (name == "warp_normalize") return warp(file, ops);
    if (name == "heatmap_peak") return heatmap(file, ops);
    if (name == "simcc_peak") return simcc(file, ops);
    if (name == "regress_to_image") return regress(file, ops);
    if (name == "paf_peaks") return paf_peaks(file, ops);
    if (name == "paf_score") return paf_score(file, ops);
    if (name == "onestage_people") return onestage_people(file, ops);
    throw std::runtime_error("no operation has the name " + name);
}

int compare(Reader& file, bool fused) {
    const Table& ops = table();
    int jobs = 0;
    for (; file.more(); ++jobs) {
        const Bytes text = file.bytes();
        const std::string name(text.begin(), text.end());
        const Bytes found = run(name, file, ops), with = file.bytes(), without = file.bytes();
        const Bytes& expected = fused ? with : without;
        size_t same = 0;
        while (same < found.size() && same < expected.size() && found[same] == expected[same]) ++same;
        if (same == expected.size() && same == found.size()) continue;
        std::printf("%s: job %d, %s, differs in byte %zu of %zu (expected %zu)\n", ops.name, jobs, name.c_str(), same,
                    found.size(), expected.size());
        return 1;
    }
    std::printf("%s: %d jobs\n", ops.name, jobs);
    return 0;
}

}  // namespace

int main(int count, char** arguments) try {
    const std::string kind = count == 3 ? arguments[2] : "";
    if (kind != "fused" && kind != "separate") throw std::runtime_error("usage: native | plain JOBS fused | separate");
    Reader file(arguments[1]);
    return compare(file, kind == "fused");
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
}
