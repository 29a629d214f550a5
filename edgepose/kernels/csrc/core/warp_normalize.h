// warp_normalize for one output pixel: its position in the frame, its four neighbors, their bilinear mean, and
// (level - mean) / std. The docstring of edgepose.kernels.warp_normalize defines the operation.
//
// Positions are fixed-point numbers, 32 bits before and after the point, with pixel centers at integers. Integer
// arithmetic is exact and wraps, so every loop (one pixel per thread, or sixteen pixels at once) computes the same
// position, however it reaches it. The error of a position is at most 2^-32 pixel times the width of the crop.
#pragma once

#include "platform.h"

namespace ep {

enum class Pixels : int { bgr, gray, nv12 };  // how a frame is stored; RGB is BGR with other `Finish::channel`s
enum class Border : int { constant, replicate };
enum class Layout : int { chw, hwc };

struct Frame {
    const uint8_t* data;    // rows of pixels; NV12: rows of luma
    const uint8_t* chroma;  // NV12: rows of U, V pairs, one for 2x2 pixels
    int height, width;
    int64_t pitch, chroma_pitch;  // bytes from one row to the next
};

// Crop -> image, 32.32 fixed point.
struct FixedAffine {
    uint64_t xx, xy, x0;
    uint64_t yx, yy, y0;
};

// How a blended pixel, as the frame stores it (BGR, RGB, Y or YUV), becomes the network's input.
struct Finish {
    float color[12];           // NV12: output channels from Y, U, V and 1, row by row
    int channel[3];            // which stored channel is output channel 0, 1, 2 (NV12: 0, 1, 2; gray: 0, 0, 0)
    float scale[3], shift[3];  // level * scale + shift
    uint32_t outside;          // the stored pixel outside the frame (Border::constant)
    Border border;
};

struct Position {
    int x, y;      // the pixel left and above
    float fx, fy;  // distance from that pixel, [0, 1)
};

EP_HD float fraction(uint32_t below_point) {
    return static_cast<float>(static_cast<int32_t>(below_point >> 8)) * 0x1p-24f;
}

EP_HD Position at(const FixedAffine& map, int column, int row) {
    const uint64_t x = map.xx * static_cast<uint64_t>(column) + map.xy * static_cast<uint64_t>(row) + map.x0;
    const uint64_t y = map.yx * static_cast<uint64_t>(column) + map.yy * static_cast<uint64_t>(row) + map.y0;
    return {static_cast<int>(x >> 32), static_cast<int>(y >> 32), fraction(static_cast<uint32_t>(x)),
            fraction(static_cast<uint32_t>(y))};
}

// A pixel as the frame stores it, three channels in the low 24 bits.
template <Pixels P>
EP_HD uint32_t pixel(const Frame& frame, int x, int y) {
    const uint8_t* row = frame.data + y * frame.pitch;
    if (P == Pixels::gray) return row[x];
    if (P == Pixels::nv12) {
        const uint8_t* pair = frame.chroma + (y >> 1) * frame.chroma_pitch + (x & ~1);
        return row[x] | static_cast<uint32_t>(pair[0]) << 8 | static_cast<uint32_t>(pair[1]) << 16;
    }
    const uint8_t* here = row + 3 * x;
    return here[0] | static_cast<uint32_t>(here[1]) << 8 | static_cast<uint32_t>(here[2]) << 16;
}

// The same with the border rule for positions outside.
template <Pixels P>
EP_HD uint32_t pixel_or_border(const Frame& frame, const Finish& finish, int x, int y) {
    const bool inside = x >= 0 && x < frame.width && y >= 0 && y < frame.height;
    if (!inside && finish.border == Border::constant) return finish.outside;
    return pixel<P>(frame, clamped(x, 0, frame.width - 1), clamped(y, 0, frame.height - 1));
}

EP_HD float channel(uint32_t stored, int low_bit) {
    return static_cast<float>(static_cast<int>((stored >> low_bit) & 0xff));
}

// Bilinear interpolation; V is float, or a vector of floats on the host.
template <class V>
EP_HD V bilinear(V p00, V p01, V p10, V p11, V fx, V fy) {
    const V above = fma(fx, p01 - p00, p00), below = fma(fx, p11 - p10, p10);
    return fma(fy, below - above, above);
}

// Converts blended levels to the three output values. Color conversion is linear, so it may follow the blending. Levels
// outside 0..255 are clamped, as in video players.
template <Pixels P, class V>
EP_HD void finished(const V (&color)[12], const V (&scale)[3], const V (&shift)[3], const V (&level)[3], V (&out)[3]) {
    for (int c = 0; c < 3; ++c) {
        V value = level[c];
        if (P == Pixels::nv12) {
            const V* k = color + 4 * c;
            value = clamped(fma(k[0], level[0], fma(k[1], level[1], fma(k[2], level[2], k[3]))), V{}, V{} + 255.0f);
        }
        out[c] = fma(value, scale[c], shift[c]);
    }
}

// One output pixel, anywhere.
template <Pixels P>
EP_HD void warp_pixel(const Frame& frame, const Finish& finish, const FixedAffine& map, int column, int row,
                      float (&out)[3]) {
    const Position p = at(map, column, row);
    const uint32_t p00 = pixel_or_border<P>(frame, finish, p.x, p.y),
                   p01 = pixel_or_border<P>(frame, finish, p.x + 1, p.y);
    const uint32_t p10 = pixel_or_border<P>(frame, finish, p.x, p.y + 1),
                   p11 = pixel_or_border<P>(frame, finish, p.x + 1, p.y + 1);
    float level[3];
    for (int c = 0; c < 3; ++c) {
        const int low = 8 * finish.channel[c];
        level[c] = bilinear(channel(p00, low), channel(p01, low), channel(p10, low), channel(p11, low), p.fx, p.fy);
    }
    finished<P>(finish.color, finish.scale, finish.shift, level, out);
}

}  // namespace ep
