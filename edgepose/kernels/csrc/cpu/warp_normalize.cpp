// warp_normalize on the host. A row is split into blocks of kLanes pixels. Positions are linear along a row, so if the
// first and last pixel of a block have all four neighbors inside the frame, so do all its pixels, and the block is
// computed at once; such blocks are consecutive. A block beyond one side of the frame has the border color. All other
// blocks are computed pixel by pixel.
#include "simd.h"  // must precede core/, whose templates use the operations on vectors

#include "ops.h"

namespace ep {
namespace EP_ISA {
namespace {

struct Constants {
    F32 color[12], scale[3], shift[3];
    I32 byte[3];  // for byte_of
};

Constants constants(const Finish& finish) {
    Constants made;
    for (int i = 0; i < 12; ++i) made.color[i] = splat(finish.color[i]);
    for (int c = 0; c < 3; ++c) {
        made.scale[c] = splat(finish.scale[c]), made.shift[c] = splat(finish.shift[c]);
        made.byte[c] = byte_selector(finish.channel[c]);
    }
    return made;
}

EP_HD uint64_t load_bytes(const uint8_t* at, size_t count) {
    uint64_t bytes = 0;
    memcpy(&bytes, at, count);
    return bytes;
}

// Offsets into the frame of the neighbors of a run of blocks. They are computed for a whole run before any is used, so
// that loads do not wait for offsets, and the loads of several blocks overlap. Offsets have 32 bits; bind.cpp refuses
// larger frames.
struct Run {
    enum { kBlocks = 32 };
    int32_t pixel[kBlocks][kLanes];
    int32_t chroma[kBlocks][kLanes], chroma_below[kBlocks][kLanes], odd[kBlocks][kLanes];  // NV12
    F32 fx[kBlocks], fy[kBlocks];
    int first, count;  // blocks
};

// The addresses that a run's offsets are relative to.
struct Bases {
    const uint8_t *above, *below, *chroma, *chroma_below;
};

template <Pixels P>
EP_HD void locate(const Frame& frame, I32 column, I32 row, int block, Run& run) {
    const auto put = [block](int32_t (&lanes)[Run::kBlocks][kLanes], I32 v) { memcpy(lanes[block], &v, sizeof v); };
    put(run.pixel, row * static_cast<int32_t>(frame.pitch) + column * (P == Pixels::bgr ? 3 : 1));
    if (P != Pixels::nv12) return;
    put(run.chroma, (row >> 1) * static_cast<int32_t>(frame.chroma_pitch) + (column & ~1));
    put(run.chroma_below, ((row + 1) >> 1) * static_cast<int32_t>(frame.chroma_pitch) + (column & ~1));
    put(run.odd, (column & 1) << 4);
}

// The left and right neighbors in two rows, as the frame stores them: the left one in bits 0..23, the right one in bits
// 24..47. Loads reach at most kPast pixels past the left neighbor.
struct Pairs {
    Wide above, below;
};

template <Pixels P>
EP_HD Pairs pairs(const Bases& base, const Run& run, int block) {
    const int32_t* pixel = run.pixel[block];
    const uint8_t *above = base.above, *below = base.below;
    if (P == Pixels::bgr) {
        return {wide([&](int i) { return load_bytes(above + pixel[i], 8); }),
                wide([&](int i) { return load_bytes(below + pixel[i], 8); })};
    }
    if (P == Pixels::gray) {  // the right one's byte to bits 24..31; gray looks at the lowest byte only
        const auto two = [](uint64_t bytes) { return bytes | bytes << 16; };
        return {wide([&](int i) { return two(load_bytes(above + pixel[i], 2)); }),
                wide([&](int i) { return two(load_bytes(below + pixel[i], 2)); })};
    }
    const auto mixed = [&](int i, uint64_t luma, uint64_t colors) {  // an odd column's right neighbor has the next
        return (luma & 0xff) | (colors & 0xffff) << 8 | luma >> 8 << 24 | (colors >> run.odd[block][i] & 0xffff) << 32;
    };
    const int32_t *first = run.chroma[block], *second = run.chroma_below[block];
    return {
        wide([&](int i) { return mixed(i, load_bytes(above + pixel[i], 2), load_bytes(base.chroma + first[i], 4)); }),
        wide([&](int i) {
            return mixed(i, load_bytes(below + pixel[i], 2), load_bytes(base.chroma_below + second[i], 4));
        })};
}

template <Pixels P>
constexpr int kPast = P == Pixels::gray ? 1 : 2;

template <Pixels P>
EP_HD bool inside(const Frame& frame, const Position& p) {
    return p.x >= 0 && p.x < frame.width - kPast<P> && p.y >= 0 && p.y < frame.height - 1;
}

EP_HD bool beyond(const Frame& frame, const Position& p, const Position& q) {
    return (p.x < -1 && q.x < -1) || (p.y < -1 && q.y < -1) || (p.x >= frame.width && q.x >= frame.width) ||
           (p.y >= frame.height && q.y >= frame.height);
}

EP_HD F32 fractions(Wide position) { return to_f32((I32)((U32)low(position) >> 8)) * 0x1p-24f; }

// A byte with the bits of 2^23 above it is the float 2^23 + byte, so no conversion is needed. Differences of such
// floats are exact, so the result equals that of `bilinear`.
EP_HD F32 bilinear_bytes(I32 b00, I32 b01, I32 b10, I32 b11, F32 fx, F32 fy) {
    const auto lifted = [](I32 byte) { return (F32)(byte | 0x4b000000); };
    const F32 p00 = lifted(b00), p10 = lifted(b10);
    const F32 above = fma(fx, lifted(b01) - p00, p00 - 0x1p23f), below = fma(fx, lifted(b11) - p10, p10 - 0x1p23f);
    return fma(fy, below - above, above);
}

// Computes blocks of kLanes output pixels with three channels each.
template <Pixels P>
EP_HD void inner_block(const Pairs& rows, const Constants& k, F32 fx, F32 fy, F32 (&out)[3]) {
    const I32 p00 = low(rows.above), p01 = low(rows.above >> 24), p10 = low(rows.below), p11 = low(rows.below >> 24);
    F32 level[3];
    for (int c = 0; c < (P == Pixels::gray ? 1 : 3); ++c) {
        const I32 byte = k.byte[c];
        level[c] =
            bilinear_bytes(byte_of(p00, byte), byte_of(p01, byte), byte_of(p10, byte), byte_of(p11, byte), fx, fy);
    }
    if (P == Pixels::gray) level[1] = level[2] = level[0];
    finished<P>(k.color, k.scale, k.shift, level, out);
}

template <class T>
EP_HD void put(T* out, int64_t plane, Layout layout, const F32 (&value)[3]) {
    if (layout == Layout::chw) {
        for (int c = 0; c < 3; ++c) store_lanes(out + c * plane, value[c]);
    } else {
        for (int i = 0; i < kLanes; ++i)
            for (int c = 0; c < 3; ++c) store(out + 3 * i + c, value[c][i]);
    }
}

template <Pixels P, class T>
void edge_block(const WarpJob& job, const FixedAffine& map, int column, int row, int count, T* out, int64_t plane) {
    const int64_t pixel_step = job.layout == Layout::chw ? 1 : 3, channel_step = job.layout == Layout::chw ? plane : 1;
    for (int i = 0; i < count; ++i) {
        float value[3];
        warp_pixel<P>(job.frame, job.finish, map, column + i, row, value);
        for (int c = 0; c < 3; ++c) store(out + i * pixel_step + c * channel_step, value[c]);
    }
}

// Whether a crop is not rotated: all rows have the same columns, and each row has one y coordinate.
EP_HD bool is_level(const FixedAffine& map) { return map.xy == 0 && map.yx == 0; }

// Computes the run's offsets for the blocks of a row from `first` on; for a crop that is not rotated, offsets in the
// frame's first row.
template <Pixels P>
void locate_run(const Frame& frame, const FixedAffine& map, int row, int first, int count, Run& run) {
    const uint64_t right = static_cast<uint64_t>(first * kLanes), down = static_cast<uint64_t>(row);
    const uint64_t x0 = map.xx * right + map.xy * down + map.x0;
    const uint64_t y0 = is_level(map) ? 0 : map.yx * right + map.yy * down + map.y0;
    Wide x = wide([&](int i) { return x0 + map.xx * static_cast<uint64_t>(i); });
    Wide y = wide([&](int i) { return y0 + map.yx * static_cast<uint64_t>(i); });
    for (int i = 0; i < count; ++i, x = x + map.xx * kLanes, y = y + map.yx * kLanes) {
        locate<P>(frame, high(x), high(y), i, run);
        run.fx[i] = fractions(x), run.fy[i] = fractions(y);
    }
    run.first = first, run.count = count;
}

// The addresses that the offsets of a run are relative to, for this row.
EP_HD Bases bases(const Frame& frame, const FixedAffine& map, int row, Run& run) {
    const Position start = is_level(map) ? at(map, 0, row) : Position{};
    if (is_level(map))
        for (int i = 0; i < run.count; ++i) run.fy[i] = splat(start.fy);
    const uint8_t *above = frame.data + start.y * frame.pitch, *chroma = frame.chroma;
    return {above, above + frame.pitch, chroma + (start.y >> 1) * frame.chroma_pitch,
            chroma + (is_level(map) ? (start.y + 1) >> 1 : 0) * frame.chroma_pitch};
}

template <Pixels P, class T>
void inner_blocks(const WarpJob& job, const Constants& k, const FixedAffine& map, int row, int first, int count, T* out,
                  int64_t plane, Run& run) {
    if (!is_level(map) || run.first != first || run.count != count)
        locate_run<P>(job.frame, map, row, first, count, run);
    const Bases base = bases(job.frame, map, row, run);
    const int step = job.layout == Layout::chw ? kLanes : 3 * kLanes;
    const int64_t next_row = (at(map, 0, row + 1).y - at(map, 0, row).y) * job.frame.pitch;
    for (int i = 0; i < count; ++i) {
        F32 value[3];
        __builtin_prefetch(base.above + run.pixel[i][0] + next_row);  // A frame is rarely in the nearer caches.
        __builtin_prefetch(base.below + run.pixel[i][0] + next_row);
        inner_block<P>(pairs<P>(base, run, i), k, run.fx[i], run.fy[i], value);
        put(out + step * i, plane, job.layout, value);
    }
}

// Computes one row of a crop, starting at `out`: border blocks, the blocks inside the frame in runs, border blocks.
// `run` is kept from row to row.
template <Pixels P, class T>
void one_row(const WarpJob& job, const Constants& k, const F32 (&border)[3], const FixedAffine& map, int row, T* out,
             int64_t plane, Run& run) {
    const int step = job.layout == Layout::chw ? 1 : 3, width = static_cast<int>(job.width);
    const int blocks = width / kLanes;
    const auto is_inside = [&](int block) {
        return inside<P>(job.frame, at(map, block * kLanes, row)) &&
               inside<P>(job.frame, at(map, block * kLanes + kLanes - 1, row));
    };
    const auto at_border = [&](int block) {
        const Position first = at(map, block * kLanes, row), last = at(map, block * kLanes + kLanes - 1, row);
        T* here = out + step * block * kLanes;
        if (job.finish.border == Border::constant && beyond(job.frame, first, last))
            put(here, plane, job.layout, border);
        else
            edge_block<P>(job, map, block * kLanes, row, kLanes, here, plane);
    };
    int begin = 0, end = blocks;
    for (; begin < end && !is_inside(begin); ++begin) at_border(begin);
    for (; end > begin && !is_inside(end - 1); --end) at_border(end - 1);
    for (int from = begin; from < end; from += Run::kBlocks) {
        const int count = smaller(static_cast<int>(Run::kBlocks), end - from);
        inner_blocks<P>(job, k, map, row, from, count, out + step * from * kLanes, plane, run);
    }
    edge_block<P>(job, map, blocks * kLanes, row, width - blocks * kLanes, out + step * blocks * kLanes, plane);
}

template <Pixels P, class T>
void rows(const WarpJob& job, int64_t begin, int64_t end) {
    const Constants k = constants(job.finish);
    F32 level[3], border[3];
    for (int c = 0; c < 3; ++c) level[c] = splat(channel(job.finish.outside, 8 * job.finish.channel[c]));
    finished<P>(k.color, k.scale, k.shift, level, border);
    const int64_t plane = job.height * job.width;
    Run run;
    for (int64_t i = begin; i < end; ++i) {
        const int64_t crop = i / job.height, row = i % job.height;
        T* out = static_cast<T*>(job.out) + 3 * plane * crop + (job.layout == Layout::chw ? 1 : 3) * row * job.width;
        if (i == begin || row == 0) run.count = 0;
        one_row<P>(job, k, border, job.maps[crop], static_cast<int>(row), out, plane, run);
    }
}

template <class T>
void typed(const WarpJob& job, int64_t begin, int64_t end) {
    switch (job.pixels) {
        case Pixels::bgr:
            return rows<Pixels::bgr, T>(job, begin, end);
        case Pixels::gray:
            return rows<Pixels::gray, T>(job, begin, end);
        case Pixels::nv12:
            return rows<Pixels::nv12, T>(job, begin, end);
    }
}

}  // namespace

void warp_normalize(const WarpJob& job, int64_t begin, int64_t end) {
    job.type == Float::f32 ? typed<float>(job, begin, end) : typed<Half>(job, begin, end);
}

}  // namespace EP_ISA
}  // namespace ep
