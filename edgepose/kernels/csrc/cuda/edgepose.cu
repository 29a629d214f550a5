// All kernels of edgepose in one file, so that CMakeLists.txt compiles one fatbin for all GPUs. edgepose/kernels/cuda
// chooses the kernel, the grid and the job of an operation.
//
// A kernel works on the stream it is launched on, allocates no memory, keeps no state and reads through plain pointers
// (no textures), so it can be captured in a CUDA graph and any number of streams may run it.
//
// Equality with the host: every sum has the order that core/ defines, multiply-adds are fma and nothing else is
// contracted (-fmad=false), and division, square root and conversions round to nearest as IEEE 754 says (nvcc's own
// defaults: -prec-div, -prec-sqrt, no -ftz). So crops, joints, peaks and scores are equal bit for bit to those of the
// avx2, avx512 and neon loops, in float32 and float16. The sse2 and generic loops have no fma instruction and round it
// twice, so they may differ in the last bit of such a step. A NaN occurs wherever it does on the host, but its bits may
// differ.
#include "heatmap_peak.cu"
#include "onestage_people.cu"
#include "paf_peaks.cu"
#include "paf_score.cu"
#include "regress_to_image.cu"
#include "simcc_peak.cu"
#include "warp_normalize.cu"
