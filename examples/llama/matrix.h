// Matrices as inference sees them: something that multiplies a vector, whatever its bytes are.
#ifndef LLAMA_MATRIX_H_
#define LLAMA_MATRIX_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "tierlib/status.h"

namespace llama {

class Matrix {
 public:
  virtual ~Matrix() = default;
  // y = W x. x: [columns], y: [rows]; they do not overlap.
  virtual tierlib::Status Multiply(const float* x, float* y) const = 0;
  // One row, as float32: what an embedding looks up.
  virtual tierlib::Status Row(std::int64_t row, float* values) const = 0;
};

// Row-major float32. REQUIRES: rows * columns values.
std::unique_ptr<Matrix> DenseMatrix(std::vector<float> values, std::int64_t rows, std::int64_t columns);

}  // namespace llama

#endif  // LLAMA_MATRIX_H_
