// MatMul and Linear. A product saves each operand where the other's gradient is wanted, as views wherever strides
// allow: leading dimensions are folded into rows (one operand of rank 2) or into one batch dimension (both of higher
// rank), which copies an operand only where no strides over its bytes exist.
#include "autograd/kernels/matmul.h"

#include <algorithm>
#include <string>
#include <utility>

#include "autograd/op.h"
#include "autograd/shape.h"
#include "base/check.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// A matrix (the last two dimensions of a layout) as BLAS takes it.
struct Matrix {
  bool fits = false;         // one of the two strides is 1 and the other holds a row
  bool transposed = false;   // stored column by column
  std::int64_t leading = 1;  // stride of its rows (columns where transposed) as stored
};

// From sizes and strides alone, so that it depends on nothing that offloading changes.
Matrix MatrixOf(const Layout& layout) {
  const int r = layout.rank() - 2;
  const std::int64_t rows = layout.sizes[r];
  const std::int64_t columns = layout.sizes[r + 1];
  const std::int64_t row_stride = rows > 1 ? layout.strides[r] : std::max<std::int64_t>(columns, 1);
  const std::int64_t column_stride = columns > 1 ? layout.strides[r + 1] : 1;
  if (column_stride == 1 && row_stride >= std::max<std::int64_t>(columns, 1)) return {true, false, row_stride};
  const std::int64_t stored_row = columns > 1 ? layout.strides[r + 1] : std::max<std::int64_t>(rows, 1);
  const bool unit = rows <= 1 || layout.strides[r] == 1;
  if (unit && stored_row >= std::max<std::int64_t>(rows, 1)) return {true, true, stored_row};
  return {};
}

Dims Leading(const Dims& dims) { return Dims(dims.begin(), dims.rank() - 2); }

// c = a b for matrices or equal batches of them, through whatever strides; an operand that BLAS cannot take is copied
// first.
Status LaunchProduct(const Launcher& launcher, const Tensor& a, const Tensor& b, const Tensor& c) {
  Tensor left = a;
  Tensor right = b;
  if (!MatrixOf(left.layout()).fits) {
    TIERLIB_ASSIGN_OR_RETURN(left, launcher.RowMajor(left));
  }
  if (!MatrixOf(right.layout()).fits) {
    TIERLIB_ASSIGN_OR_RETURN(right, launcher.RowMajor(right));
  }
  const Matrix target = MatrixOf(c.layout());
  TIERLIB_CHECK(target.fits, "a product is written to a layout that BLAS does not take");
  const int r = c.layout().rank() - 2;
  host::MatMulArguments arguments;
  arguments.dtype = c.dtype();
  arguments.k = a.sizes()[r + 1];
  arguments.c = c.data();
  arguments.ldc = target.leading;
  arguments.batch = Leading(c.sizes());
  arguments.batch_strides_c = Leading(c.layout().strides);
  // A result stored column by column is the transposed product, stored row by row.
  const bool swap = target.transposed;
  const Tensor& first = swap ? right : left;
  const Tensor& second = swap ? left : right;
  const Matrix matrix_a = MatrixOf(first.layout());
  const Matrix matrix_b = MatrixOf(second.layout());
  arguments.m = swap ? c.sizes()[r + 1] : c.sizes()[r];
  arguments.n = swap ? c.sizes()[r] : c.sizes()[r + 1];
  arguments.a = first.data();
  arguments.lda = matrix_a.leading;
  arguments.transpose_a = matrix_a.transposed != swap;
  arguments.batch_strides_a = Leading(first.layout().strides);
  arguments.b = second.data();
  arguments.ldb = matrix_b.leading;
  arguments.transpose_b = matrix_b.transposed != swap;
  arguments.batch_strides_b = Leading(second.layout().strides);
  return launcher.Launch("matmul", {.reads = {&left, &right}, .writes = {&c}}, host::MatMul, arguments);
}

Tensor Transposed(const Tensor& x) {
  return x.WithLayout(TransposeLayout(x.layout(), x.layout().rank() - 2, x.layout().rank() - 1));
}

Status GiveProduct(BackwardPass& pass, int input, const Tensor& a, const Tensor& b) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor gradient, pass.NewGradient(input));
  if (!MatrixOf(gradient.layout()).fits) {
    TIERLIB_ASSIGN_OR_RETURN(gradient, pass.New(gradient.dtype(), gradient.sizes()));
  }
  TIERLIB_RETURN_IF_ERROR(LaunchProduct(pass, a, b, gradient));
  return pass.Give(input, std::move(gradient));
}

// The product of two matrices, or of two equal batches of them. da = dc b^T, db = a^T dc.
Value Product(const Value& a, const Value& b) {
  return RunOp("matmul", {&a, &b}, [&](Op& op) -> StatusOr<Value> {
    Dims sizes = a.sizes();
    sizes[sizes.rank() - 1] = b.sizes()[sizes.rank() - 1];
    TIERLIB_ASSIGN_OR_RETURN(Tensor c, op.New(a.dtype(), sizes));
    const int saved_a = op.wants(1) ? op.Save(a.tensor(), "a") : -1;
    const int saved_b = op.wants(0) ? op.Save(b.tensor(), "b") : -1;
    TIERLIB_RETURN_IF_ERROR(LaunchProduct(op, a.tensor(), b.tensor(), c));
    return op.Record(std::move(c), [saved_a, saved_b](BackwardPass& pass) -> Status {
      if (pass.wants(0)) {
        TIERLIB_ASSIGN_OR_RETURN(const Tensor b_again, pass.Unpack(saved_b));
        TIERLIB_RETURN_IF_ERROR(GiveProduct(pass, 0, pass.gradient(), Transposed(b_again)));
      }
      if (!pass.wants(1)) return OkStatus();
      TIERLIB_ASSIGN_OR_RETURN(const Tensor a_again, pass.Unpack(saved_a));
      return GiveProduct(pass, 1, Transposed(a_again), pass.gradient());
    });
  });
}

Status CheckOperands(const Value& a, const Value& b) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&a, &b}));
  const std::string both = SizesText(a.sizes()) + " x " + SizesText(b.sizes());
  if (a.dtype() != b.dtype()) {
    return InvalidArgumentError(both + ": dtypes " + DTypeName(a.dtype()) + " and " + DTypeName(b.dtype()) + " differ");
  }
  if (a.sizes().rank() < 2 || b.sizes().rank() < 2) return InvalidArgumentError(both + ": both need two dimensions");
  const std::int64_t inner_a = a.sizes()[a.sizes().rank() - 1];
  const std::int64_t inner_b = b.sizes()[b.sizes().rank() - 2];
  if (inner_a == inner_b) return OkStatus();
  return InvalidArgumentError(both + ": inner sizes " + std::to_string(inner_a) + " and " + std::to_string(inner_b) +
                              " differ");
}

Dims Join(const Dims& leading, std::int64_t rows, std::int64_t columns) {
  Dims sizes = leading;
  sizes.push_back(rows);
  sizes.push_back(columns);
  return sizes;
}

}  // namespace

Value MatMul(const Value& a, const Value& b) {
  return RunOp("matmul", {&a, &b}, [&](Op&) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(CheckOperands(a, b));
    const int rank_a = a.sizes().rank();
    const std::int64_t m = a.sizes()[rank_a - 2];
    const std::int64_t k = a.sizes()[rank_a - 1];
    const std::int64_t n = b.sizes()[b.sizes().rank() - 1];
    if (rank_a == 2 && b.sizes().rank() == 2) return Product(a, b);
    if (b.sizes().rank() == 2) {
      const std::int64_t rows =
          k == 0 ? Layout::Contiguous(a.dtype(), Join(Leading(a.sizes()), m, 1)).elements() : a.tensor().elements() / k;
      return Reshape(Product(Reshape(a, {rows, k}), b), Join(Leading(a.sizes()), m, n));
    }
    TIERLIB_ASSIGN_OR_RETURN(const Dims leading, BroadcastSizes(Leading(a.sizes()), Leading(b.sizes())));
    const std::int64_t batches = Layout::Contiguous(a.dtype(), leading).elements();
    const Value left = Reshape(Expand(a, Join(leading, m, k)), {batches, m, k});
    const Value right = Reshape(Expand(b, Join(leading, k, n)), {batches, k, n});
    return Reshape(Product(left, right), Join(leading, m, n));
  });
}

Value Linear(const Value& x, const Value& w) {
  return RunOp("linear", {&x, &w}, [&](Op&) -> StatusOr<Value> {
    if (w.sizes().rank() != 2 || x.sizes().rank() == 0 || x.sizes()[x.sizes().rank() - 1] != w.sizes()[1]) {
      return InvalidArgumentError("x " + SizesText(x.sizes()) + " and w " + SizesText(w.sizes()) +
                                  ": w must be [out, in] with the last size of x as in");
    }
    if (x.sizes().rank() > 1) return MatMul(x, Transpose(w));
    return Squeeze(MatMul(Unsqueeze(x, 0), Transpose(w)), 0);
  });
}

}  // namespace tierlib::autograd
