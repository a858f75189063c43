// Grids: how CUDA kernels are written, so that the same source also runs on the host.
//
// A kernel is a plain struct. It says how many threads a block has and what all threads of a block do in each of its
// phases; between two phases stands a barrier, and nothing but memory crosses it. A block goes through
//   Start<0>, Start<1> ...;  Rounds(block) times Round<0>, Round<1> ...;  Finish<0>, Finish<1> ...
// On a device each thread runs its own (run_kernel.h). On the host one thread takes the threads of a block and the
// blocks of a grid in turn (sequential_grid.h): the same decomposition, and with the same arithmetic the same
// bits. A kernel must not depend on the order in which threads or blocks run.
//
// Thread-safety: functions of memory that the caller names; on the host for one thread.
#ifndef TIERLIB_SRC_BASE_CUDA_GRID_H_
#define TIERLIB_SRC_BASE_CUDA_GRID_H_

#include <cstdint>
#include <utility>

#if defined(__CUDACC__)
#define TIERLIB_HOST_DEVICE __host__ __device__
#else
#define TIERLIB_HOST_DEVICE
#endif

namespace tierlib {

// Integers alone: what many threads add is the same in every order.
template <typename Integer>
TIERLIB_HOST_DEVICE inline void AtomicAdd(Integer* to, Integer value) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(Integer) == 8) {
    atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
  } else {
    atomicAdd(to, value);
  }
#else
  *to += value;
#endif
}

TIERLIB_HOST_DEVICE inline std::uint32_t AtomicFetchAdd(std::uint32_t* to, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
  return atomicAdd(to, value);
#else
  return std::exchange(*to, *to + value);
#endif
}

TIERLIB_HOST_DEVICE inline void AtomicMax(std::uint32_t* to, std::uint32_t value) {
#if defined(__CUDA_ARCH__)
  atomicMax(to, value);
#else
  if (value > *to) *to = value;
#endif
}

TIERLIB_HOST_DEVICE inline void AtomicMin(std::int64_t* to, std::int64_t value) {
#if defined(__CUDA_ARCH__)
  atomicMin(reinterpret_cast<long long*>(to), static_cast<long long>(value));
#else
  if (value < *to) *to = value;
#endif
}

// What this thread wrote is seen by whoever sees what it does next.
TIERLIB_HOST_DEVICE inline void Fence() {
#if defined(__CUDA_ARCH__)
  __threadfence();
#endif
}

// What other blocks of the same kernel wrote: past the first-level cache.
TIERLIB_HOST_DEVICE inline double LoadFresh(const double* from) {
#if defined(__CUDA_ARCH__)
  return __ldcg(from);
#else
  return *from;
#endif
}

// Eight 16-bit or four 32-bit elements as one access.
template <typename Element, int kCount>
struct alignas(16) Pack {
  Element elements[kCount];
};

// Whether packs of 16 bytes may be read there.
inline bool IsPackAligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

// Calls body(std::integral_constant<int, 0>{}), ... in order.
template <class Body, int... kIndices>
TIERLIB_HOST_DEVICE inline void ForEachIndex(const Body& body, std::integer_sequence<int, kIndices...>) {
  (body(std::integral_constant<int, kIndices>{}), ...);
}

// A block of a kernel. `threads(f)` calls f(thread) for its threads and waits for all.
template <class Kernel, class Threads>
TIERLIB_HOST_DEVICE inline void RunBlock(const Kernel& kernel, int block, typename Kernel::Shared* shared,
                                         const Threads& threads) {
  ForEachIndex(
      [&](auto phase) { threads([&](int thread) { kernel.template Start<phase.value>(block, thread, shared); }); },
      std::make_integer_sequence<int, Kernel::kStartPhases>());
  const std::int64_t rounds = kernel.Rounds(block);
  for (std::int64_t round = 0; round < rounds; ++round) {
    ForEachIndex(
        [&](auto phase) {
          threads([&](int thread) { kernel.template Round<phase.value>(round, block, thread, shared); });
        },
        std::make_integer_sequence<int, Kernel::kRoundPhases>());
  }
  ForEachIndex(
      [&](auto phase) { threads([&](int thread) { kernel.template Finish<phase.value>(block, thread, shared); }); },
      std::make_integer_sequence<int, Kernel::kFinishPhases>());
}

// What a kernel has where it needs no more.
struct PlainKernel {
  using Shared = std::uint32_t;
  static constexpr int kThreads = 256;
  static constexpr int kStartPhases = 1;
  static constexpr int kRoundPhases = 0;
  static constexpr int kFinishPhases = 0;
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int /*block*/) const { return 0; }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t /*round*/, int /*block*/, int /*thread*/, Shared* /*shared*/) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int /*block*/, int /*thread*/, Shared* /*shared*/) const {}
};

// Blocks of `per_block` items for `items`, at most `most`, at least one.
inline int BlocksFor(std::int64_t items, std::int64_t per_block, std::int64_t most) {
  const std::int64_t blocks = (items + per_block - 1) / per_block;
  return static_cast<int>(blocks < 1 ? 1 : (blocks > most ? most : blocks));
}

// What a device has, where that decides how work is cut up. Results do not depend on it.
struct DeviceLimits {
  int processors = 132;
  int shared_bytes = 48 * 1024;  // that a block may have
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CUDA_GRID_H_
