// Vectors of kLanes floats or integers, in the vector types of g++ and clang, so that the templates of core/ accept
// them like a float. Every file of this folder that includes this one is compiled once for each instruction set
// (CMakeLists.txt gives EP_ISA and the flags), and dispatch.cpp decides which of them runs. Nothing here or in core/
// has external linkage, and no C++ library header is included, because the linker would merge functions that were
// compiled for different CPUs.
#pragma once

#include <string.h>

#include "../core/half.h"
#include "../core/platform.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ep {

#if defined(__AVX512F__)
enum { kLanes = 16 };
#elif defined(__AVX2__)
enum { kLanes = 8 };
#else
enum { kLanes = 4 };
#endif

typedef float F32 __attribute__((vector_size(kLanes * 4)));
typedef double F64 __attribute__((vector_size(kLanes * 8)));
typedef int32_t I32 __attribute__((vector_size(kLanes * 4)));
typedef uint32_t U32 __attribute__((vector_size(kLanes * 4)));

EP_HD F32 to_f32(I32 v) { return __builtin_convertvector(v, F32); }

EP_HD F32 load_lanes(const float* at) {
    F32 v;
    memcpy(&v, at, sizeof v);
    return v;
}

EP_HD void store_lanes(float* at, F32 v) { memcpy(at, &v, sizeof v); }

#if defined(__AVX512F__)

EP_HD F32 splat(float v) { return (F32)_mm512_set1_ps(v); }
EP_HD F32 fma(F32 a, F32 b, F32 c) { return (F32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }

EP_HD F32 load_lanes(const Half* at) {
    __m256i bits;
    memcpy(&bits, at, sizeof bits);
    return (F32)_mm512_cvtph_ps(bits);
}

EP_HD void store_lanes(Half* at, F32 v) {
    const __m256i bits = _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    memcpy(at, &bits, sizeof bits);
}

#elif defined(__AVX2__)

EP_HD F32 splat(float v) { return (F32)_mm256_set1_ps(v); }
EP_HD F32 fma(F32 a, F32 b, F32 c) { return (F32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }

EP_HD F32 load_lanes(const Half* at) {
    __m128i bits;
    memcpy(&bits, at, sizeof bits);
    return (F32)_mm256_cvtph_ps(bits);
}

EP_HD void store_lanes(Half* at, F32 v) {
    const __m128i bits = _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    memcpy(at, &bits, sizeof bits);
}

#else

EP_HD F32 splat(float v) { return F32{v, v, v, v}; }

EP_HD F32 fma(F32 a, F32 b, F32 c) {
#if defined(__aarch64__)
    return (F32)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    const auto wide = [](F32 v) { return __builtin_convertvector(v, F64); };
    return __builtin_convertvector(wide(a) * wide(b) + wide(c), F32);
#endif
}

EP_HD F32 load_lanes(const Half* at) {
#if defined(__aarch64__)
    return (F32)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&at->bits)));
#else
    return F32{to_float(at[0]), to_float(at[1]), to_float(at[2]), to_float(at[3])};
#endif
}

EP_HD void store_lanes(Half* at, F32 v) {
#if defined(__aarch64__)
    vst1_u16(&at->bits, vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v)));
#else
    for (int i = 0; i < kLanes; ++i) at[i] = to_half(v[i]);
#endif
}

#endif

// The same as the functions for float; the result is `a` if either value is NaN.
EP_HD F32 larger(F32 a, F32 b) {
#if defined(__AVX512F__)
    return (F32)_mm512_max_ps((__m512)b, (__m512)a);
#elif defined(__AVX2__)
    return (F32)_mm256_max_ps((__m256)b, (__m256)a);
#elif defined(__SSE2__)
    return (F32)_mm_max_ps((__m128)b, (__m128)a);
#else
    return a < b ? b : a;
#endif
}

EP_HD F32 smaller(F32 a, F32 b) { return b < a ? b : a; }

// The lanes in which either value is NaN.
EP_HD I32 unordered(F32 a, F32 b) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    return (I32)_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q);
#elif defined(__SSE2__) && !defined(__AVX__)
    return (I32)_mm_cmpunord_ps((__m128)a, (__m128)b);
#else
    return (a != a) | (b != b);
#endif
}

// Whether any lane of a comparison's result is set.
EP_HD bool any(I32 v) {
#if defined(__AVX512F__)
    return _mm512_movepi32_mask((__m512i)v) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)v) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)v) != 0;
#elif defined(__aarch64__)
    return vmaxvq_u32((uint32x4_t)v) != 0;
#else
    return (v[0] | v[1] | v[2] | v[3]) != 0;
#endif
}

EP_HD F32 clamped(F32 v, F32 low, F32 high) { return smaller(larger(v, low), high); }

// byte_of(v, byte_selector(b)) is byte b of each lane, as an integer.
EP_HD I32 byte_selector(int b) {
#if defined(__AVX2__)
    I32 v;  // Each index selects a byte within 16 bytes; an index with the high bit set gives zero.
    for (int i = 0; i < kLanes; ++i) v[i] = static_cast<int32_t>(0x80808000u + static_cast<uint32_t>(4 * (i % 4) + b));
    return v;
#else
    return I32{} + 8 * b;
#endif
}

EP_HD I32 byte_of(I32 v, I32 selector) {
#if defined(__AVX512F__)
    return (I32)_mm512_shuffle_epi8((__m512i)v, (__m512i)selector);
#elif defined(__AVX2__)
    return (I32)_mm256_shuffle_epi8((__m256i)v, (__m256i)selector);
#else
    return (v >> selector[0]) & 0xff;
#endif
}

// kLanes 64-bit integers, whose halves can be read as kLanes 32-bit integers in lane order.
#if defined(__AVX2__) && !defined(__AVX512F__)

typedef uint64_t U64x4 __attribute__((vector_size(32)));

// The lanes are stored as 0, 1, 4, 5 and 2, 3, 6, 7, an order that one shuffle of each half reverses.
struct Wide {
    U64x4 even, odd;
};

template <class Lane>
EP_HD Wide wide(Lane lane) {
    return {U64x4{lane(0), lane(1), lane(4), lane(5)}, U64x4{lane(2), lane(3), lane(6), lane(7)}};
}

EP_HD Wide operator+(Wide v, uint64_t step) { return {v.even + step, v.odd + step}; }
EP_HD Wide operator>>(Wide v, int bits) { return {v.even >> bits, v.odd >> bits}; }
EP_HD I32 low(Wide v) { return (I32)_mm256_shuffle_ps((__m256)v.even, (__m256)v.odd, 0x88); }
EP_HD I32 high(Wide v) { return (I32)_mm256_shuffle_ps((__m256)v.even, (__m256)v.odd, 0xdd); }

#else

typedef uint64_t Wide __attribute__((vector_size(kLanes * 8)));

template <class Lane>
EP_HD Wide wide(Lane lane) {
    Wide v;
    for (int i = 0; i < kLanes; ++i) v[i] = lane(i);
    return v;
}

EP_HD I32 low(Wide v) { return __builtin_convertvector(v, I32); }
EP_HD I32 high(Wide v) { return __builtin_convertvector(v >> 32, I32); }

#endif

}  // namespace ep
