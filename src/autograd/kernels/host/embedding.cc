#include "autograd/kernels/embedding.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_elementwise.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

std::int64_t RowGrain(std::int64_t width) {
  return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, width));
}

// The positions at which each row of the table is used, in ascending order: those of row v are
// order[first[v]] ... order[first[v + 1] - 1]. A counting sort, O(vocabulary + count), on one thread.
struct Uses {
  std::int32_t* first = nullptr;  // [vocabulary + 2]
  std::int32_t* order = nullptr;  // [count]

  Uses(const EmbeddingBackwardArguments& a)
      : first(static_cast<std::int32_t*>(a.workspace)), order(first + a.vocabulary + 2) {
    // first[v + 2] counts the uses of v; summed up, first[v + 1] is where the next use of v goes; once all are placed
    // it is where those of v + 1 begin.
    std::fill(first, first + a.vocabulary + 2, 0);
    for (std::int64_t i = 0; i < a.count; ++i) {
      if (Inside(a, i)) ++first[a.indices[i] + 2];
    }
    for (std::int64_t v = 2; v < a.vocabulary + 2; ++v) first[v] += first[v - 1];
    for (std::int64_t i = 0; i < a.count; ++i) {
      if (Inside(a, i)) order[first[a.indices[i] + 1]++] = static_cast<std::int32_t>(i);
    }
  }

  static bool Inside(const EmbeddingBackwardArguments& a, std::int64_t i) {
    return a.indices[i] >= 0 && a.indices[i] < a.vocabulary;
  }
};

template <typename T>
void SumRow(const EmbeddingBackwardArguments& a, const Uses& uses, std::int64_t v) {
  T sum_buffer[kChunk];
  T dy_buffer[kChunk];
  for (std::int64_t j = 0; j < a.width; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.width - j);
    T* sum = OpenChunk(a.dtype, a.dtable, v * a.width + j, 1, sum_buffer);
    std::fill(sum, sum + n, T{0});
    for (std::int32_t use = uses.first[v]; use < uses.first[v + 1]; ++use) {
      const T* dy = ReadChunk(a.dtype, a.dy, uses.order[use] * a.width + j, 1, n, dy_buffer);
      BinaryLanes(BinaryOp::kAdd, 0, 0, sum, dy, sum, static_cast<std::size_t>(n));
    }
    CloseChunk(a.dtype, a.dtable, v * a.width + j, 1, n, sum);
  }
}

}  // namespace

void EmbeddingForward(KernelContext& context, const EmbeddingForwardArguments& a) {
  const std::size_t row_bytes = static_cast<std::size_t>(a.width) * ElementBytes(a.dtype);
  const auto* table = static_cast<const std::byte*>(a.table);
  auto* y = static_cast<std::byte*>(a.y);
  context.pool.ParallelFor(a.count, RowGrain(a.width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int32_t index = a.indices[i];
      if (index >= 0 && index < a.vocabulary) {
        std::memcpy(y + static_cast<std::size_t>(i) * row_bytes, table + static_cast<std::size_t>(index) * row_bytes,
                    row_bytes);
        continue;
      }
      for (std::int64_t j = 0; j < a.width; ++j) {
        WriteElement(a.dtype, a.y, i * a.width + j, std::numeric_limits<double>::quiet_NaN());
      }
    }
  });
}

void EmbeddingBackward(KernelContext& context, const EmbeddingBackwardArguments& a) {
  const Uses uses(a);
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    // A row of the table may be used by most positions, so tiles are small and threads take the next as they come free.
    context.pool.ParallelFor(a.vocabulary, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t v = begin; v < end; ++v) SumRow<T>(a, uses, v);
    });
  });
}

std::size_t EmbeddingBackwardWorkspaceBytes(std::int64_t vocabulary, std::int64_t count) {
  return static_cast<std::size_t>(vocabulary + 2 + count) * sizeof(std::int32_t);
}

}  // namespace tierlib::autograd::host
