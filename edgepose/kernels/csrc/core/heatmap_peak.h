// heatmap_peak for one map: the highest pixel, refined, in image coordinates. edgepose/codecs/heatmap.py is the
// definition (it names papers and equations), and the tests compare the two.
#pragma once

#include "half.h"
#include "platform.h"

namespace ep {

enum class Refine : int { argmax, quarter, dark, udp };

enum { kTapsMax = 21 };                      // enough for sigma up to 8
enum { kSideMax = 2 * (kTapsMax + 1) + 1 };  // largest side of the part of a map that a step of DARK reads

// The Gaussian that DARK and UDP blur with, cut at `radius` pixels: taps[0] in the middle, normalized over 2 radius + 1
// taps.
struct Blur {
    int radius;
    float taps[kTapsMax];
};

struct Joint {
    float x, y, score;
};

// The highest value and the lowest index that has it. A NaN counts as the highest value, as in numpy.
struct Peak {
    float value;
    int index;
};

EP_HD bool beats(float a, float b) { return a > b || (a != a && b == b); }

EP_HD Peak better(Peak a, Peak b) {
    if (beats(a.value, b.value)) return a;
    if (beats(b.value, a.value)) return b;
    return a.index < b.index ? a : b;
}

// One map of a crop and, for a flip test, the map of the mirrored crop; values are the mean of the two.
template <class T>
struct Map {
    const T* pixels;
    const T* flipped;  // or null
    int height, width;

    EP_HD_MEMBER float at(int y, int x) const { return at_index(y * width + x, x); }

    // The same for a caller that already has the index; x is its column.
    EP_HD_MEMBER float at_index(int index, int x) const {
        const float value = load(pixels + index);
        if (flipped == nullptr) return value;
        return 0.5f * (value + load(flipped + index + width - 1 - 2 * x));
    }
};

EP_HD float sign(float v) { return v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : 0.0f; }

template <class M>
EP_HD void quarter(const M& map, int x, int y, Joint& joint) {
    if (x > 0 && x < map.width - 1) joint.x += 0.25f * sign(map.at(y, x + 1) - map.at(y, x - 1));
    if (y > 0 && y < map.height - 1) joint.y += 0.25f * sign(map.at(y + 1, x) - map.at(y - 1, x));
}

// Natural logarithm of a positive normal number to about 1 ulp. Unlike log(), it is the same on host and device.
EP_HD float log_of(float v) {
    union {
        float f;
        uint32_t bits;
    } u = {v};
    int exponent = static_cast<int>(u.bits >> 23) - 127;
    u.bits = (u.bits & 0x007fffffu) | 0x3f800000u;
    float m = u.f;
    if (m > 1.41421356f) m *= 0.5f, ++exponent;
    // log(m) = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172
    const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float series = fma(s2, 1.0f / 9, 1.0f / 7);
    series = fma(s2, series, 1.0f / 5);
    series = fma(s2, series, 1.0f / 3);
    const float mantissa = fma(2.0f * s * s2, series, 2.0f * s);
    const float e = static_cast<float>(exponent);
    return fma(e, 0.693359375f, fma(e, -2.12194440e-4f, mantissa));
}

// The blurred map's logarithm around (x, y), p[2][2] in the middle: blurred along columns first, then along rows, each
// sum from tap -radius to radius, zeros outside the map. Host and device lay the work out differently but sum in this
// order. `columns` holds the first pass for one row, columns x - reach - radius and on.
EP_HD float column_sum(const Blur& blur, const float* values, int stride) {
    float sum = 0.0f;
    for (int t = -blur.radius; t <= blur.radius; ++t)
        sum = fma(blur.taps[t < 0 ? -t : t], values[(t + blur.radius) * stride], sum);
    return sum;
}

EP_HD float log_blurred(const Blur& blur, const float* columns) {
    return log_of(larger(column_sum(blur, columns, 1), 1e-10f));
}

// How far from the peak the derivatives of `refine` read, and whether they read (row, column) of that patch.
EP_HD int reach(Refine refine) { return refine == Refine::dark ? 2 : refine == Refine::udp ? 1 : 0; }
EP_HD bool looks_at(Refine refine, int i, int j) {
    return refine == Refine::udp || (i < 0 ? -i : i) + (j < 0 ? -j : j) <= 2;
}

// The step to the top of the paraboloid with these derivatives: at most one pixel, and 0 if it has no top.
EP_HD void newton(float dx, float dy, float dxx, float dxy, float dyy, Joint& joint) {
    const float det = fma(dxx, dyy, -(dxy * dxy));
    if (!(dxx < 0.0f && det > 1e-12f)) return;
    joint.x += clamped(fma(dxy, dy, -(dyy * dx)) / det, -1.0f, 1.0f);
    joint.y += clamped(fma(dxy, dx, -(dxx * dy)) / det, -1.0f, 1.0f);
}

// The step of DARK (Zhang et al. 2020, derivatives over two pixels) or UDP (Huang et al. 2020, over one) from the
// patch.
EP_HD void step(Refine refine, const float (&p)[5][5], Joint& joint) {
    const float c = p[2][2], dx = 0.5f * (p[2][3] - p[2][1]), dy = 0.5f * (p[3][2] - p[1][2]);
    if (refine == Refine::dark) {
        const float corners = p[3][3] - p[1][3] - p[3][1] + p[1][1];
        newton(dx, dy, 0.25f * (p[2][4] - 2.0f * c + p[2][0]), 0.25f * corners, 0.25f * (p[4][2] - 2.0f * c + p[0][2]),
               joint);
    } else {
        const float mixed = p[3][3] - p[2][3] - p[3][2] + 2.0f * c - p[2][1] - p[1][2] + p[1][1];
        newton(dx, dy, p[2][3] - 2.0f * c + p[2][1], 0.5f * mixed, p[3][2] - 2.0f * c + p[1][2], joint);
    }
}

// Whether a step is taken at all: not within `reach` of the border, where the paper's derivatives do not exist.
EP_HD bool steps(Refine refine, int height, int width, int x, int y) {
    const int r = reach(refine);
    return r > 0 && x >= r && x < width - r && y >= r && y < height - r;
}

// affine: [2, 3], to the image.
EP_HD Joint moved(const double* affine, Joint joint) {
    const double x = joint.x, y = joint.y;
    return {static_cast<float>(::fma(affine[0], x, ::fma(affine[1], y, affine[2]))),
            static_cast<float>(::fma(affine[3], x, ::fma(affine[4], y, affine[5]))), joint.score};
}

}  // namespace ep
