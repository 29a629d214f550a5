// warp_normalize on the device: blockIdx.z is the crop, and a warp computes 32 neighboring pixels of kRowsEach rows, so
// that planes are stored in whole memory lines. The layout hwc goes through shared memory for the same reason.
//
// A pixel is three bytes at any address. If all words that would be read are within the row, pixels are taken from
// aligned words: five loads for the four pixels instead of twelve loads of one byte. Otherwise core's warp_pixel reads
// them, with the border rule.
#include "../core/jobs.h"
#include "block.h"

namespace ep {
namespace warp {

enum { kWarps = 4, kRowsEach = 2 };

// Two neighbors in a row as the frame stores them, three channels in the low 24 bits; the highest byte is undefined.
struct Pair {
    uint32_t left, right;
};

struct Words {
    const uint32_t* at;
    uint32_t shift;  // bits before the requested address
};

EP_DEVICE Words words(const uint8_t* address) {
    const uintptr_t value = reinterpret_cast<uintptr_t>(address);
    return {reinterpret_cast<const uint32_t*>(value & ~uintptr_t{3}), static_cast<uint32_t>(value & 3) * 8};
}

// `count` bytes (at most 4) from an address, the first one lowest; the remaining bytes are undefined.
template <int count>
EP_DEVICE uint32_t bytes(const uint8_t* address) {
    const Words from = words(address);
    const uint32_t next = from.shift > 32 - 8 * count ? __ldg(from.at + 1) : 0;
    return __funnelshift_r(__ldg(from.at), next, from.shift);
}

template <Pixels P>
EP_DEVICE Pair pair(const Frame& frame, int x, int y) {
    const uint8_t* here = frame.data + y * frame.pitch + (P == Pixels::bgr ? 3 * x : x);
    if (P == Pixels::bgr) {
        const Words from = words(here);
        const uint32_t second = __ldg(from.at + 1), third = from.shift == 24 ? __ldg(from.at + 2) : 0;
        const uint32_t left = __funnelshift_r(__ldg(from.at), second, from.shift);
        return {left, __byte_perm(left, __funnelshift_r(second, third, from.shift), 0x0543)};
    }
    const uint32_t luma = bytes<2>(here);
    if (P == Pixels::gray) return {luma, luma >> 8};
    const uint32_t chroma = bytes<4>(frame.chroma + (y >> 1) * frame.chroma_pitch + (x & ~1));
    return {__byte_perm(luma, chroma, 0x0540), __byte_perm(luma, chroma, x & 1 ? 0x0761 : 0x0541)};
}

// How many pixels the words that hold the four neighbors reach beyond the left neighbor, in its row.
template <Pixels P>
struct Margin;
template <>
struct Margin<Pixels::bgr> {
    enum { before = 1, after = 2 };
};
template <>
struct Margin<Pixels::gray> {
    enum { before = 3, after = 4 };
};
template <>
struct Margin<Pixels::nv12> {
    enum { before = 4, after = 6 };
};

template <Pixels P>
EP_DEVICE bool inside(const Frame& frame, const Position& p) {
    return p.x >= Margin<P>::before && p.x < frame.width - Margin<P>::after && p.y >= 0 && p.y < frame.height - 1;
}

// Channel c of a stored pixel as a float. The byte becomes the lowest byte of the float 2^23, whose last bit counts 1.
// This is exact and faster than a conversion.
EP_DEVICE float level(uint32_t stored, int c) {
    return __uint_as_float(__byte_perm(stored, 0x4b000000u, 0x7440u + static_cast<unsigned>(c))) - 8388608.0f;
}

template <Pixels P>
EP_DEVICE void one_pixel(const WarpJob& job, const FixedAffine& map, int column, int row, float (&out)[3]) {
    const Position p = at(map, column, row);
    if (!inside<P>(job.frame, p)) return warp_pixel<P>(job.frame, job.finish, map, column, row, out);
    const Pair above = pair<P>(job.frame, p.x, p.y), below = pair<P>(job.frame, p.x, p.y + 1);
    float blended[3];
    for (int c = 0; c < 3; ++c) {
        if (P == Pixels::gray && c > 0) {
            blended[c] = blended[0];
            continue;
        }
        const int from = job.finish.channel[c];
        blended[c] = bilinear(level(above.left, from), level(above.right, from), level(below.left, from),
                              level(below.right, from), p.fx, p.fy);
    }
    finished<P>(job.finish.color, job.finish.scale, job.finish.shift, blended, out);
}

// Stores a warp's pixels of one row, `count` of which are within the crop. `out` is the address of the first.
template <Layout L, class T>
EP_DEVICE void put_row(const float (&value)[3], int count, T* out, int64_t plane) {
    const int lane = threadIdx.x;
    if (L == Layout::chw) {
        if (lane >= count) return;
        for (int c = 0; c < 3; ++c) store(out + c * plane + lane, value[c]);
        return;
    }
    __shared__ T rows[kWarps][3 * kLanesOfWarp];
    T* row = rows[threadIdx.y];
    for (int c = 0; c < 3; ++c) store(row + 3 * lane + c, value[c]);
    __syncwarp();
    for (int i = lane; i < 3 * count; i += kLanesOfWarp) out[i] = row[i];
    __syncwarp();  // The next row overwrites the shared memory.
}

template <Pixels P, class T, Layout L>
EP_DEVICE void warp_normalize(const WarpJob& job) {
    const int width = static_cast<int>(job.width), height = static_cast<int>(job.height);
    const int64_t crop = blockIdx.z, plane = job.height * job.width;
    const int left = static_cast<int>(blockIdx.x) * kLanesOfWarp, column = left + static_cast<int>(threadIdx.x);
    const int top = (static_cast<int>(blockIdx.y) * kWarps + static_cast<int>(threadIdx.y)) * kRowsEach;
    const FixedAffine map = job.maps[crop];
    float value[kRowsEach][3] = {};  // All pixels are read before any is stored, because a store delays later reads.
#pragma unroll
    for (int r = 0; r < kRowsEach; ++r)
        if (column < width && top + r < height) one_pixel<P>(job, map, column, top + r, value[r]);
    T* out = static_cast<T*>(job.out) + 3 * plane * crop;
#pragma unroll
    for (int r = 0; r < kRowsEach; ++r) {
        if (top + r >= height) return;
        const int64_t first = static_cast<int64_t>(top + r) * width + left;
        put_row<L>(value[r], smaller(width - left, static_cast<int>(kLanesOfWarp)),
                   out + (L == Layout::chw ? first : 3 * first), plane);
    }
}

}  // namespace warp
}  // namespace ep

#define EP_WARP_NORMALIZE(PIXELS, TYPE_NAME, TYPE, LAYOUT)                           \
    extern "C" __global__ void __launch_bounds__(ep::warp::kWarps* ep::kLanesOfWarp) \
        warp_normalize_##PIXELS##_##TYPE_NAME##_##LAYOUT(const ep::WarpJob job) {    \
        ep::warp::warp_normalize<ep::Pixels::PIXELS, TYPE, ep::Layout::LAYOUT>(job); \
    }
#define EP_WARP_NORMALIZE_ALL(PIXELS)             \
    EP_WARP_NORMALIZE(PIXELS, f32, float, chw)    \
    EP_WARP_NORMALIZE(PIXELS, f32, float, hwc)    \
    EP_WARP_NORMALIZE(PIXELS, f16, ep::Half, chw) \
    EP_WARP_NORMALIZE(PIXELS, f16, ep::Half, hwc)

EP_WARP_NORMALIZE_ALL(bgr)
EP_WARP_NORMALIZE_ALL(gray)
EP_WARP_NORMALIZE_ALL(nv12)
