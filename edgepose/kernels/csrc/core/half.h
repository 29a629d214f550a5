// IEEE 754 half precision in plain integers, for compilers and CPUs without a half type: round to nearest even,
// subnormals and infinities kept, NaN stays NaN.
#pragma once

#include "platform.h"

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#else
#include <string.h>
#endif

namespace ep {

struct Half {
    uint16_t bits;
};

#if defined(__CUDA_ARCH__)

EP_HD float to_float(Half value) { return __half2float(__ushort_as_half(value.bits)); }
EP_HD Half to_half(float value) { return {__half_as_ushort(__float2half_rn(value))}; }

#else

EP_HD uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

EP_HD float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

EP_HD float to_float(Half value) {
    const uint32_t sign = (value.bits & 0x8000u) << 16, rest = value.bits & 0x7fffu;
    if (rest >= 0x7c00u) return float_of(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    const float magnitude = float_of(rest << 13) * 0x1p112f;  // exact, for subnormals too
    return float_of(sign | bits_of(magnitude));
}

EP_HD Half to_half(float value) {
    const uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
    if (rest >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // rounds above the largest half
    uint32_t half;
    if (rest < 0x38800000u) {  // a subnormal half: adding 0.5 lets the float unit round at its last bit
        half = bits_of(float_of(rest) + 0.5f) - 0x3f000000u;
    } else {
        const uint32_t odd = (rest >> 13) & 1;
        half = (rest - 0x38000000u + 0xfffu + odd) >> 13;
    }
    return {static_cast<uint16_t>(sign | half)};
}

#endif

// Loading and storing either type under one name.
EP_HD float load(const float* at) { return *at; }
EP_HD float load(const Half* at) { return to_float(*at); }
EP_HD void store(float* at, float value) { *at = value; }
EP_HD void store(Half* at, float value) { *at = to_half(value); }

}  // namespace ep
