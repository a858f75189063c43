// The tiled form of DKM on its own: forward and backward of the 16 block matrices of the character model (786,432
// weights), and of square matrices, in float32.
#include "dkm/kernels/tiled.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

struct Layer {
  TiledShape shape;
  std::vector<float> weights, gradient, output, weight_gradient, trajectory;
  std::vector<double> workspace;
};

Layer MakeLayer(std::int64_t vectors, int dim, int clusters, int iterations, std::uint64_t seed) {
  constexpr float kDeviation = 0.02f;
  Layer layer;
  layer.shape = {
      vectors, dim, clusters, iterations, Metric::kSquared, Attention::kLast, 0.01 * kDeviation * kDeviation};
  Random random(seed);
  const std::size_t values = static_cast<std::size_t>(vectors * dim);
  layer.weights.resize(values);
  layer.gradient.resize(values);
  for (float& w : layer.weights) w = kDeviation * static_cast<float>(random.Normal());
  for (float& g : layer.gradient) g = static_cast<float>(random.Normal());
  layer.trajectory.resize(TiledTrajectoryElements(layer.shape));
  for (int i = 0; i < clusters * dim; ++i) {
    const float part = (static_cast<float>(i) + 0.5f) / static_cast<float>(clusters * dim);
    layer.trajectory[static_cast<std::size_t>(i)] = kDeviation * (4 * part - 2);
  }
  layer.output.resize(values);
  layer.weight_gradient.resize(values);
  layer.workspace.resize((TiledWorkspaceBytes(layer.shape, sizeof(float)) + 7) / 8);
  return layer;
}

void Forward(KernelContext& context, Layer& layer) {
  TiledForward(context, layer.shape, layer.weights.data(), layer.trajectory.data(), layer.output.data(),
               layer.workspace.data());
}

void Backward(KernelContext& context, Layer& layer) {
  TiledBackward(context, layer.shape, layer.weights.data(), layer.trajectory.data(), layer.gradient.data(),
                layer.weight_gradient.data(), nullptr, layer.workspace.data());
}

// Arguments: threads, k, T.
void CharacterModel(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  KernelContext context{pool};
  std::vector<Layer> layers;
  for (int block = 0; block < 4; ++block) {
    for (const std::int64_t values : {384 * 128, 128 * 128, 512 * 128, 128 * 512}) {
      layers.push_back(
          MakeLayer(values, 1, static_cast<int>(state.range(1)), static_cast<int>(state.range(2)), layers.size() + 1));
    }
  }
  for (auto _ : state) {
    for (Layer& layer : layers) Forward(context, layer);
    for (Layer& layer : layers) Backward(context, layer);
  }
}
BENCHMARK(CharacterModel)
    ->ArgNames({"threads", "k", "T"})
    ->Args({1, 8, 3})
    ->Args({2, 8, 3})
    ->Args({2, 4, 3})
    ->Args({2, 16, 3})
    ->Args({2, 8, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Two threads, T = 3.
void OneWeight(benchmark::State& state, std::int64_t values, std::int64_t dim, std::int64_t clusters) {
  ThreadPool pool(2);
  KernelContext context{pool};
  Layer layer = MakeLayer(values / dim, static_cast<int>(dim), static_cast<int>(clusters), 3, 1);
  for (auto _ : state) {
    Forward(context, layer);
    Backward(context, layer);
  }
  state.SetItemsProcessed(state.iterations() * values);
}

// Arguments: n of an n x n matrix, d, k.
void Square(benchmark::State& state) {
  OneWeight(state, state.range(0) * state.range(0), state.range(1), state.range(2));
}
BENCHMARK(Square)
    ->ArgNames({"n", "d", "k"})
    ->ArgsProduct({{1024}, {1, 2, 4}, {8}})
    ->ArgsProduct({{1024}, {1}, {4, 16, 64, 256}})
    ->ArgsProduct({{128, 222, 256, 362, 512}, {1}, {8}})  // as large as the smallest weights of the exact form
    ->ArgsProduct({{4096}, {1}, {4, 8, 16, 64, 256}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// Arguments: m, n, k.
void Wide(benchmark::State& state) { OneWeight(state, state.range(0) * state.range(1), 1, state.range(2)); }
BENCHMARK(Wide)
    ->ArgNames({"m", "n", "k"})
    ->ArgsProduct({{4096}, {11008}, {4, 8, 16, 64, 256}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace tierlib::dkm::host
