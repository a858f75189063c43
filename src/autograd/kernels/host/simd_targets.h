// Which instruction sets the lanes_*.cc files are compiled for. Include before Highway. Each set is one more
// compilation of the file: on x86 these are AVX-512, AVX2, SSE4 and the baseline, on Arm NEON.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_SIMD_TARGETS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_SIMD_TARGETS_H_

// Vectors whose length the compiler does not know cannot be members or elements, as they are in some kernels.
#define TIERLIB_HWY_SVE (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

#if defined(TIERLIB_FEWER_TARGETS)  // sanitizers: one instruction set above the baseline, for their compile time
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL | TIERLIB_HWY_SVE)
#elif !defined(HWY_DISABLED_TARGETS)  // a file may have less of them
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | TIERLIB_HWY_SVE)
#endif

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_SIMD_TARGETS_H_
