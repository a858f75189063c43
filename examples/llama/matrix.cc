#include "llama/matrix.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace llama {
namespace {

// Eight sums side by side, so that the order, and with it the result, is the same however wide a machine's vectors are.
float Dot(const float* a, const float* b, std::int64_t count) {
  constexpr std::int64_t kSums = 8;
  float sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (std::int64_t j = 0; j < kSums; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < count; ++i) sums[i % kSums] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

class Dense : public Matrix {
 public:
  Dense(std::vector<float> values, std::int64_t rows, std::int64_t columns)
      : values_(std::move(values)), rows_(rows), columns_(columns) {}

  tierlib::Status Multiply(const float* x, float* y) const override {
    for (std::int64_t row = 0; row < rows_; ++row) y[row] = Dot(values_.data() + row * columns_, x, columns_);
    return tierlib::OkStatus();
  }
  tierlib::Status Row(std::int64_t row, float* values) const override {
    std::copy_n(values_.data() + row * columns_, columns_, values);
    return tierlib::OkStatus();
  }

 private:
  const std::vector<float> values_;
  const std::int64_t rows_;
  const std::int64_t columns_;
};

}  // namespace

std::unique_ptr<Matrix> DenseMatrix(std::vector<float> values, std::int64_t rows, std::int64_t columns) {
  return std::make_unique<Dense>(std::move(values), rows, columns);
}

}  // namespace llama
