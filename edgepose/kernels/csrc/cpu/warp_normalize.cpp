// warp_normalize on the host. A row is cut into blocks of kLanes pixels. Positions are linear along a row, so a block
// whose first and last pixel have all four neighbours inside the frame lies inside altogether and is computed at
// once; a block beyond one side of the frame is the border colour; any other goes pixel by pixel.
#include "simd.h"  // before core/: its templates see the operations on vectors

#include "ops.h"

namespace ep {
namespace EP_ISA {
namespace {

struct Constants {
    F32 color[12], scale[3], shift[3];
};

Constants constants(const Finish& finish) {
    Constants made;
    for (int i = 0; i < 12; ++i) made.color[i] = splat(finish.color[i]);
    for (int c = 0; c < 3; ++c) made.scale[c] = splat(finish.scale[c]), made.shift[c] = splat(finish.shift[c]);
    return made;
}

EP_HD uint64_t load_bytes(const uint8_t* at, size_t count) {
    uint64_t bytes = 0;
    memcpy(&bytes, at, count);
    return bytes;
}

// Left neighbours (`column`, `row`) and right ones of kLanes pixels as the frame stores them: the left one in bits
// 0..23, the right one in bits 24..47. Loads reach at most kPast pixels past the left neighbour. Offsets are 32 bits:
// bind.cpp refuses larger frames.
template <Pixels P>
EP_HD Wide pairs(const Frame& frame, I32 column, I32 row) {
    const I32 offset = row * static_cast<int32_t>(frame.pitch) + column * (P == Pixels::bgr ? 3 : 1);
    int32_t at[kLanes];
    memcpy(at, &offset, sizeof at);
    if (P == Pixels::bgr) return wide([&](int i) { return load_bytes(frame.data + at[i], 8); });
    if (P == Pixels::gray) {
        return wide([&](int i) {
            const uint64_t two = load_bytes(frame.data + at[i], 2);
            return two | two << 16;  // the right one's byte to bits 24..31; grey looks at the lowest byte only
        });
    }
    const I32 chroma_offset = (row >> 1) * static_cast<int32_t>(frame.chroma_pitch) + (column & ~1), odd = (column & 1)
                                                                                                           << 4;
    int32_t chroma_at[kLanes], second[kLanes];
    memcpy(chroma_at, &chroma_offset, sizeof chroma_at);
    memcpy(second, &odd, sizeof second);
    return wide([&](int i) {  // an odd column's right neighbour has the next chroma
        const uint64_t luma = load_bytes(frame.data + at[i], 2), chroma = load_bytes(frame.chroma + chroma_at[i], 4);
        return (luma & 0xff) | (chroma & 0xffff) << 8 | luma >> 8 << 24 | (chroma >> second[i] & 0xffff) << 32;
    });
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

// Blocks of kLanes output pixels: three channels each.
template <Pixels P>
EP_HD void inner_block(const Frame& frame, const Finish& finish, const Constants& k, Wide x, Wide y, F32 (&out)[3]) {
    const I32 column = high(x), row = high(y);
    const Wide above = pairs<P>(frame, column, row), below = pairs<P>(frame, column, row + 1);
    const I32 p00 = low(above), p01 = low(above >> 24), p10 = low(below), p11 = low(below >> 24);
    const F32 fx = fractions(x), fy = fractions(y);
    F32 level[3];
    for (int c = 0; c < (P == Pixels::gray ? 1 : 3); ++c) {
        const int bit = 8 * finish.channel[c];
        const auto channel = [bit](I32 stored) { return to_f32((stored >> bit) & 0xff); };
        level[c] = bilinear(channel(p00), channel(p01), channel(p10), channel(p11), fx, fy);
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

template <Pixels P, class T>
void one_row(const WarpJob& job, const Constants& k, const F32 (&border)[3], const FixedAffine& map, int row, T* out,
             int64_t plane) {
    const int64_t step = job.layout == Layout::chw ? 1 : 3;
    const int width = static_cast<int>(job.width);
    const uint64_t x0 = map.xy * static_cast<uint64_t>(row) + map.x0, y0 = map.yy * static_cast<uint64_t>(row) + map.y0;
    Wide x = wide([&](int i) { return x0 + map.xx * static_cast<uint64_t>(i); });
    Wide y = wide([&](int i) { return y0 + map.yx * static_cast<uint64_t>(i); });
    int column = 0;
    for (; column + kLanes <= width; column += kLanes, x = x + map.xx * kLanes, y = y + map.yx * kLanes) {
        const Position first = at(map, column, row), last = at(map, column + kLanes - 1, row);
        F32 value[3];
        if (inside<P>(job.frame, first) && inside<P>(job.frame, last)) {
            inner_block<P>(job.frame, job.finish, k, x, y, value);
            put(out + step * column, plane, job.layout, value);
        } else if (job.finish.border == Border::constant && beyond(job.frame, first, last)) {
            put(out + step * column, plane, job.layout, border);
        } else {
            edge_block<P>(job, map, column, row, kLanes, out + step * column, plane);
        }
    }
    edge_block<P>(job, map, column, row, width - column, out + step * column, plane);
}

template <Pixels P, class T>
void rows(const WarpJob& job, int64_t begin, int64_t end) {
    const Constants k = constants(job.finish);
    F32 level[3], border[3];
    for (int c = 0; c < 3; ++c) level[c] = splat(channel(job.finish.outside, 8 * job.finish.channel[c]));
    finished<P>(k.color, k.scale, k.shift, level, border);
    const int64_t plane = job.height * job.width;
    for (int64_t i = begin; i < end; ++i) {
        const int64_t crop = i / job.height, row = i % job.height;
        T* out = static_cast<T*>(job.out) + 3 * plane * crop + (job.layout == Layout::chw ? 1 : 3) * row * job.width;
        one_row<P>(job, k, border, job.maps[crop], static_cast<int>(row), out, plane);
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
