// What the functions for palettes in a device's memory refuse before they ask for a device.
// tests/cuda/dkm_kernels_test.cc has what they compute.
#include "tierlib/dkm/device_palette.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tierlib::dkm {
namespace {

class DevicePaletteTest : public testing::Test {
 protected:
  DevicePaletteTest()
      : shape_(MakePaletteShape({4, 24}, 3, 2).value()),
        indices_(static_cast<std::size_t>(shape_.index_bytes())),
        tables_(static_cast<std::size_t>(shape_.table_values())),
        palette_{shape_, indices_.data(), tables_.data()} {}

  static void ExpectRefused(const Status& status, const std::string& text) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos) << status;
  }

  PaletteShape shape_;
  std::vector<std::uint8_t> indices_;
  std::vector<float> tables_;
  DevicePalette palette_;
  std::vector<float> x_ = std::vector<float>(24), y_ = std::vector<float>(4), weights_ = std::vector<float>(96);
};

TEST_F(DevicePaletteTest, NamesTheAddressThatIsMissing) {
  ExpectRefused(MultiplyOnDevice(palette_, nullptr, y_.data(), {}),
                "multiply on a device: no address of x, 96 bytes of device memory");
  ExpectRefused(MultiplyOnDevice(palette_, x_.data(), nullptr, {}), "no address of y, 16 bytes");
  ExpectRefused(MultiplyOnDevice({shape_, nullptr, tables_.data()}, x_.data(), y_.data(), {}),
                "no address of the indices, 36 bytes");
  ExpectRefused(UnpackOnDevice({shape_, indices_.data(), nullptr}, DType::kF32, weights_.data(), {}),
                "unpack on a device: no address of the tables, 64 bytes");
  ExpectRefused(UnpackOnDevice(palette_, DType::kBF16, nullptr, {}), "no address of the weights, 192 bytes");
}

TEST_F(DevicePaletteTest, NamesAShapeOrATypeThatCannotBe) {
  palette_.shape.bits = 9;
  ExpectRefused(MultiplyOnDevice(palette_, x_.data(), y_.data(), {}),
                "a palette of 4 rows of 24, 2 to a table, of 9 bits");
  palette_.shape = shape_;
  palette_.shape.group_rows = 0;
  ExpectRefused(UnpackOnDevice(palette_, DType::kF32, weights_.data(), {}), "0 to a table");
  palette_.shape = shape_;
  palette_.shape.rows = -1;
  ExpectRefused(UnpackOnDevice(palette_, DType::kF32, weights_.data(), {}), "a palette of -1 rows");
  palette_.shape = shape_;
  ExpectRefused(UnpackOnDevice(palette_, DType::kF64, weights_.data(), {}),
                "weights of f64: f32, bf16 and f16 are possible");
}

}  // namespace
}  // namespace tierlib::dkm
