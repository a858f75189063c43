// Matrix times vector from packed indices beside the same from dense bf16, 4096 x 11008 (an MLP of a 7B model).
//
// Cold: matrices in turn, together far larger than the caches, so that each comes from memory, as in a decoder that
// makes one token. Warm: one matrix of 256 x 4096, which stays in the second-level cache or near it: what the
// arithmetic costs.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "dkm/kernels/packed_matvec.h"

namespace tierlib::dkm::host {
namespace {

constexpr std::int64_t kColdBytes = std::int64_t{640} << 20;  // of all matrices: twenty times the last cache

std::vector<float> Vector(std::int64_t count) {
  Random random(2);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

// Bytes are as good as any: every pattern of indices is one.
std::vector<std::uint8_t> Indices(std::int64_t bytes) {
  std::vector<std::uint8_t> indices(static_cast<std::size_t>(bytes));
  std::uint64_t state = 1;
  for (std::uint8_t& index : indices) index = static_cast<std::uint8_t>(SplitMix64(&state));
  return indices;
}

// N(0, 0.02) in bf16, as weights are, each one of 65,536 that are drawn: to draw all takes longer than the product.
// Bits of any kind would be subnormal now and then, which the processor may be slow with.
std::vector<std::uint16_t> Weights(std::int64_t count) {
  Random random(3);
  std::vector<std::uint16_t> drawn(std::size_t{1} << 16);
  for (std::uint16_t& weight : drawn) {
    weight = autograd::host::BF16FromFloat(0.02f * static_cast<float>(random.Normal()));
  }
  std::vector<std::uint16_t> weights(static_cast<std::size_t>(count));
  std::uint64_t state = 1;
  for (std::uint16_t& weight : weights) weight = drawn[SplitMix64(&state) & 0xffff];
  return weights;
}

// Arguments: threads, rows, columns, cold.
void DenseBF16(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const std::int64_t rows = state.range(1), columns = state.range(2);
  const std::int64_t matrices = state.range(3) != 0 ? kColdBytes / (2 * rows * columns) + 1 : 1;
  const std::vector<std::uint16_t> weights = Weights(matrices * rows * columns);
  const std::vector<float> x = Vector(columns);
  std::vector<float> y(static_cast<std::size_t>(rows));
  std::int64_t next = 0;
  for (auto _ : state) {
    DenseBF16Matvec(pool, rows, columns, weights.data() + next * rows * columns, x.data(), y.data());
    next = (next + 1) % matrices;
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(state.iterations() * 2 * rows * columns);
}

// Arguments: threads, rows, columns, cold, bits.
void Packed(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const PaletteShape shape = *MakePaletteShape({state.range(1), state.range(2)}, static_cast<int>(state.range(4)), 0);
  const std::int64_t matrices = state.range(3) != 0 ? kColdBytes / shape.index_bytes() + 1 : 1;
  const std::vector<std::uint8_t> indices = Indices(matrices * shape.index_bytes());
  const std::vector<float> table = Vector(shape.clusters()), x = Vector(shape.columns);
  std::vector<float> y(static_cast<std::size_t>(shape.rows));
  std::int64_t next = 0;
  for (auto _ : state) {
    PackedMatvec(pool, {shape, indices.data() + next * shape.index_bytes(), table.data(), x.data(), y.data()});
    next = (next + 1) % matrices;
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(state.iterations() * shape.index_bytes());
}

void DenseCases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "rows", "columns", "cold"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const int threads : {1, 2}) bench->Args({threads, 4096, 11008, 1});
  bench->Args({1, 256, 4096, 0});
}
BENCHMARK(DenseBF16)->Apply(DenseCases);

void PackedCases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "rows", "columns", "cold", "bits"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8}) {
    for (const int threads : {1, 2}) bench->Args({threads, 4096, 11008, 1, bits});
    bench->Args({1, 256, 4096, 0, bits});
  }
}
BENCHMARK(Packed)->Apply(PackedCases);

}  // namespace
}  // namespace tierlib::dkm::host

BENCHMARK_MAIN();
