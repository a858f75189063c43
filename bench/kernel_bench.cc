// Times of the host kernels at the sizes of a small language model's training step: 4 layers, 4 heads, width 128, batch
// 12, context 64, 65 characters. The last benchmark runs all kernels of such a step one after the other.
//
// usage: kernel_bench [--threads=N] [Google Benchmark's options]
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "autograd/kernels/activation.h"
#include "autograd/kernels/adamw.h"
#include "autograd/kernels/attention.h"
#include "autograd/kernels/cross_entropy.h"
#include "autograd/kernels/elementwise.h"
#include "autograd/kernels/embedding.h"
#include "autograd/kernels/gradient_norm.h"
#include "autograd/kernels/layer_norm.h"
#include "autograd/kernels/matmul.h"
#include "autograd/kernels/reduce.h"
#include "base/random.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

constexpr std::int64_t kBatch = 12;
constexpr std::int64_t kContext = 64;
constexpr std::int64_t kTokens = kBatch * kContext;
constexpr std::int64_t kWidth = 128;
constexpr std::int64_t kHidden = 4 * kWidth;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kLayers = 4;
constexpr std::int64_t kVocabulary = 65;

ThreadPool* pool = nullptr;

// Float buffers with values of about unit size.
class Buffer {
 public:
  explicit Buffer(std::int64_t elements) : values_(static_cast<std::size_t>(elements)) {
    Random random(7);
    for (float& value : values_) value = random.UniformFloat() * 2 - 1;
  }
  float* data() { return values_.data(); }
  Source source(Dims sizes) { return {data(), Layout::Contiguous(DType::kF32, sizes)}; }
  Target target(Dims sizes) { return {data(), Layout::Contiguous(DType::kF32, sizes)}; }

 private:
  std::vector<float> values_;
};

// A linear layer over all tokens: forward, gradient of the input, gradient of the weight.
struct LinearProducts {
  std::int64_t in, out;

  MatMulArguments Forward(float* x, float* w, float* y) const {
    return {DType::kF32, kTokens, out, in, x, in, false, w, in, true, y, out, 1, 0, {}, {}, {}, {}};
  }
  MatMulArguments InputGradient(float* dy, float* w, float* dx) const {
    return {DType::kF32, kTokens, in, out, dy, out, false, w, in, false, dx, in, 1, 0, {}, {}, {}, {}};
  }
  MatMulArguments WeightGradient(float* dy, float* x, float* dw) const {
    return {DType::kF32, out, in, kTokens, dy, out, true, x, in, false, dw, in, 1, 0, {}, {}, {}, {}};
  }
  double flops() const { return 2.0 * static_cast<double>(kTokens * in * out); }
};

constexpr LinearProducts kLinears[] = {{kWidth, 3 * kWidth}, {kWidth, kWidth}, {kWidth, kHidden}, {kHidden, kWidth}};
constexpr LinearProducts kHeadLinear = {kWidth, kVocabulary};

AttentionShape HeadShape() {
  return {DType::kF32, kBatch, kHeads, kContext, kWidth / kHeads, 0.17677669529663687, 0, 0, 0};
}

// Everything that one step reads and writes; kernels take whatever of it they need.
struct Step {
  KernelContext context{*pool};
  Buffer a{kTokens * kHidden}, b{kTokens * kHidden}, c{kTokens * kHidden}, weight{kHidden * kHidden};
  Buffer statistics{2 * kTokens}, lse{kTokens * kHeads}, gain{kHidden};
  std::vector<double> workspace = std::vector<double>(1 << 16);
  std::vector<std::int32_t> indices = std::vector<std::int32_t>(kTokens, 3);
  Buffer loss{1};

  // As many parameters as the model has, in its matrices' sizes.
  std::vector<Buffer> values, gradients, avg, avg_sq;
  std::vector<AdamWTensor> adamw;
  std::vector<GradientTensor> gradient_list;

  Step() {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (const LinearProducts& linear : kLinears) AddParameter(linear.in * linear.out);
      for (int i = 0; i < 4; ++i) AddParameter(kWidth);
    }
    AddParameter(kVocabulary * kWidth);
    AddParameter(kContext * kWidth);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int64_t count = counts_[i];
      adamw.push_back(
          {DType::kF32, count, 0.1, values[i].data(), gradients[i].data(), avg[i].data(), avg_sq[i].data(), nullptr});
      gradient_list.push_back({DType::kF32, count, gradients[i].data()});
    }
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int32_t>(i * 31 % kVocabulary);
  }

  void Embed() {
    EmbeddingForward(context, {DType::kF32, kVocabulary, kWidth, kTokens, weight.data(), indices.data(), a.data()});
    Binary(context, {BinaryOp::kAdd, 0, 0, a.source({kBatch, kContext, kWidth}), b.source({kContext, kWidth}),
                     a.target({kBatch, kContext, kWidth})});
  }
  void EmbedBackward() {
    EmbeddingBackward(context, {DType::kF32, kVocabulary, kWidth, kTokens, indices.data(), a.data(), weight.data(),
                                workspace.data()});
    SumTo(context, {a.source({kBatch, kContext, kWidth}), b.target({kContext, kWidth}), 1, workspace.data()});
  }
  void Norm() {
    LayerNormForward(context, {DType::kF32, kTokens, kWidth, 1e-5, a.data(), gain.data(), gain.data(), b.data(),
                               statistics.data(), statistics.data() + kTokens});
  }
  void NormBackward() {
    LayerNormBackward(context,
                      {DType::kF32, kTokens, kWidth, b.data(), a.data(), gain.data(), statistics.data(),
                       statistics.data() + kTokens, c.data(), weight.data(), weight.data() + kWidth, workspace.data()});
  }
  void Residual() {
    Binary(context, {BinaryOp::kAdd, 0, 0, a.source({kTokens, kWidth}), b.source({kTokens, kWidth}),
                     c.target({kTokens, kWidth})});
  }
  void Linear(const LinearProducts& linear) { MatMul(context, linear.Forward(a.data(), weight.data(), b.data())); }
  void LinearBackward(const LinearProducts& linear) {
    MatMul(context, linear.InputGradient(b.data(), weight.data(), a.data()));
    MatMul(context, linear.WeightGradient(b.data(), a.data(), c.data()));
  }
  void Gelu() {
    ActivationForward(context, {Activation::kGelu, a.source({kTokens, kHidden}), b.target({kTokens, kHidden})});
  }
  void GeluBackward() {
    ActivationBackward(context, {Activation::kGelu, b.source({kTokens, kHidden}), a.source({kTokens, kHidden}),
                                 c.target({kTokens, kHidden})});
  }
  // q, k and v side by side in a [B, T, 3 C] buffer.
  template <class Operand>
  static Operand Slice(float* buffer, int part) {
    return {buffer + part * kWidth, kContext * 3 * kWidth, kWidth / kHeads, 3 * kWidth};
  }
  void Attention() {
    AttentionForward(context, {HeadShape(),
                               Slice<AttentionSource>(a.data(), 0),
                               Slice<AttentionSource>(a.data(), 1),
                               Slice<AttentionSource>(a.data(), 2),
                               {b.data(), kContext * kWidth, kWidth / kHeads, kWidth},
                               lse.data()});
  }
  void AttentionGradient() {
    const AttentionSource plain = {b.data(), kContext * kWidth, kWidth / kHeads, kWidth};
    AttentionBackward(
        context, {HeadShape(), Slice<AttentionSource>(a.data(), 0), Slice<AttentionSource>(a.data(), 1),
                  Slice<AttentionSource>(a.data(), 2), plain, lse.data(), plain, Slice<AttentionTarget>(c.data(), 0),
                  Slice<AttentionTarget>(c.data(), 1), Slice<AttentionTarget>(c.data(), 2), nullptr});
  }
  void Loss() {
    CrossEntropyForward(context, {DType::kF32, kTokens, kVocabulary, a.data(), indices.data(), lse.data(), DType::kF32,
                                  loss.data(), workspace.data()});
    CrossEntropyBackward(context, {DType::kF32, kTokens, kVocabulary, a.data(), indices.data(), lse.data(), DType::kF32,
                                   loss.data(), c.data()});
  }
  void Clip() {
    double coefficient[2];
    GradientNorm(context, {gradient_list, 1.0, coefficient, workspace.data()});
    ScaleGradients(context, {gradient_list, coefficient});
  }
  void Update() {
    AdamWArguments arguments;
    arguments.tensors = adamw;
    arguments.learning_rate = 1e-9;  // so that thousands of runs leave the values as they are
    arguments.step = 10;
    AdamW(context, arguments);
  }

  // All kernels of a step, in the order of a step.
  void All() {
    Embed();
    for (int layer = 0; layer < kLayers; ++layer) {
      Norm();
      Linear(kLinears[0]);
      Attention();
      Linear(kLinears[1]);
      Residual();
      Norm();
      Linear(kLinears[2]);
      Gelu();
      Linear(kLinears[3]);
      Residual();
    }
    Norm();
    Linear(kHeadLinear);
    Loss();
    LinearBackward(kHeadLinear);
    NormBackward();
    for (int layer = 0; layer < kLayers; ++layer) {
      LinearBackward(kLinears[3]);
      GeluBackward();
      LinearBackward(kLinears[2]);
      NormBackward();
      Residual();
      LinearBackward(kLinears[1]);
      AttentionGradient();
      LinearBackward(kLinears[0]);
      NormBackward();
      Residual();
    }
    EmbedBackward();
    Clip();
    Update();
  }

 private:
  void AddParameter(std::int64_t count) {
    counts_.push_back(count);
    for (std::vector<Buffer>* of : {&values, &gradients, &avg}) of->emplace_back(count);
    avg_sq.emplace_back(count);
    for (std::int64_t i = 0; i < count; ++i) avg_sq.back().data()[i] = 0.5f;
  }
  std::vector<std::int64_t> counts_;
};

void RunPart(benchmark::State& state, void (Step::*part)()) {
  Step step;
  for (auto _ : state) (step.*part)();
}

void RunLinear(benchmark::State& state) {
  Step step;
  const LinearProducts linear = {state.range(0), state.range(1)};
  for (auto _ : state) {
    step.Linear(linear);
    step.LinearBackward(linear);
  }
  state.counters["GFLOPS"] =
      benchmark::Counter(3 * linear.flops() * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void Register() {
  const auto part = [](const char* name, void (Step::*member)()) {
    benchmark::RegisterBenchmark(name, RunPart, member)->UseRealTime()->Unit(benchmark::kMicrosecond);
  };
  benchmark::RegisterBenchmark("linear_forward_and_backward", RunLinear)
      ->ArgNames({"in", "out"})
      ->Args({128, 384})
      ->Args({128, 128})
      ->Args({128, 512})
      ->Args({512, 128})
      ->Args({128, 65})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
  part("embedding_forward", &Step::Embed);
  part("embedding_backward", &Step::EmbedBackward);
  part("layer_norm_forward", &Step::Norm);
  part("layer_norm_backward", &Step::NormBackward);
  part("residual_add", &Step::Residual);
  part("gelu_forward", &Step::Gelu);
  part("gelu_backward", &Step::GeluBackward);
  part("attention_forward", &Step::Attention);
  part("attention_backward", &Step::AttentionGradient);
  part("cross_entropy", &Step::Loss);
  part("clip_gradient_norm", &Step::Clip);
  part("adamw", &Step::Update);
  part("training_step", &Step::All);
}

}  // namespace
}  // namespace tierlib::autograd::host

int main(int argc, char** argv) {
  int threads = 2;
  constexpr std::string_view kThreads = "--threads=";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).substr(0, kThreads.size()) == kThreads) {
      threads = std::atoi(argv[i] + kThreads.size());
      for (int j = i; j + 1 < argc; ++j) argv[j] = argv[j + 1];
      --argc;
      --i;
    }
  }
  tierlib::ThreadPool pool(threads);
  tierlib::autograd::host::pool = &pool;
  tierlib::autograd::host::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
