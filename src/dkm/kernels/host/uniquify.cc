#include "dkm/kernels/uniquify.h"

#include <algorithm>

#include "base/check.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

constexpr std::int64_t kGrain = 16'384;  // weights of a tile

// Calls f with a function from a position to a key.
template <typename F>
void WithKeys(const KeyedWeights& weights, const F& f) {
  if (weights.element_bytes == 2) {
    f([values = static_cast<const std::uint16_t*>(weights.values)](std::int64_t i) { return values[i]; });
  } else {
    f([values = static_cast<const std::uint32_t*>(weights.values)](std::int64_t i) {
      return static_cast<std::uint16_t>(values[i] >> 16);
    });
  }
}

// Calls f with an unsigned integer of the size of an element.
template <typename F>
void WithElement(std::size_t bytes, const F& f) {
  switch (bytes) {
    case 2: return f(std::uint16_t{});
    case 4: return f(std::uint32_t{});
    case 8: return f(std::uint64_t{});
    default: TIERLIB_CHECK(false, "a map has elements of another size than 2, 4 or 8 bytes");
  }
}

bool HaveSixteenBits(KernelContext& context, const KeyedWeights& weights) {
  if (weights.element_bytes == 2) return true;
  std::atomic<bool> wide{false};
  const auto* values = static_cast<const std::uint32_t*>(weights.values);
  context.pool.ParallelFor(weights.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::uint32_t low = 0;
    for (std::int64_t i = begin; i < end; ++i) low |= values[i] & 0xFFFF;
    if (low != 0) wide.store(true, std::memory_order_relaxed);
  });
  return !wide.load(std::memory_order_relaxed);
}

// The row of each key that occurs.
const std::uint16_t* RowsByKey(const TableArguments& a) {
  auto* const rows = static_cast<std::uint16_t*>(a.workspace);
  for (std::int64_t u = 0; u < a.distinct; ++u) rows[a.keys[u]] = static_cast<std::uint16_t>(u);
  return rows;
}

// Calls visit(element of the map, element of the table) for all weights' rows, in parallel. Elements that lie side by
// side in the map are visited one after the other.
template <typename E, typename M, typename T, typename Visit>
void ForEachElement(KernelContext& context, const TableArguments& a, M* map, T* table, const Visit& visit) {
  const MapShape& shape = a.shape;
  const std::uint16_t* const row_of = RowsByKey(a);
  WithKeys(a.weights, [&](const auto& key) {
    context.pool.ParallelFor(shape.rows, kGrain, [&](std::int64_t begin, std::int64_t end) {
      if (shape.column_stride == 1) {
        for (std::int64_t i = begin; i < end; ++i) {
          M* const to = map + i * shape.row_stride;
          T* const from = table + row_of[key(i)] * shape.columns;
          for (std::int64_t j = 0; j < shape.columns; ++j) visit(to[j], from[j]);
        }
        return;
      }
      for (std::int64_t j = 0; j < shape.columns; ++j) {
        M* const column = map + j * shape.column_stride;
        for (std::int64_t i = begin; i < end; ++i) {
          visit(column[i * shape.row_stride], table[row_of[key(i)] * shape.columns + j]);
        }
      }
    });
  });
}

}  // namespace

// One thread: the pass is about as fast as memory, and tiles would need a table of positions each.
void FindDistinct(KernelContext& context, const FindDistinctArguments& a) {
  a.found->count = 0;
  if (!HaveSixteenBits(context, a.weights)) return;
  constexpr std::int64_t kNone = -1;
  std::fill_n(a.first, kKeys, kNone);
  WithKeys(a.weights, [&](const auto& key) {
    for (std::int64_t i = 0; i < a.weights.count; ++i) {
      std::int64_t& first = a.first[key(i)];
      if (first == kNone) first = i;
    }
  });
  std::int64_t count = 0;
  for (std::int64_t key = 0; key < kKeys; ++key) {
    if (a.first[key] == kNone) continue;
    a.keys[count] = static_cast<std::uint16_t>(key);
    a.first[count++] = a.first[key];
  }
  a.found->count = count;
}

void TakeRows(KernelContext& context, const TakeRowsArguments& a) {
  WithElement(a.table_of.shape.element_bytes, [&](auto element) {
    using E = decltype(element);
    const MapShape& shape = a.table_of.shape;
    const auto* const map = static_cast<const E*>(a.map);
    auto* const table = static_cast<E*>(a.table);
    for (std::int64_t u = 0; u < a.table_of.distinct; ++u) {
      const E* const row = map + a.first[u] * shape.row_stride;
      for (std::int64_t j = 0; j < shape.columns; ++j) table[u * shape.columns + j] = row[j * shape.column_stride];
    }
    ForEachElement<E>(context, a.table_of, map, static_cast<const E*>(table), [&](const E& in_map, const E& in_table) {
      if (in_map != in_table) a.differs->store(true, std::memory_order_relaxed);
    });
  });
}

void PlaceRows(KernelContext& context, const PlaceRowsArguments& a) {
  WithElement(a.table_of.shape.element_bytes, [&](auto element) {
    using E = decltype(element);
    ForEachElement<E>(context, a.table_of, static_cast<E*>(a.map), static_cast<const E*>(a.table),
                      [](E& in_map, const E& in_table) { in_map = in_table; });
  });
}

}  // namespace tierlib::dkm::host
