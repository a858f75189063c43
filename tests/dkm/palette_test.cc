// Palettes: shapes, packing to the bit, assignment, and what cannot be packed.
#include "tierlib/dkm/palette.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"
#include "dkm/kernels/packed_bits.h"
#include "dkm/nearest.h"

namespace tierlib::dkm {
namespace {

using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Weights of any type, at an odd address.
struct Weights {
  Weights(DType type, std::vector<std::int64_t> weight_sizes, const std::vector<float>& from)
      : dtype(type), sizes(std::move(weight_sizes)), bytes(from.size() * ElementBytes(type) + 1) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (dtype == DType::kF32) {
        std::memcpy(bytes.data() + 1 + 4 * i, &from[i], 4);
        values.push_back(from[i]);
      } else {
        const std::uint16_t bits =
            dtype == DType::kF16 ? autograd::host::F16FromFloat(from[i]) : autograd::host::BF16FromFloat(from[i]);
        std::memcpy(bytes.data() + 1 + 2 * i, &bits, 2);
        values.push_back(dtype == DType::kF16 ? autograd::host::FloatFromF16(bits)
                                              : autograd::host::FloatFromBF16(bits));
      }
    }
  }
  DenseWeight dense() const { return {"w", dtype, sizes, bytes.data() + 1}; }

  DType dtype;
  std::vector<std::int64_t> sizes;
  std::vector<std::byte> bytes;
  std::vector<float> values;  // as the type has them
};

std::vector<float> Normals(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = 0.02f * static_cast<float>(random.Normal());
  return values;
}

std::vector<float> Unpacked(Palettizer& palettizer, const PaletteView& view) {
  std::vector<float> dense(static_cast<std::size_t>(view.shape.rows * view.shape.columns));
  EXPECT_EQ(palettizer.Unpack(view, DType::kF32, dense.data()), OkStatus());
  return dense;
}

TEST(PackedBits, RoundTripEveryWidthAndCount) {
  Random random(31);
  for (int bits = 1; bits <= 8; ++bits) {
    for (std::int64_t count = 0; count <= 40; ++count) {
      std::vector<std::uint8_t> indices(static_cast<std::size_t>(count)), back(indices.size());
      for (std::uint8_t& index : indices) index = static_cast<std::uint8_t>(random.UniformInt(1u << bits));
      const std::size_t bytes = static_cast<std::size_t>(count * bits + 7) / 8;
      std::vector<std::uint8_t> packed(bytes + 1, 0xa5);
      host::PackBits(bits, indices.data(), count, packed.data());
      EXPECT_EQ(packed[bytes], 0xa5) << "wrote beyond the end";
      for (std::int64_t i = 0; i < count * bits; ++i) {  // the layout that the header says, bit by bit
        const int expected = indices[static_cast<std::size_t>(i / bits)] >> (i % bits) & 1;
        ASSERT_EQ(packed[static_cast<std::size_t>(i / 8)] >> (i % 8) & 1, expected) << bits << " " << count << " " << i;
      }
      for (std::size_t i = static_cast<std::size_t>(count * bits); i < 8 * bytes; ++i) {
        ASSERT_EQ(packed[i / 8] >> (i % 8) & 1, 0) << "what is left of the last byte";
      }
      host::UnpackBits(bits, packed.data(), count, back.data());
      EXPECT_EQ(back, indices);
    }
  }
}

TEST(Nearest, IsTheLowestOfTheNearest) {
  Random random(32);
  for (int run = 0; run < 300; ++run) {
    std::vector<float> table(1u << (1 + random.UniformInt(8)));
    for (float& value : table) value = static_cast<float>(random.UniformInt(run % 2 == 0 ? 400 : 8)) / 4;
    std::sort(table.begin(), table.end());
    const Nearest nearest(table.data(), static_cast<int>(table.size()));
    for (int i = -4; i < 420; ++i) {
      const double value = i / 4.0 + (i % 3 == 0 ? 0.125 : 0);  // often half way
      std::size_t expected = 0;
      for (std::size_t j = 1; j < table.size(); ++j) {
        if (std::abs(value - table[j]) < std::abs(value - table[expected])) expected = j;
      }
      ASSERT_EQ(nearest.Of(value), expected) << value;
    }
  }
}

TEST(PaletteShape, CountsBytes) {
  const PaletteShape three = *MakePaletteShape({5, 2, 7}, 3, 2);
  EXPECT_EQ(three.rows, 5);
  EXPECT_EQ(three.columns, 14);
  EXPECT_EQ(three.row_bytes(), 6) << "42 bits";
  EXPECT_EQ(three.groups(), 3);
  EXPECT_EQ(three.table_values(), 24);
  EXPECT_EQ(MakePaletteShape({}, 8, 0)->index_bytes(), 1);
  EXPECT_EQ(MakePaletteShape({9}, 2, 0)->row_bytes(), 3);
  EXPECT_EQ(MakePaletteShape({0, 9}, 2, 0)->index_bytes(), 0);
  EXPECT_EQ(MakePaletteShape({4, 9}, 2, 100)->groups(), 1);
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(MakePaletteShape({huge, huge, 0}, 2, 0)->columns, 0);
  for (const std::vector<std::int64_t>& sizes : {std::vector<std::int64_t>{-1, 2}, {2, huge}, {huge, 2}, {huge}}) {
    EXPECT_EQ(MakePaletteShape(sizes, 2, 0).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(MakePaletteShape({2, 2}, 0, 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakePaletteShape({2, 2}, 9, 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakePaletteShape({2, 2}, 2, -1).status().code(), StatusCode::kInvalidArgument);
}

// Every weight has the nearest value of its group's table, and the error that is told is the error that there is.
TEST(Palettizer, GivesEachWeightItsNearestValue) {
  Palettizer palettizer(2);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const DType table_dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      for (const int bits : {1, 3, 8}) {
        const Weights weights(dtype, {10, 3, 337}, Normals(10 * 1011, 33));
        const StatusOr<Palette> palette = palettizer.Cluster(weights.dense(), {bits, 4, table_dtype});
        ASSERT_TRUE(palette.ok()) << palette.status();
        ASSERT_EQ(palette->shape.groups(), 3);
        const std::vector<float> dense = Unpacked(palettizer, palette->view());
        double error = 0, norm = 0;
        for (std::size_t i = 0; i < dense.size(); ++i) {
          const std::size_t group = i / 1011 / 4;
          double least = kInfinity;
          for (std::size_t j = 0; j < (1u << bits); ++j) {
            const std::size_t at = (group << bits) + j;
            float value;
            std::uint16_t half;
            std::memcpy(&value, palette->table.data() + 4 * at * (table_dtype == DType::kF32), 4);
            std::memcpy(&half, palette->table.data() + 2 * at * (table_dtype != DType::kF32), 2);
            if (table_dtype == DType::kF16) value = autograd::host::FloatFromF16(half);
            if (table_dtype == DType::kBF16) value = autograd::host::FloatFromBF16(half);
            least = std::min(least, std::abs(static_cast<double>(weights.values[i]) - value));
          }
          ASSERT_EQ(std::abs(static_cast<double>(weights.values[i]) - dense[i]), least) << i;
          error += least * least;
          norm += static_cast<double>(weights.values[i]) * weights.values[i];
        }
        EXPECT_NEAR(palette->squared_error, error, 1e-12 * error);
        EXPECT_NEAR(palette->squared_norm, norm, 1e-12 * norm);
        EXPECT_NEAR(palette->RelativeError(), std::sqrt(error / norm), 1e-9);
      }
    }
  }
}

// Max (1960): the best 8 levels leave 0.03454 of a normal distribution's variance, for every type of weights.
TEST(Palettizer, ReachesTheBestErrorOfANormalDistribution) {
  Palettizer palettizer(2);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Weights weights(dtype, {300, 300}, Normals(90000, 34));
    const StatusOr<Palette> palette = palettizer.Cluster(weights.dense(), {3, 0, DType::kF32});
    ASSERT_TRUE(palette.ok());
    EXPECT_NEAR(palette->RelativeError(), std::sqrt(0.03454), 0.003);
    EXPECT_EQ(palette->indices.size(), 300u * 113u) << "900 bits a row";
  }
}

TEST(Palettizer, KeepsFewDistinctValuesExactly) {
  Palettizer palettizer(1);
  const float tiny = std::numeric_limits<float>::denorm_min();
  const float large = std::numeric_limits<float>::max();
  const std::vector<float> some = {0.1f, -0.0f, tiny, -large, large, 0.1f, tiny, 0.3f};
  const Weights floats(DType::kF32, {2, 4}, some);
  const StatusOr<Palette> palette = palettizer.Cluster(floats.dense(), {3, 0, DType::kF32});
  ASSERT_TRUE(palette.ok()) << palette.status();
  EXPECT_EQ(Unpacked(palettizer, palette->view()), some) << "-0 equals 0";
  EXPECT_EQ(palette->squared_error, 0);
  EXPECT_EQ(palette->RelativeError(), 0);
  const Weights constant(DType::kBF16, {3, 100}, std::vector<float>(300, -7.5f));
  const StatusOr<Palette> one = palettizer.Cluster(constant.dense(), {8, 1, DType::kF16});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(Unpacked(palettizer, one->view()), constant.values);
  const Weights zeros(DType::kF16, {1}, {0.0f});
  EXPECT_EQ(palettizer.Cluster(zeros.dense(), {1, 0, DType::kF32})->RelativeError(), 0);
}

TEST(Palettizer, UnpacksToEveryTypeAtAnyAddress) {
  Palettizer palettizer(2);
  const Weights weights(DType::kF32, {3, 5001}, Normals(15003, 35));  // a row is more than one piece
  const Palette palette = *palettizer.Cluster(weights.dense(), {5, 0, DType::kF32});
  const std::vector<float> dense = Unpacked(palettizer, palette.view());
  double error = 0;
  for (std::size_t i = 0; i < dense.size(); ++i)
    error += std::pow(static_cast<double>(weights.values[i]) - dense[i], 2);
  EXPECT_NEAR(error, palette.squared_error, 1e-9 * error);
  std::vector<std::byte> bytes(2 * dense.size() + 1);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    ASSERT_EQ(palettizer.Unpack(palette.view(), dtype, bytes.data() + 1), OkStatus());
    const Weights expected(dtype, {15003}, dense);
    EXPECT_TRUE(
        std::equal(bytes.begin(), bytes.end(), expected.bytes.begin(),
                   [first = true](std::byte a, std::byte b) mutable { return std::exchange(first, false) || a == b; }));
  }
  EXPECT_EQ(palettizer.Unpack(palette.view(), DType::kF64, bytes.data()).code(), StatusCode::kInvalidArgument);
}

TEST(Palettizer, IsTheSameForAnyNumberOfThreads) {
  const Weights weights(DType::kF32, {64, 3000}, Normals(192000, 36));
  for (const std::int64_t group_rows : {0, 7}) {
    Palettizer one(1), three(3);
    const Palette a = *one.Cluster(weights.dense(), {4, group_rows, DType::kF32});
    const Palette b = *three.Cluster(weights.dense(), {4, group_rows, DType::kF32});
    EXPECT_EQ(a.indices, b.indices);
    EXPECT_EQ(a.table, b.table);
    EXPECT_EQ(a.squared_error, b.squared_error);
  }
}

TEST(Palettizer, TakesTablesAsTheyAre) {
  Palettizer palettizer(1);
  const Weights weights(DType::kF32, {2, 3}, {0, 1, 2, 3, 4, 5});
  const StatusOr<Palette> palette = palettizer.Assign(weights.dense(), {1, 1, DType::kF32}, {2, 0, 3.5f, 4.5f});
  ASSERT_TRUE(palette.ok()) << palette.status();
  EXPECT_EQ(Unpacked(palettizer, palette->view()), (std::vector<float>{0, 0, 2, 3.5f, 3.5f, 4.5f}));
  const auto refused = [&](const std::vector<float>& table, DType table_dtype) {
    return std::string(palettizer.Assign(weights.dense(), {1, 1, table_dtype}, table).status().message());
  };
  EXPECT_THAT(refused({1, 2}, DType::kF32), HasSubstr("tensor w: has tables of 2 values, not 4"));
  EXPECT_THAT(refused({1, 2, kInfinity, 3}, DType::kF32), HasSubstr("is NaN or infinite"));
  EXPECT_THAT(refused({1, 2, 1e9f, 3}, DType::kF16), HasSubstr("not finite in f16"));
}

TEST(Palettizer, NamesTheWeightThatCannotBe) {
  Palettizer palettizer(2);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    std::vector<float> values(30, 1);
    values[17] = -kInfinity;
    values[29] = std::nanf("");
    for (const std::int64_t group_rows : {0, 1}) {
      const Weights weights(dtype, {5, 2, 3}, values);
      const Status status = palettizer.Cluster(weights.dense(), {2, group_rows, DType::kF32}).status();
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_EQ(status.message(), "tensor w: value 17, at [2,1,2], is NaN or infinite");
      EXPECT_EQ(palettizer.Assign(weights.dense(), {1, 0, DType::kF32}, {0, 1}).status().message(), status.message());
    }
  }
  const auto refused = [&](const DenseWeight& weight, const PaletteOptions& options) {
    return std::string(palettizer.Cluster(weight, options).status().message());
  };
  const float one = 1;
  EXPECT_THAT(refused({"w", DType::kI32, {1}, &one}, {}), HasSubstr("tensor w: weights and tables are f32"));
  EXPECT_THAT(refused({"w", DType::kF32, {1}, &one}, {3, 0, DType::kF64}), HasSubstr("not f64"));
  EXPECT_THAT(refused({"w", DType::kF32, {1}, &one}, {9, 0, DType::kF32}), HasSubstr("bits are 1 to 8"));
  EXPECT_THAT(refused({"w", DType::kF32, {3, 0}, nullptr}, {}), HasSubstr("has no values"));
}

}  // namespace
}  // namespace tierlib::dkm
