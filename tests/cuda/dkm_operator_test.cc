// DKM's operator on a GPU against the host's, with every option that decides which kernels run. Skipped, with that
// reason, where there is no GPU.
#include <cmath>
#include <string>
#include <vector>

#include "allocator/cuda/cuda_device.h"
#include "autograd/kernels/host/float16.h"
#include "dkm/trainer.h"
#include "gtest/gtest.h"

namespace tierlib::dkm {
namespace {

tierlib::Options OnGpu() {
  tierlib::Options options = SmallOptions();
  options.devices[0].kind = DeviceKind::kCuda;
  options.devices[0].capacity = MiB(512);
  return options;
}

std::vector<double> Values(DType dtype, const Bytes& bytes) {
  std::vector<double> values(bytes.size() / ElementBytes(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t bits = 0;
    float single = 0;
    if (dtype == DType::kF64) std::memcpy(&values[i], &bytes[8 * i], 8);
    if (dtype == DType::kF32) std::memcpy(&single, &bytes[4 * i], 4);
    if (ElementBytes(dtype) == 2) std::memcpy(&bits, &bytes[2 * i], 2);
    if (dtype == DType::kBF16) single = autograd::host::FloatFromBF16(bits);
    if (dtype == DType::kF16) single = autograd::host::FloatFromF16(bits);
    if (dtype != DType::kF64) values[i] = single;
  }
  return values;
}

// ||a - b|| / ||b||.
double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

struct Case {
  const char* name;
  dkm::Options options;
  DType dtype;
};

const Case kCases[] = {
    {"tiled", {.form = Form::kTiled}, DType::kF32},
    {"tiled in float64", {.form = Form::kTiled}, DType::kF64},
    {"tiled of bf16", {.form = Form::kTiled}, DType::kBF16},
    {"tiled of f16", {.form = Form::kTiled}, DType::kF16},
    {"tiled, rounded to bf16", {.form = Form::kTiled, .round_to = DType::kBF16}, DType::kF32},
    {"vectors of bf16", {.cluster_dim = 5}, DType::kBF16},
    {"vectors, rounded to f16", {.cluster_dim = 5, .round_to = DType::kF16}, DType::kF32},
    {"exact", {.form = Form::kExact}, DType::kBF16},
    {"exact of f16", {.form = Form::kExact}, DType::kF16},
    {"exact, rounded", {.form = Form::kExact, .round_to = DType::kBF16}, DType::kF32},
    {"groups", {.form = Form::kExact, .group_rows = 9}, DType::kBF16},
    {"tiled groups", {.group_rows = 9}, DType::kF32},
    {"scaled", {.per_channel_scale = ChannelScale::kAbs}, DType::kF32},
    {"scaled in float64", {.per_channel_scale = ChannelScale::kMinMax}, DType::kF64},
    {"scaled bf16", {.per_channel_scale = ChannelScale::kAbs}, DType::kBF16},
    {"scaled and rounded, exact",
     {.form = Form::kExact, .round_to = DType::kBF16, .per_channel_scale = ChannelScale::kAbs},
     DType::kBF16},
    {"scaled and rounded, tiled",
     {.form = Form::kTiled, .round_to = DType::kBF16, .per_channel_scale = ChannelScale::kMinMax},
     DType::kF32},
    {"reference", {.form = Form::kReference}, DType::kF32},
    {"reference of bf16", {.form = Form::kReference}, DType::kBF16},
    {"reference of groups, scaled",
     {.form = Form::kReference, .group_rows = 9, .per_channel_scale = ChannelScale::kAbs},
     DType::kF64},
    {"reference with a threshold", {.form = Form::kReference, .prune_threshold = 1e-4}, DType::kF32},
};

class CudaClustering : public ::testing::Test {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "no CUDA device on this machine or in this build";
  }
};

TEST_F(CudaClustering, OutputsGradientsAndPalettesAreTheHosts) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Trainer host(c.options, SmallOptions(), c.dtype);
    Trainer device(c.options, OnGpu(), c.dtype);
    const Trainer::Pass expected = host.Run();
    const Trainer::Pass got = device.Run();
    ASSERT_TRUE(expected.status.ok()) << expected.status;
    ASSERT_TRUE(got.status.ok()) << got.status;
    // Sums in another order; a value of 16 bits is rounded once more.
    const double bound = c.dtype == DType::kF64 ? 1e-9 : c.dtype == DType::kF32 ? 2e-4 : 2e-2;
    EXPECT_LE(Distance(Values(c.dtype, got.output), Values(c.dtype, expected.output)), bound);
    EXPECT_LE(Distance(Values(c.dtype, got.gradient), Values(c.dtype, expected.gradient)), bound);
    const auto palette = [&](Trainer& trainer) {
      return Values(c.dtype, ReadBytes(trainer.clustering.Palettize(trainer.context(), trainer.weight.value).value()));
    };
    EXPECT_LE(Distance(palette(device), palette(host)), bound);
  }
}

// Steps make the output again from the weight, where the runtime knows how.
TEST_F(CudaClustering, IsTheSameInEveryRun) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Trainer a(c.options, OnGpu(), c.dtype);
    Trainer b(c.options, OnGpu(), c.dtype);
    const Trainer::Pass first = a.Run();
    const Trainer::Pass second = b.Run();
    ASSERT_TRUE(first.status.ok() && second.status.ok()) << first.status << second.status;
    EXPECT_TRUE(first.output == second.output);
    EXPECT_TRUE(first.gradient == second.gradient);
  }
}

}  // namespace
}  // namespace tierlib::dkm
