#include "graph/data_movement.h"

#include <algorithm>
#include <cstring>

#include "base/thread_pool.h"

namespace tierlib {
namespace {

// A copy reduced to the fewest dimensions, the innermost last, all strides in bytes.
struct Plan {
  int rank = 0;
  std::int64_t sizes[Dims::kMaxRank] = {};
  std::int64_t to[Dims::kMaxRank] = {};
  std::int64_t from[Dims::kMaxRank] = {};
  std::int64_t element_bytes = 0;
  bool overlaps = false;  // the destination shows some element more than once (windows)
};

Plan MakePlan(const Layout& destination, const Layout& source) {
  struct Axis {
    std::int64_t size, to, from;
  };
  Axis axes[Dims::kMaxRank];
  int count = 0;
  const std::int64_t element = static_cast<std::int64_t>(ElementBytes(source.dtype));
  for (int i = 0; i < destination.rank(); ++i) {
    // Where the destination repeats, the source holds equal elements: one write is enough.
    if (destination.sizes[i] > 1 && destination.strides[i] > 0) {
      axes[count++] = {destination.sizes[i], destination.strides[i] * element, source.strides[i] * element};
    }
  }
  std::stable_sort(axes, axes + count, [](const Axis& a, const Axis& b) { return a.to > b.to; });
  Plan plan;
  plan.element_bytes = element;
  for (int i = 0; i < count; ++i) {
    const Axis& axis = axes[i];
    if (plan.rank > 0) {
      const int last = plan.rank - 1;
      if (plan.to[last] == axis.to * axis.size && plan.from[last] == axis.from * axis.size) {
        plan.sizes[last] *= axis.size;
        plan.to[last] = axis.to;
        plan.from[last] = axis.from;
        continue;
      }
    }
    plan.sizes[plan.rank] = axis.size;
    plan.to[plan.rank] = axis.to;
    plan.from[plan.rank] = axis.from;
    ++plan.rank;
  }
  std::int64_t run = element;  // that the inner dimensions cover
  for (int i = plan.rank; i-- > 0;) {
    plan.overlaps = plan.overlaps || plan.to[i] < run;
    run += (plan.sizes[i] - 1) * plan.to[i];
  }
  return plan;
}

template <typename T>
void CopyRow(char* to, std::int64_t to_stride, const char* from, std::int64_t from_stride, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_stride, from + i * from_stride, sizeof(T));
  }
}

void CopyInnermost(const Plan& plan, char* to, const char* from) {
  const int inner = plan.rank - 1;
  if (plan.rank == 0) {
    std::memcpy(to, from, static_cast<std::size_t>(plan.element_bytes));
  } else if (plan.to[inner] == plan.element_bytes && plan.from[inner] == plan.element_bytes) {
    std::memcpy(to, from, static_cast<std::size_t>(plan.sizes[inner] * plan.element_bytes));
  } else if (plan.element_bytes == 4) {
    CopyRow<std::uint32_t>(to, plan.to[inner], from, plan.from[inner], plan.sizes[inner]);
  } else if (plan.element_bytes == 8) {
    CopyRow<std::uint64_t>(to, plan.to[inner], from, plan.from[inner], plan.sizes[inner]);
  } else if (plan.element_bytes == 2) {
    CopyRow<std::uint16_t>(to, plan.to[inner], from, plan.from[inner], plan.sizes[inner]);
  } else {
    CopyRow<std::uint8_t>(to, plan.to[inner], from, plan.from[inner], plan.sizes[inner]);
  }
}

void RunPlan(const Plan& plan, char* to, const char* from, ThreadPool& pool) {
  const int outer_rank = std::max(0, plan.rank - 1);
  std::int64_t rows = 1;
  for (int i = 0; i < outer_rank; ++i) rows *= plan.sizes[i];
  const std::int64_t row_elements = plan.rank > 0 ? plan.sizes[plan.rank - 1] : 1;
  // Where places are written more than once, with equal bits, one thread writes them all.
  const std::int64_t grain =
      plan.overlaps ? std::max<std::int64_t>(1, rows) : std::max<std::int64_t>(1, 16384 / row_elements);
  pool.ParallelFor(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t rest = row, to_offset = 0, from_offset = 0;
      for (int i = outer_rank; i-- > 0;) {
        const std::int64_t index = rest % plan.sizes[i];
        rest /= plan.sizes[i];
        to_offset += index * plan.to[i];
        from_offset += index * plan.from[i];
      }
      CopyInnermost(plan, to + to_offset, from + from_offset);
    }
  });
}

// The hull of the bytes that a layout reaches.
Access AccessOf(const void* base, const Layout& layout, bool writes) {
  std::int64_t last = layout.offset_bytes;
  for (int i = 0; i < layout.rank(); ++i) {
    last += (layout.sizes[i] - 1) * layout.strides[i] * static_cast<std::int64_t>(ElementBytes(layout.dtype));
  }
  last += static_cast<std::int64_t>(ElementBytes(layout.dtype));
  return {static_cast<const char*>(base) + layout.offset_bytes, static_cast<std::size_t>(last - layout.offset_bytes),
          writes};
}

}  // namespace

StridedCopy PlanDeviceCopy(void* destination_base, const Layout& destination, const void* source_base,
                           const Layout& source) {
  static_assert(StridedCopy::kMaxRank > Dims::kMaxRank, "one more dimension than a layout has, for bytes");
  const Plan plan = MakePlan(destination, source);
  StridedCopy copy;
  copy.destination = static_cast<char*>(destination_base) + destination.offset_bytes;
  copy.source = static_cast<const char*>(source_base) + source.offset_bytes;
  // Elements may lie anywhere. The largest word that divides both addresses is what the device moves at a time; strides
  // are whole elements, so they are whole words too.
  std::int64_t word = plan.element_bytes;
  while (reinterpret_cast<std::uintptr_t>(copy.destination) % static_cast<std::uintptr_t>(word) != 0 ||
         reinterpret_cast<std::uintptr_t>(copy.source) % static_cast<std::uintptr_t>(word) != 0) {
    word /= 2;
  }
  copy.element_bytes = static_cast<int>(word);
  for (; copy.rank < plan.rank; ++copy.rank) {
    copy.sizes[copy.rank] = plan.sizes[copy.rank];
    copy.destination_strides[copy.rank] = plan.to[copy.rank] / word;
    copy.source_strides[copy.rank] = plan.from[copy.rank] / word;
  }
  if (word < plan.element_bytes) {
    copy.sizes[copy.rank] = plan.element_bytes / word;
    copy.destination_strides[copy.rank] = copy.source_strides[copy.rank] = 1;
    ++copy.rank;
  }
  return copy;
}

Layout PackedLayout(const Layout& layout) { return Layout::Contiguous(layout.dtype, layout.sizes); }

Status LaunchStridedCopy(DeviceBackend& device, Stream stream, void* destination_base, const Layout& destination,
                         const void* source_base, const Layout& source) {
  if (destination.sizes != source.sizes || destination.dtype != source.dtype) {
    return InvalidArgumentError("copy between different sizes or dtypes: " + source.ToString() + " to " +
                                destination.ToString());
  }
  if (source.elements() == 0) return OkStatus();
  if (!device.info().runs_host_kernels) {
    const StridedCopy copy = PlanDeviceCopy(destination_base, destination, source_base, source);
    return device.EnqueueNative([&] { return StridedCopyCuda(copy, stream); });
  }
  const Plan plan = MakePlan(destination, source);
  char* to = static_cast<char*>(destination_base) + destination.offset_bytes;
  const char* from = static_cast<const char*>(source_base) + source.offset_bytes;
  HostKernel kernel;
  kernel.name = "strided_copy";
  kernel.accesses = {AccessOf(source_base, source, false), AccessOf(destination_base, destination, true)};
  kernel.run = [plan, to, from](KernelContext& context) { RunPlan(plan, to, from, context.pool); };
  return device.Launch(stream, std::move(kernel));
}

}  // namespace tierlib
