// Matrix products by cuBLASLt, with a library on the host in its place: strides, transposes, batches, alignments, which
// algorithm is used for what, and errors.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>

#include "autograd/kernels/cuda/cublas_lt.h"
#include "autograd/kernels_tensor.h"

namespace tierlib::autograd::cuda {
namespace {

using host::kFloatTypes;
using host::MatMulArguments;
using host::TestTensor;

int FromFake(const char* name) {
  void* const library = ::dlopen(TIERLIB_FAKE_CUBLAS_LT, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return -1;
  const auto function = reinterpret_cast<int (*)()>(::dlsym(library, name));
  const int value = function();
  ::dlclose(library);
  return value;
}

struct Room {
  alignas(256) std::byte bytes[1024];
};

struct Batched {
  Dims sizes, a, b, c;  // of a: strides in matrices
};

TEST(CublasLt, ComputesWhatTheHostDoes) {
  constexpr std::int64_t m = 5, n = 7, k = 6, kMatrix = 64;
  const Batched batches[] = {{{}, {}, {}, {}},
                             {{4}, {1}, {1}, {1}},
                             {{4}, {1}, {0}, {1}},               // one B for all
                             {{2, 3}, {3, 1}, {3, 1}, {3, 1}},   // one batch of six
                             {{2, 3}, {1, 2}, {3, 1}, {3, 1}}};  // two of three
  CublasLt cublas({TIERLIB_FAKE_CUBLAS_LT});
  Random random(3);
  Room room;
  for (const DType dtype : kFloatTypes) {
    for (const Batched& batch : batches) {
      for (int transposes = 0; transposes < 4; ++transposes) {
        MatMulArguments a;
        a.dtype = dtype;
        a.m = m;
        a.n = n;
        a.k = k;
        a.transpose_a = (transposes & 1) != 0;
        a.transpose_b = (transposes & 2) != 0;
        a.lda = (a.transpose_a ? m : k) + 1;  // rows of 6 to 8 columns, eight of them to a matrix
        a.ldb = (a.transpose_b ? k : n) + 1;
        a.ldc = n + 1;
        a.alpha = 0.5;
        a.beta = transposes == 3 ? 2 : 0;
        a.batch = batch.sizes;
        const auto strides = [&](const Dims& of) {
          Dims result;
          for (const std::int64_t s : of) result.push_back(s * kMatrix);
          return result;
        };
        a.batch_strides_a = strides(batch.a);
        a.batch_strides_b = strides(batch.b);
        a.batch_strides_c = strides(batch.c);
        const TestTensor left = TestTensor::Uniform(random, dtype, {6 * kMatrix});
        const TestTensor right = TestTensor::Uniform(random, dtype, {6 * kMatrix});
        TestTensor result = TestTensor::Uniform(random, dtype, {6 * kMatrix});
        TestTensor expected = result;
        a.a = left.data();
        a.b = right.data();
        a.c = expected.data();
        ThreadPool pool(1);
        KernelContext context{pool};
        host::MatMul(context, a);
        a.c = result.data();
        const Status status = cublas.Multiply(a, nullptr, room.bytes, sizeof room.bytes);
        ASSERT_TRUE(status.ok()) << status;
        for (std::int64_t i = 0; i < 6 * kMatrix; ++i) {
          ASSERT_NEAR(result[i], expected[i], 32 * host::Epsilon(dtype)) << DTypeName(dtype) << ", " << transposes;
        }
      }
    }
  }
  EXPECT_EQ(FromFake("FakeCublasLtLiving"), 1) << "the handle alone: descriptors are destroyed";
}

// Asked once for a shape, and again where an operand is less aligned: the fake refuses an algorithm for anything else.
TEST(CublasLt, AsksOnceForEachShape) {
  CublasLt cublas({TIERLIB_FAKE_CUBLAS_LT});
  Room room;
  TestTensor x(DType::kF32, {64}, 0);
  MatMulArguments a;
  a.m = a.n = a.k = a.lda = a.ldb = a.ldc = 4;
  a.a = a.b = x.data();
  TestTensor y(DType::kF32, {64}, 0);
  a.c = y.data();
  const auto multiply = [&] {
    const Status status = cublas.Multiply(a, nullptr, room.bytes, sizeof room.bytes);
    EXPECT_TRUE(status.ok()) << status;
    return FromFake("FakeCublasLtAsked");
  };
  const int before = multiply();
  EXPECT_EQ(multiply(), before);
  a.a = static_cast<float*>(x.data()) + 1;
  EXPECT_EQ(multiply(), before + 1);
  a.transpose_b = true;
  EXPECT_EQ(multiply(), before + 2);
}

TEST(CublasLt, SaysWhatItCannotDo) {
  CublasLt absent({"/nowhere/libcublasLt.so"});
  MatMulArguments a;
  a.m = a.n = a.k = a.lda = a.ldb = a.ldc = 13;  // which the fake has no algorithm for
  const Status missing = absent.Multiply(a, nullptr, nullptr, 0);
  EXPECT_EQ(missing.code(), StatusCode::kUnimplemented);
  EXPECT_NE(std::string(missing.message()).find("/nowhere/libcublasLt.so"), std::string::npos) << missing;
  CublasLt cublas({"/nowhere/libcublasLt.so", TIERLIB_FAKE_CUBLAS_LT});  // the second is there
  const Status refused = cublas.Multiply(a, nullptr, nullptr, 0);
  EXPECT_EQ(refused.code(), StatusCode::kUnimplemented);
  EXPECT_NE(std::string(refused.message()).find("13 x 13"), std::string::npos) << refused;
  a.m = 0;
  EXPECT_TRUE(absent.Multiply(a, nullptr, nullptr, 0).ok());  // nothing to do
}

}  // namespace
}  // namespace tierlib::autograd::cuda
