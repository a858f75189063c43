#include "dkm/dense_output.h"

#include <cstdint>
#include <string>
#include <utility>

#include "autograd/kernels/matmul.h"
#include "autograd/op.h"
#include "dkm/kernels/dense_output.h"

namespace tierlib::dkm {
namespace {

using autograd::BackwardPass;
using autograd::Launcher;
using autograd::Op;
using autograd::Tensor;
using autograd::Value;
using autograd::host::MatMulArguments;

// y = op(a) op(b) of row-major matrices.
Status LaunchProduct(const Launcher& launcher, const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b,
                     const Tensor& y) {
  MatMulArguments product;
  product.dtype = y.dtype();
  product.m = y.sizes()[0];
  product.n = y.sizes()[1];
  product.k = a.sizes()[transpose_a ? 0 : 1];
  product.a = a.data();
  product.lda = a.sizes()[1];
  product.transpose_a = transpose_a;
  product.b = b.data();
  product.ldb = b.sizes()[1];
  product.transpose_b = transpose_b;
  product.c = y.data();
  product.ldc = y.sizes()[1];
  return launcher.Launch("matmul", {.reads = {&a, &b}, .writes = {&y}}, autograd::host::MatMul, product);
}

Status LaunchForward(const Launcher& launcher, const Tensor& attention, const Tensor& c, const Tensor& output) {
  if (!launcher.runs_host_kernels()) return LaunchProduct(launcher, attention, false, c, false, output);
  const host::DistanceShape shape{output.dtype(), output.sizes()[0], static_cast<int>(c.sizes()[1]),
                                  static_cast<int>(c.sizes()[0])};
  return launcher.Launch("dkm dense output", {.reads = {&attention, &c}, .writes = {&output}}, host::DenseOutput,
                         host::DenseOutputArguments{shape, attention.data(), c.data(), output.data()});
}

Status DenseOutputBackward(BackwardPass& pass, int attention_slot, int centroids_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, pass.RowMajor(pass.gradient()));
  if (pass.wants(0)) {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor packed, pass.Unpack(centroids_slot));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor c, pass.RowMajor(packed));
    TIERLIB_ASSIGN_OR_RETURN(Tensor slope, pass.NewRowMajorGradient(0));
    TIERLIB_RETURN_IF_ERROR(LaunchProduct(pass, gradient, false, c, true, slope));
    TIERLIB_RETURN_IF_ERROR(pass.Give(0, std::move(slope)));
  }
  if (!pass.wants(1)) return OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed, pass.Unpack(attention_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor attention, pass.RowMajor(packed));
  TIERLIB_ASSIGN_OR_RETURN(Tensor slope, pass.NewRowMajorGradient(1));
  TIERLIB_RETURN_IF_ERROR(LaunchProduct(pass, attention, true, gradient, false, slope));
  return pass.Give(1, std::move(slope));
}

}  // namespace

Value DenseOutput(const Value& attention, const Value& c) {
  return autograd::RunOp("dkm_dense_output", {&attention, &c}, [&](Op& op) -> StatusOr<Value> {
    constexpr std::int64_t kMost = 256;
    if (c.sizes()[0] < 1 || c.sizes()[0] > kMost) {
      return InvalidArgumentError("takes 1 to 256 centroids, not " + std::to_string(c.sizes()[0]));
    }
    TIERLIB_ASSIGN_OR_RETURN(const Tensor map, op.RowMajor(attention.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor centroids, op.RowMajor(c.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(Tensor output, op.New(map.dtype(), {map.sizes()[0], centroids.sizes()[1]}));
    const int attention_slot = op.wants(1) ? op.Save(attention.tensor(), "attention") : -1;
    const int centroids_slot = op.wants(0) ? op.Save(c.tensor(), "centroids") : -1;
    TIERLIB_RETURN_IF_ERROR(LaunchForward(op, map, centroids, output));
    return op.Record(std::move(output),
                     [=](BackwardPass& pass) { return DenseOutputBackward(pass, attention_slot, centroids_slot); });
  });
}

}  // namespace tierlib::dkm
