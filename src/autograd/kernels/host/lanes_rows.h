// Row arithmetic of the normalising kernels (softmax, cross-entropy, LayerNorm) and of sums, on contiguous rows of
// float or double. Sums run in a fixed number of lanes, so their bits depend on n and the instruction set only.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ROWS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ROWS_H_

#include <cstddef>

namespace tierlib::autograd::host {

// Largest element, -infinity for n = 0; a NaN may or may not win.
float MaxLanes(const float* x, std::size_t n);
double MaxLanes(const double* x, std::size_t n);

// Sum of x, of x^2, and of x y, accumulated in double.
double SumLanes(const float* x, std::size_t n);
double SumLanes(const double* x, std::size_t n);
double SquaredSumLanes(const float* x, std::size_t n);
double SquaredSumLanes(const double* x, std::size_t n);
double DotLanes(const float* x, const float* y, std::size_t n);
double DotLanes(const double* x, const double* y, std::size_t n);
// Sum of (x - mean)^2, accumulated in double.
double SquaredDeviationLanes(const float* x, float mean, std::size_t n);
double SquaredDeviationLanes(const double* x, double mean, std::size_t n);
// sum[i] += x[i].
void AccumulateLanes(const float* x, double* sum, std::size_t n);
void AccumulateLanes(const double* x, double* sum, std::size_t n);

// y = exp(x - shift) * scale, and the sum of exp(x - shift). y may be x, or null where only the sum is wanted.
// REQUIRES: x - shift does not overflow exp.
double ExpLanes(const float* x, float shift, float scale, float* y, std::size_t n);
double ExpLanes(const double* x, double shift, double scale, double* y, std::size_t n);

// dx = y * (dy - dot).
void SoftmaxGradientLanes(const float* y, const float* dy, float dot, float* dx, std::size_t n);
void SoftmaxGradientLanes(const double* y, const double* dy, double dot, double* dx, std::size_t n);

// y = (x - mean) * rstd * weight + bias; bias may be null.
void NormalizeLanes(const float* x, float mean, float rstd, const float* weight, const float* bias, float* y,
                    std::size_t n);
void NormalizeLanes(const double* x, double mean, double rstd, const double* weight, const double* bias, double* y,
                    std::size_t n);

// With h = dy * weight and z = (x - mean) * rstd: the sums of h and of h z.
struct NormalizeSums {
  double h = 0;
  double hz = 0;
};
NormalizeSums NormalizeSumsLanes(const float* dy, const float* x, float mean, float rstd, const float* weight,
                                 std::size_t n);
NormalizeSums NormalizeSumsLanes(const double* dy, const double* x, double mean, double rstd, const double* weight,
                                 std::size_t n);
// dx = rstd * (h - mean_h - z * mean_hz). dx may be dy.
void NormalizeGradientLanes(const float* dy, const float* x, float mean, float rstd, const float* weight, float mean_h,
                            float mean_hz, float* dx, std::size_t n);
void NormalizeGradientLanes(const double* dy, const double* x, double mean, double rstd, const double* weight,
                            double mean_h, double mean_hz, double* dx, std::size_t n);
// dweight += dy * z, dbias += dy.
void NormalizeParameterLanes(const float* dy, const float* x, float mean, float rstd, double* dweight, double* dbias,
                             std::size_t n);
void NormalizeParameterLanes(const double* dy, const double* x, double mean, double rstd, double* dweight,
                             double* dbias, std::size_t n);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_ROWS_H_
