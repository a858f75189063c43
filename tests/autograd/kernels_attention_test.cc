// Fused attention against the plain formula over doubles: softmax(scale q k^T, causal) dropped, times v, and its
// gradient.
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "autograd/kernels/attention.h"
#include "autograd/kernels/host/dropout_mask.h"
#include "kernels_tensor.h"

namespace tierlib::autograd::host {
namespace {

// q, k and v (or their gradients) as slices of one [B, T, 3, H, D] buffer, as a fused projection leaves them.
struct Packed {
  TestTensor buffer;
  AttentionShape shape;

  Packed(const AttentionShape& s) : buffer(s.dtype, {s.batch, s.length, 3, s.heads, s.head_size}), shape(s) {}

  std::int64_t Index(int part, std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t d) const {
    return (((b * shape.length + t) * 3 + part) * shape.heads + h) * shape.head_size + d;
  }
  template <class Operand, class Tensor>
  static Operand Slice(Tensor& tensor, const AttentionShape& s, int part) {
    const std::int64_t row = 3 * s.heads * s.head_size;
    auto* bytes = static_cast<std::byte*>(const_cast<void*>(static_cast<const void*>(tensor.data())));
    bytes += static_cast<std::size_t>(part * s.heads * s.head_size) * ElementBytes(s.dtype);
    return {bytes, s.length * row, s.head_size, row};
  }
  AttentionSource source(int part) const { return Slice<AttentionSource>(buffer, shape, part); }
};

// A [B, H, T, D] tensor, row-major.
template <class Operand, class Tensor>
Operand Plain(Tensor& x, const AttentionShape& s) {
  return {x.data(), s.heads * s.length * s.head_size, s.length * s.head_size, s.head_size};
}

// Forward and backward of one head, over doubles.
struct Reference {
  std::int64_t length, size;
  std::vector<double> q, k, v, dout, out, lse, dq, dk, dv;

  Reference(const Packed& x, const TestTensor& gradient, std::int64_t b, std::int64_t h)
      : length(x.shape.length), size(x.shape.head_size) {
    const AttentionShape& s = x.shape;
    const auto all = static_cast<std::size_t>(length * size);
    for (auto* vector : {&out, &dq, &dk, &dv}) vector->assign(all, 0);
    for (std::int64_t t = 0; t < length; ++t) {
      for (std::int64_t d = 0; d < size; ++d) {
        q.push_back(x.buffer[x.Index(0, b, h, t, d)]);
        k.push_back(x.buffer[x.Index(1, b, h, t, d)]);
        v.push_back(x.buffer[x.Index(2, b, h, t, d)]);
        dout.push_back(gradient[((b * s.heads + h) * length + t) * size + d]);
      }
    }
    const DropoutMask mask(s.dropout, s.seed, s.counter);
    for (std::int64_t i = 0; i < length; ++i) {
      std::vector<double> factors(static_cast<std::size_t>(length));
      const std::int64_t first = ((b * s.heads + h) * length + i) * length;
      mask.Draw(static_cast<std::uint64_t>(first), length, KeptScale(s.dropout), factors.data());
      Row(i, s.scale, factors);
    }
  }

  double Dot(const std::vector<double>& a, std::int64_t i, const std::vector<double>& c, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t d = 0; d < size; ++d) sum += a[Flat(i, d)] * c[Flat(j, d)];
    return sum;
  }
  std::size_t Flat(std::int64_t t, std::int64_t d) const { return static_cast<std::size_t>(t * size + d); }

  void Row(std::int64_t i, double scale, const std::vector<double>& factors) {
    std::vector<double> p;
    double most = -1e300;
    double sum = 0;
    for (std::int64_t j = 0; j <= i; ++j) most = std::max(most, scale * Dot(q, i, k, j));
    for (std::int64_t j = 0; j <= i; ++j) sum += std::exp(scale * Dot(q, i, k, j) - most);
    for (std::int64_t j = 0; j <= i; ++j) p.push_back(std::exp(scale * Dot(q, i, k, j) - most) / sum);
    lse.push_back(most + std::log(sum));
    double delta = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      const auto at = static_cast<std::size_t>(j);
      delta += p[at] * factors[at] * Dot(dout, i, v, j);
      for (std::int64_t d = 0; d < size; ++d) {
        out[Flat(i, d)] += p[at] * factors[at] * v[Flat(j, d)];
        dv[Flat(j, d)] += p[at] * factors[at] * dout[Flat(i, d)];
      }
    }
    for (std::int64_t j = 0; j <= i; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double ds = scale * p[at] * (factors[at] * Dot(dout, i, v, j) - delta);
      for (std::int64_t d = 0; d < size; ++d) {
        dq[Flat(i, d)] += ds * k[Flat(j, d)];
        dk[Flat(j, d)] += ds * q[Flat(i, d)];
      }
    }
  }
};

void CheckAttention(Random& random, const AttentionShape& s) {
  Packed x(s);
  x.buffer.FillUniform(random, -1.5, 1.5);
  const Dims heads_first = {s.batch, s.heads, s.length, s.head_size};
  const TestTensor dout = TestTensor::Uniform(random, s.dtype, heads_first, -1, 1);
  TestTensor out(s.dtype, heads_first);
  TestTensor lse(ComputeType(s.dtype), {s.batch, s.heads, s.length});
  RunOnPools(out, [&](KernelContext& context, TestTensor& result) {
    AttentionForward(context,
                     {s, x.source(0), x.source(1), x.source(2), Plain<AttentionTarget>(result, s), lse.data()});
  });
  Packed gradient(s);
  RunOnPools(gradient.buffer, [&](KernelContext& context, TestTensor& result) {
    Workspace workspace(AttentionBackwardWorkspaceBytes(s));
    const auto target = [&](int part) { return Packed::Slice<AttentionTarget>(result, s, part); };
    AttentionBackward(context, {s, x.source(0), x.source(1), x.source(2), Plain<AttentionSource>(out, s), lse.data(),
                                Plain<AttentionSource>(dout, s), target(0), target(1), target(2), workspace.data()});
  });
  const double e = s.dtype == DType::kF64 ? 0x1p-52 : 0x1p-23;
  // Backward reads the rounded `out`, so that a 16-bit type's rounding enters every gradient through delta.
  const double out_rounding = s.dtype == DType::kF32 || s.dtype == DType::kF64 ? 0 : Epsilon(s.dtype);
  const auto rows = static_cast<double>(s.length);
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const Reference r(x, dout, b, h);
      for (std::int64_t t = 0; t < s.length; ++t) {
        const std::int64_t row = (b * s.heads + h) * s.length + t;
        ASSERT_NEAR(lse[row], r.lse[static_cast<std::size_t>(t)],
                    64 * e * (1 + std::abs(r.lse[static_cast<std::size_t>(t)])));
        for (std::int64_t d = 0; d < s.head_size; ++d) {
          const std::size_t at = r.Flat(t, d);
          const double tolerance = 200 * e + 2 * out_rounding;
          ASSERT_NEAR(out[row * s.head_size + d], r.out[at], 200 * e + Epsilon(s.dtype) * std::abs(r.out[at])) << t;
          const double scale = 1 + 0.1 * rows;  // terms that a gradient of k or v has
          ASSERT_NEAR(gradient.buffer[gradient.Index(0, b, h, t, d)], r.dq[at],
                      tolerance + Epsilon(s.dtype) * std::abs(r.dq[at]));
          ASSERT_NEAR(gradient.buffer[gradient.Index(1, b, h, t, d)], r.dk[at],
                      tolerance * scale + Epsilon(s.dtype) * std::abs(r.dk[at]));
          ASSERT_NEAR(gradient.buffer[gradient.Index(2, b, h, t, d)], r.dv[at],
                      tolerance * scale + Epsilon(s.dtype) * std::abs(r.dv[at]));
        }
      }
    }
  }
}

AttentionShape Shape(DType dtype, std::int64_t batch, std::int64_t heads, std::int64_t length, std::int64_t size) {
  return {dtype, batch, heads, length, size, 1 / std::sqrt(static_cast<double>(size)), 0, 0, 0};
}

TEST(AttentionKernel, IsThePlainFormulaAndItsGradient) {
  Random random(401);
  for (const DType dtype : kFloatTypes) {
    CheckAttention(random, Shape(dtype, 2, 4, 64, 32));
    CheckAttention(random, Shape(dtype, 1, 1, 1, 1));
    CheckAttention(random, Shape(dtype, 2, 3, 5, 7));
    CheckAttention(random, Shape(dtype, 1, 2, 63, 33));
    CheckAttention(random, Shape(dtype, 1, 2, 65, 16));
    CheckAttention(random, Shape(dtype, 1, 1, 150, 40));
    CheckAttention(random, Shape(dtype, 1, 1, 130, kMaxAttentionHeadSize));
  }
}

TEST(AttentionKernel, DropoutIsTheMaskOfTheComposedFormAndIsReplayed) {
  Random random(402);
  for (const DType dtype : kFloatTypes) {
    for (const std::int64_t length : {13, 64, 131}) {
      AttentionShape s = Shape(dtype, 2, 2, length, 24);
      s.dropout = 0.3;
      s.seed = 1234567890123;
      s.counter = 99;
      CheckAttention(random, s);
    }
  }
}

// Bytes of stack below the caller's frame that `run` touches, on a thread of its own.
class StackUse {
 public:
  explicit StackUse(std::function<void()> run) : run_(std::move(run)), stack_(std::size_t{4} << 20, kFresh) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack_.data(), stack_.size());
    pthread_t thread;
    EXPECT_EQ(pthread_create(&thread, &attributes, &Start, this), 0);
    EXPECT_EQ(pthread_join(thread, nullptr), 0);
    pthread_attr_destroy(&attributes);
  }
  std::size_t bytes() const {
    const auto lowest = std::find_if(stack_.begin(), stack_.end(), [](unsigned char byte) { return byte != kFresh; });
    return top_ - static_cast<std::size_t>(lowest - stack_.begin());
  }

 private:
  static constexpr unsigned char kFresh = 0xa5;
  static void* Start(void* self) {
    auto* const use = static_cast<StackUse*>(self);
    use->top_ = static_cast<std::size_t>(static_cast<unsigned char*>(__builtin_frame_address(0)) - use->stack_.data());
    use->run_();
    return nullptr;
  }

  std::function<void()> run_;
  std::vector<unsigned char> stack_;
  std::size_t top_ = 0;  // offset of Start's frame
};

TEST(AttentionKernel, StaysWithinTheStackThatKernelsPromise) {
  Random random(405);
  for (const DType dtype : kFloatTypes) {
    for (const std::int64_t length : {20, 64, 130}) {
      AttentionShape s = Shape(dtype, 1, 1, length, kMaxAttentionHeadSize);
      s.dropout = 0.1;
      Packed x(s);
      x.buffer.FillUniform(random, -1, 1);
      Packed gradient(s);
      TestTensor out(dtype, {1, 1, length, s.head_size});
      TestTensor lse(ComputeType(dtype), {length});
      Workspace workspace(AttentionBackwardWorkspaceBytes(s));
      ThreadPool pool(1);
      KernelContext context{pool};
      const StackUse forward([&] {
        AttentionForward(context,
                         {s, x.source(0), x.source(1), x.source(2), Plain<AttentionTarget>(out, s), lse.data()});
      });
      EXPECT_LE(forward.bytes(), std::size_t{512} << 10) << DTypeName(dtype) << " " << length;
      EXPECT_GE(forward.bytes(), std::size_t{64} << 10);  // the tiles are there
      const StackUse backward([&] {
        const auto target = [&](int part) { return Packed::Slice<AttentionTarget>(gradient.buffer, s, part); };
        AttentionBackward(context,
                          {s, x.source(0), x.source(1), x.source(2), Plain<AttentionSource>(out, s), lse.data(),
                           Plain<AttentionSource>(out, s), target(0), target(1), target(2), workspace.data()});
      });
      EXPECT_LE(backward.bytes(), std::size_t{512} << 10) << DTypeName(dtype) << " " << length;
    }
  }
}

TEST(AttentionKernel, LargeScoresDoNotOverflow) {
  AttentionShape s = Shape(DType::kF32, 1, 1, 70, 8);
  s.scale = 40;
  Random random(403);
  Packed x(s);
  x.buffer.FillUniform(random, -3, 3);
  TestTensor out(DType::kF32, {1, 1, 70, 8});
  TestTensor lse(DType::kF32, {70});
  ThreadPool pool(1);
  KernelContext context{pool};
  AttentionForward(context, {s, x.source(0), x.source(1), x.source(2), Plain<AttentionTarget>(out, s), lse.data()});
  for (std::int64_t i = 0; i < 70 * 8; ++i) {
    ASSERT_TRUE(std::abs(out[i]) <= 3) << out[i];  // a mean of values
  }
}

TEST(AttentionKernel, ANaNReachesTheRowsThatSeeItAndNoOthers) {
  const AttentionShape s = Shape(DType::kF32, 1, 1, 40, 8);
  Random random(404);
  Packed x(s);
  x.buffer.FillUniform(random);
  x.buffer.Set(x.Index(1, 0, 0, 25, 3), std::nan(""));  // a key
  TestTensor out(DType::kF32, {1, 1, 40, 8});
  TestTensor lse(DType::kF32, {40});
  ThreadPool pool(1);
  KernelContext context{pool};
  AttentionForward(context, {s, x.source(0), x.source(1), x.source(2), Plain<AttentionTarget>(out, s), lse.data()});
  for (std::int64_t i = 0; i < 40 * 8; ++i) ASSERT_EQ(std::isnan(out[i]), i / 8 >= 25) << i;
}

}  // namespace
}  // namespace tierlib::autograd::host
