// Palettes by the CUDA kernels, run on the host: packed and unpacked to the bit, and the product with a vector.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>

#include "dkm/cuda_problem.h"
#include "dkm/kernels/cuda/palette_launches.h"
#include "dkm/kernels/packed_bits.h"
#include "dkm/kernels/packed_matvec.h"
#include "dkm/kernels/palettize.h"

namespace tierlib::dkm::cuda {
namespace {

const DeviceLimits kSmall{3, 48 * 1024};

// A matrix of random indices with rows that share tables, and what the host makes of it.
struct PackedProblem {
  PackedProblem(std::int64_t rows, std::int64_t columns, int bits, std::int64_t group_rows)
      : shape{rows, columns, bits, group_rows} {
    Random random(static_cast<std::uint64_t>(columns * 8 + bits));
    indices.resize(static_cast<std::size_t>(rows * columns));
    for (std::uint8_t& index : indices) index = static_cast<std::uint8_t>(random.UniformInt(1u << bits));
    packed.resize(static_cast<std::size_t>(shape.index_bytes()));
    for (std::int64_t row = 0; row < rows; ++row) {
      host::PackBits(bits, indices.data() + row * columns, columns, packed.data() + row * shape.row_bytes());
    }
    tables.resize(static_cast<std::size_t>(shape.table_values()));
    for (float& value : tables) value = static_cast<float>(random.Normal());
    x.resize(static_cast<std::size_t>(columns));
    for (float& value : x) value = static_cast<float>(random.Normal());
  }
  PaletteShape shape;
  std::vector<std::uint8_t> indices, packed;
  std::vector<float> tables, x;
};

TEST(CudaPalette, PacksAndUnpacksTheSameBytes) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t columns : {1, 7, 8, 33, 100}) {
      const PackedProblem p(5, columns, bits, 2);
      SequentialGrid grid(kSmall, 4);
      std::vector<std::uint8_t> packed(p.packed.size(), 0xA5), indices(p.indices.size(), 0xA5);
      EXPECT_TRUE(RunPack(grid, {p.shape, p.indices.data(), packed.data()}).ok());
      EXPECT_EQ(packed, p.packed) << bits << " bits, " << columns << " columns";
      EXPECT_TRUE(RunUnpack(grid, {p.shape, p.packed.data(), indices.data()}).ok());
      EXPECT_EQ(indices, p.indices) << bits << " bits, " << columns << " columns";
    }
  }
}

TEST(CudaPalette, UnpacksWeightsByTheirTables) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const PackedProblem p(7, 45, 3, 3);
    SequentialGrid grid;
    std::vector<std::byte> weights(p.indices.size() * ElementBytes(dtype));
    EXPECT_TRUE(RunUnpackWeights(grid, {p.shape, p.packed.data(), p.tables.data(), dtype, weights.data()}).ok());
    std::vector<double> truth;
    for (std::size_t i = 0; i < p.indices.size(); ++i) {
      truth.push_back(static_cast<double>(p.tables[i / 45 / 3 * 8 + p.indices[i]]));
    }
    EXPECT_EQ(host::Load(dtype, weights), host::Rounded(dtype, truth)) << DTypeName(dtype);
  }
}

// Rows that begin at words and ones that do not; x in one stretch and in several; tables of their own.
TEST(CudaPalette, MultipliesAsItsReference) {
  struct Case {
    std::int64_t rows, columns, group_rows;
  };
  for (const auto& [rows, columns, group_rows] :
       {Case{21, 256, 21}, Case{9, 77, 3}, Case{3, 31, 1}, Case{2, 0, 2}, Case{17, 13'000, 8}, Case{1, 12'321, 1}}) {
    for (int bits = 1; bits <= 8; ++bits) {
      const PackedProblem p(rows, columns, bits, group_rows);
      std::vector<float> y(static_cast<std::size_t>(rows), kNaN<float>), truth(y), shuffled(y);
      SequentialGrid grid(kSmall), other(kSmall, 9);
      const MatvecArguments a{p.shape, p.packed.data(), p.tables.data(), p.x.data(), y.data()};
      EXPECT_TRUE(RunMatvec(grid, a).ok());
      MatvecArguments b = a;
      b.y = shuffled.data();
      EXPECT_TRUE(RunMatvec(other, b).ok());
      EXPECT_EQ(shuffled, y);
      host::PackedMatvecReference({p.shape, p.packed.data(), p.tables.data(), p.x.data(), truth.data()});
      for (std::size_t row = 0; row < y.size(); ++row) {
        EXPECT_NEAR(y[row], truth[row], 2e-6 * std::sqrt(static_cast<double>(columns) + 1) * 40)
            << bits << " bits, " << rows << " x " << columns << ", row " << row;
      }
    }
  }
}

TEST(CudaPalette, FindsNearestCentroidsAsTheHost) {
  ThreadPool pool(1);
  KernelContext context{pool};
  for (const int dim : {1, 3}) {
    const std::int64_t vectors = 1001;
    auto values = host::NormalValues(31, vectors * dim, 1);
    values[4] = kNaN<double>;
    const std::vector<std::byte> weights = host::Store(DType::kBF16, values);
    std::vector<float> centroids = AsFloats(host::NormalValues(32, 5 * dim, 1));
    std::copy_n(centroids.begin(), dim, centroids.begin() + 2 * dim);  // a tie
    std::vector<std::byte> output(weights.size()), truth(weights.size());
    std::vector<std::uint8_t> indices(static_cast<std::size_t>(vectors)), true_indices(indices);
    host::Palettize(context, host::PalettizeArguments<float>{DType::kBF16, vectors, dim, 5, weights.data(),
                                                             centroids.data(), truth.data(), true_indices.data()});
    SequentialGrid grid(kSmall, 2);
    PalettizeArguments<float> a{DType::kBF16,   vectors,          dim,           5,
                                weights.data(), centroids.data(), output.data(), indices.data()};
    EXPECT_TRUE(RunPalettize(grid, a).ok());
    EXPECT_EQ(indices, true_indices);
    EXPECT_EQ(output, truth);
  }
}

TEST(CudaPalette, FindsTheFirstThatIsNotFinite) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    auto values = host::NormalValues(33, 3000, 1);
    std::int64_t workspace = 0, first = host::kAllFinite;
    SequentialGrid grid(kSmall, 6);
    auto memory = host::Store(dtype, values);
    EXPECT_TRUE(RunFindNonFinite(grid, {dtype, memory.data(), 3000, &workspace, &first}).ok());
    EXPECT_EQ(first, host::kAllFinite);
    values[2999] = kNaN<double>;
    values[1700] = -HUGE_VAL;
    memory = host::Store(dtype, values);
    EXPECT_TRUE(RunFindNonFinite(grid, {dtype, memory.data(), 3000, &workspace, &first}).ok());
    EXPECT_EQ(first, 1700) << DTypeName(dtype);
    first = 5;  // seen before
    EXPECT_TRUE(RunFindNonFinite(grid, {dtype, memory.data(), 3000, &workspace, &first}).ok());
    EXPECT_EQ(first, 5);
  }
}

TEST(CudaPalette, RefusesWhatItIsNotMadeFor) {
  SequentialGrid grid;
  const Status bits = RunPack(grid, {{2, 2, 9, 1}, nullptr, nullptr});
  EXPECT_EQ(bits.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(bits.message()).find("of 9 bits: 1 to 8"), std::string::npos) << bits;
  PalettizeArguments<float> a;
  a.clusters = 300;
  EXPECT_EQ(RunPalettize(grid, a).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tierlib::dkm::cuda
