// Reads the golden vectors in tests/dkm/golden.
#ifndef TIERLIB_TESTS_DKM_GOLDEN_H_
#define TIERLIB_TESTS_DKM_GOLDEN_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {

struct Golden {
  std::string name;
  std::int64_t vectors = 0;
  int dim = 1;
  int clusters = 0;
  int iterations = 0;
  double tau = 0;
  Metric metric = Metric::kSquared;
  Attention attention = Attention::kLast;
  double truncated_difference = 0;  // max |dW' - dW| where dW' goes through the last iteration only
  std::vector<double> weights, start, gradient, output, centroids, weight_gradient, start_gradient, trace;
  std::vector<std::int32_t> hard;
};

template <typename T>
std::vector<T> ReadGoldenFile(const nlohmann::json& file) {
  std::size_t count = 1;
  for (const auto& size : file["shape"]) count *= size.get<std::size_t>();
  std::vector<T> values(count);
  const std::string path = std::string(TIERLIB_DKM_GOLDEN) + "/" + file["file"].get<std::string>();
  std::ifstream stream(path, std::ios::binary);
  stream.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
  EXPECT_TRUE(stream.good()) << path;
  return values;
}

inline Golden ReadGolden(const std::string& name) {
  const std::string path = std::string(TIERLIB_DKM_GOLDEN) + "/" + name + ".json";
  std::ifstream stream(path);
  EXPECT_TRUE(stream.good()) << path;
  const nlohmann::json json = nlohmann::json::parse(stream);
  const auto& files = json["files"];
  Golden golden;
  golden.name = name;
  golden.vectors = json["N"];
  golden.dim = json["d"];
  golden.clusters = json["k"];
  golden.iterations = json["iterations"];
  golden.tau = json["tau"];
  golden.metric = json["metric"] == "l2" ? Metric::kEuclidean : Metric::kSquared;
  golden.attention = json["final"] == "recompute" ? Attention::kRecomputed : Attention::kLast;
  golden.truncated_difference = json["max_abs_diff_if_grad_truncated_to_last_iter"];
  golden.weights = ReadGoldenFile<double>(files["W"]);
  golden.start = ReadGoldenFile<double>(files["C0"]);
  golden.gradient = ReadGoldenFile<double>(files["G"]);
  golden.output = ReadGoldenFile<double>(files["Wt"]);
  golden.centroids = ReadGoldenFile<double>(files["C"]);
  golden.weight_gradient = ReadGoldenFile<double>(files["dW"]);
  golden.start_gradient = ReadGoldenFile<double>(files["dC0"]);
  golden.trace = ReadGoldenFile<double>(files["C_trace"]);
  golden.hard = ReadGoldenFile<std::int32_t>(files["hard"]);
  return golden;
}

inline std::vector<std::string> GoldenNames() {
  return {"c01_f32_d1_k4_soft", "c02_f32_d1_k8_dkmtau", "c03_bf16_d1_k8",
          "c05_f32_d2_k8",      "c08_f32_d1_k8_l2",     "c10_f32_d1_k4_T1"};
}

template <typename A>
double Largest(const std::vector<A>& values) {
  double largest = 0;
  for (const A value : values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

// Largest difference; infinity where sizes differ or a value is NaN.
template <typename A, typename B>
double LargestDifference(const std::vector<A>& a, const std::vector<B>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= largest)) largest = std::isnan(difference) ? INFINITY : difference;
  }
  return largest;
}

}  // namespace tierlib::dkm

#endif  // TIERLIB_TESTS_DKM_GOLDEN_H_
