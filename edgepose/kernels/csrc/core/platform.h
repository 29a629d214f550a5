// Compiler-specific definitions for core/, whose functions are compiled for the host (g++, clang) and the device
// (nvcc).
//
// Every multiply-add is written as fma and contraction is switched off (-ffp-contract=off, -fmad=false), so that
// host and device round in the same way.
#pragma once

#include <stdint.h>

// Functions are static because cpu/ compiles them once for each instruction set, and the linker must not merge them.
#if defined(__CUDACC__)
#define EP_HD static __host__ __device__ __forceinline__
#define EP_HD_MEMBER __host__ __device__ __forceinline__
#else
#include <math.h>
#define EP_HD static inline __attribute__((always_inline))
#define EP_HD_MEMBER inline __attribute__((always_inline))
#endif

namespace ep {

EP_HD float fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
    return ::fmaf(a, b, c);
#else
    return static_cast<float>(static_cast<double>(a) * b + c);  // no such instruction: fmaf would be emulated
#endif
}

template <class T>
EP_HD T smaller(T a, T b) {
    return b < a ? b : a;
}

template <class T>
EP_HD T larger(T a, T b) {
    return a < b ? b : a;
}

template <class T>
EP_HD T clamped(T value, T low, T high) {
    return smaller(larger(value, low), high);
}

EP_HD bool finite(float value) { return value - value == 0.0f; }

}  // namespace ep
