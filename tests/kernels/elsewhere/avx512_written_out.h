// Compiled before anything else: the instructions that csrc/cpu/simd.h has for AVX-512, lane by lane from Intel's
// description of them, so that its sixteen lanes can be tested on any x86.
#pragma once

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define __AVX__ 1
#define __AVX2__ 1
#define __AVX512F__ 1
#define __FMA__ 1

namespace written_out {

inline __m512 set1(float v) { return __m512{} + v; }

inline __m512 fmadd(__m512 a, __m512 b, __m512 c) {
    for (int i = 0; i < 16; ++i) c[i] = ::fmaf(a[i], b[i], c[i]);
    return c;
}

// The second where either is NaN or both are zero.
inline __m512 max(__m512 a, __m512 b) {
    for (int i = 0; i < 16; ++i) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
}

inline int sign_bits(__m512i v) {
    int32_t lanes[16];
    memcpy(lanes, &v, sizeof lanes);
    int bits = 0;
    for (int i = 0; i < 16; ++i) bits |= (lanes[i] < 0) << i;
    return bits;
}

// Within each 16 bytes; zero where the selector's high bit is set.
inline __m512i shuffle_bytes(__m512i v, __m512i selector) {
    uint8_t from[64], which[64], made[64];
    memcpy(from, &v, sizeof from);
    memcpy(which, &selector, sizeof which);
    for (int i = 0; i < 64; ++i) made[i] = which[i] & 0x80 ? 0 : from[(i & ~15) + (which[i] & 15)];
    memcpy(&v, made, sizeof made);
    return v;
}

inline __m512 from_halves(__m256i v) {
    _Float16 lanes[16];
    memcpy(lanes, &v, sizeof lanes);
    __m512 floats{};
    for (int i = 0; i < 16; ++i) floats[i] = static_cast<float>(lanes[i]);
    return floats;
}

inline __m256i to_halves(__m512 v) {
    _Float16 lanes[16];
    for (int i = 0; i < 16; ++i) lanes[i] = static_cast<_Float16>(v[i]);
    __m256i halves{};
    memcpy(&halves, lanes, sizeof halves);
    return halves;
}

}  // namespace written_out

#define _mm512_set1_ps written_out::set1
#define _mm512_fmadd_ps written_out::fmadd
#define _mm512_max_ps written_out::max
#define _mm512_shuffle_epi8 written_out::shuffle_bytes
#define _mm512_movepi32_mask written_out::sign_bits
#define _mm512_cvtph_ps written_out::from_halves
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph(v, rounding) written_out::to_halves(v)
