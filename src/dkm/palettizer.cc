// Palettizer: a group's values are counted, its table is made from the counts, and its rows are assigned and packed.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"
#include "dkm/kernels/packed_bits.h"
#include "dkm/kernels/packed_matvec.h"
#include "dkm/nearest.h"
#include "dkm/palette_shape.h"
#include "dkm/value_cells.h"
#include "tierlib/dkm/palette.h"

namespace tierlib::dkm {
namespace {

constexpr std::int64_t kPiece = 4096;             // columns that are assigned at a time; a multiple of 8
constexpr std::int64_t kWeightsOfTile = 1 << 16;  // of rows that go to a thread together

std::int64_t RowsOfTile(const PaletteShape& shape) {
  return std::max<std::int64_t>(1, kWeightsOfTile / std::max<std::int64_t>(shape.columns, 1));
}

// Values as the table's type has them.
void Round(DType dtype, std::vector<float>& values) {
  std::vector<float> rounded(values.size());  // room enough for any type
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto position = static_cast<std::int64_t>(i);
    autograd::host::WriteElement<float>(dtype, rounded.data(), position, values[i]);
    values[i] = autograd::host::ReadElement<float>(dtype, rounded.data(), position);
  }
}

template <typename T>
T LoadAt(const void* data, std::int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + i * static_cast<std::int64_t>(sizeof(T)), sizeof value);
  return value;
}

// One group of a weight on its way into a palette. What it writes belongs to it alone: groups may be on many threads.
class Group {
 public:
  Group(ThreadPool& pool, const DenseWeight& weight, std::int64_t number, Palette& palette)
      : pool_(pool),
        dtype_(weight.dtype),
        palette_(palette),
        shape_(palette.shape),
        number_(number),
        first_row_(number * shape_.group_rows),
        rows_(std::min(shape_.group_rows, shape_.rows - first_row_)),
        data_(static_cast<const std::byte*>(weight.data) +
              first_row_ * shape_.columns * static_cast<std::int64_t>(ElementBytes(weight.dtype))) {}

  // Looks at the values; false where one is not finite. `wanted`: the values for a table are, too.
  bool Count(bool wanted) {
    const std::int64_t count = rows_ * shape_.columns;
    if (dtype_ == DType::kF32) {
      if (!wanted) return FirstNotFinite(dtype_, data_, count) < 0;
      values_ = CellsOfFloats(pool_, data_, count);
      return !values_.values.empty();
    }
    counts_ = CountBitPatterns(pool_, data_, count);
    if (!AllFinite(dtype_, counts_)) return false;
    if (wanted) values_ = ValuesOfBits(dtype_, counts_);
    return true;
  }

  std::vector<float> BestTable() const {
    const std::vector<double> centroids = KMeans1d(values_, static_cast<int>(shape_.clusters()));
    return {centroids.begin(), centroids.end()};
  }

  // Sorts and rounds `table`, and packs the group's indices; false where a value is not finite in the table's type.
  bool Pack(std::vector<float> table) {
    std::sort(table.begin(), table.end());
    Round(palette_.table_dtype, table);
    if (!std::all_of(table.begin(), table.end(), [](float value) { return std::isfinite(value); })) return false;
    StoreTable(table);
    const Nearest nearest(table.data(), static_cast<int>(shape_.clusters()));
    if (dtype_ == DType::kF32) {
      PackFloats(nearest, table);
    } else {
      PackPatterns(nearest, table);
    }
    return true;
  }

  double squared_error() const { return squared_error_; }
  double squared_norm() const { return squared_norm_; }

 private:
  void StoreTable(const std::vector<float>& table) {
    std::vector<float> stored(table.size());
    for (std::size_t i = 0; i < table.size(); ++i) {
      autograd::host::WriteElement<float>(palette_.table_dtype, stored.data(), static_cast<std::int64_t>(i), table[i]);
    }
    const std::size_t bytes = table.size() * ElementBytes(palette_.table_dtype);
    std::memcpy(palette_.table.data() + static_cast<std::size_t>(number_) * bytes, stored.data(), bytes);
  }

  // Every pattern that is there has one index and one error.
  void PackPatterns(const Nearest& nearest, const std::vector<float>& table) {
    std::vector<std::uint8_t> index_of(counts_.size());
    for (std::size_t bits = 0; bits < counts_.size(); ++bits) {
      if (counts_[bits] == 0) continue;
      const double value = ValueOfBits(dtype_, static_cast<std::uint16_t>(bits));
      index_of[bits] = nearest.Of(value);
      const double difference = value - table[index_of[bits]];
      squared_error_ += static_cast<double>(counts_[bits]) * difference * difference;
      squared_norm_ += static_cast<double>(counts_[bits]) * value * value;
    }
    PackRows([&](std::int64_t, std::int64_t at) { return index_of[LoadAt<std::uint16_t>(data_, at)]; });
  }

  void PackFloats(const Nearest& nearest, const std::vector<float>& table) {
    struct RowSums {
      double error = 0;
      double norm = 0;
    };
    std::vector<RowSums> sums(static_cast<std::size_t>(rows_));
    PackRows([&](std::int64_t row, std::int64_t at) {
      const double value = LoadAt<float>(data_, at);
      const std::uint8_t index = nearest.Of(value);
      const double difference = value - table[index];
      RowSums& of_row = sums[static_cast<std::size_t>(row)];
      of_row.error += difference * difference;
      of_row.norm += value * value;
      return index;
    });
    for (const RowSums& of_row : sums) {
      squared_error_ += of_row.error;
      squared_norm_ += of_row.norm;
    }
  }

  // `index_of(row, position)` for each weight of the group, in order within a row.
  template <class IndexOf>
  void PackRows(const IndexOf& index_of) {
    pool_.ParallelFor(rows_, RowsOfTile(shape_), [&](std::int64_t begin, std::int64_t end) {
      std::uint8_t indices[kPiece];
      for (std::int64_t row = begin; row < end; ++row) {
        std::uint8_t* packed = palette_.indices.data() + (first_row_ + row) * shape_.row_bytes();
        for (std::int64_t column = 0; column < shape_.columns; column += kPiece) {
          const std::int64_t count = std::min(kPiece, shape_.columns - column);
          const std::int64_t first = row * shape_.columns + column;
          for (std::int64_t i = 0; i < count; ++i) indices[i] = index_of(row, first + i);
          host::PackBits(shape_.bits, indices, count, packed + column / 8 * shape_.bits);
        }
      }
    });
  }

  ThreadPool& pool_;
  const DType dtype_;
  Palette& palette_;
  const PaletteShape& shape_;
  const std::int64_t number_;
  const std::int64_t first_row_;
  const std::int64_t rows_;
  const std::byte* const data_;
  std::vector<std::uint64_t> counts_;  // of bit patterns, for 16-bit types
  WeightedValues values_;              // what the table is made from
  double squared_error_ = 0;
  double squared_norm_ = 0;
};

StatusOr<Palette> EmptyPalette(const DenseWeight& weight, const PaletteOptions& options) {
  const auto wrong = [&](const std::string& text) {
    return InvalidArgumentError("tensor " + weight.name + ": " + text);
  };
  for (const DType dtype : {weight.dtype, options.table_dtype}) {
    if (!IsPaletteType(dtype)) {
      return wrong(std::string("weights and tables are f32, bf16 or f16, not ") + DTypeName(dtype));
    }
  }
  const StatusOr<PaletteShape> shape = MakePaletteShape(weight.sizes, options.bits, options.group_rows);
  if (!shape.ok()) return wrong(std::string(shape.status().message()));
  if (shape->rows == 0 || shape->columns == 0) return wrong("has no values");
  Palette palette;
  palette.shape = *shape;
  palette.table_dtype = options.table_dtype;
  palette.indices.resize(static_cast<std::size_t>(shape->index_bytes()));
  palette.table.resize(static_cast<std::size_t>(shape->table_values()) * ElementBytes(options.table_dtype));
  return palette;
}

}  // namespace

struct Palettizer::State {
  explicit State(int threads) : pool(threads) {}

  // `given`: the tables, or null for the best ones.
  StatusOr<Palette> Make(const DenseWeight& weight, const PaletteOptions& options, const std::vector<float>* given) {
    TIERLIB_ASSIGN_OR_RETURN(Palette palette, EmptyPalette(weight, options));
    const std::int64_t groups = palette.shape.groups();
    const std::int64_t clusters = palette.shape.clusters();
    if (given != nullptr && static_cast<std::int64_t>(given->size()) != groups * clusters) {
      return InvalidArgumentError("tensor " + weight.name + ": has tables of " + std::to_string(given->size()) +
                                  " values, not " + std::to_string(groups * clusters));
    }
    std::vector<std::pair<double, double>> sums(static_cast<std::size_t>(groups));  // error, norm
    std::atomic<bool> finite{true};
    std::atomic<bool> fits{true};
    const auto make = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t g = begin; g < end; ++g) {
        Group group(pool, weight, g, palette);
        if (!group.Count(given == nullptr)) {
          finite = false;
          continue;
        }
        const auto table = [&] {
          return std::vector<float>(given->data() + g * clusters, given->data() + (g + 1) * clusters);
        };
        if (!group.Pack(given == nullptr ? group.BestTable() : table())) fits = false;
        sums[static_cast<std::size_t>(g)] = {group.squared_error(), group.squared_norm()};
      }
    };
    if (groups == 1) {
      make(0, 1);  // so that the loops inside have the threads
    } else {
      pool.ParallelFor(groups, 1, make);
    }
    if (!finite)
      return NotFiniteError(weight,
                            FirstNotFinite(weight.dtype, weight.data, palette.shape.rows * palette.shape.columns));
    if (!fits) {
      return InvalidArgumentError("tensor " + weight.name + ": a table value is not finite in " +
                                  DTypeName(options.table_dtype));
    }
    for (const auto& [error, norm] : sums) {
      palette.squared_error += error;
      palette.squared_norm += norm;
    }
    return palette;
  }

  // `Bits`: an unsigned integer as wide as the dense type.
  template <typename Bits>
  void Unpack(const PaletteView& palette, DType dtype, std::byte* out) {
    const PaletteShape& shape = palette.shape;
    if (shape.columns == 0) return;  // however many rows there are said to be
    const std::vector<float> tables = ReadTables(palette);
    std::vector<Bits> dense(tables.size());
    for (std::size_t i = 0; i < tables.size(); ++i) {
      autograd::host::WriteElement<float>(dtype, dense.data(), static_cast<std::int64_t>(i), tables[i]);
    }
    pool.ParallelFor(shape.rows, RowsOfTile(shape), [&](std::int64_t begin, std::int64_t end) {
      std::uint8_t indices[kPiece];
      Bits values[kPiece];
      for (std::int64_t row = begin; row < end; ++row) {
        const auto* packed = static_cast<const std::uint8_t*>(palette.indices) + row * shape.row_bytes();
        const Bits* table = dense.data() + row / shape.group_rows * shape.clusters();
        for (std::int64_t column = 0; column < shape.columns; column += kPiece) {
          const std::int64_t count = std::min(kPiece, shape.columns - column);
          host::UnpackBits(shape.bits, packed + column / 8 * shape.bits, count, indices);
          for (std::int64_t i = 0; i < count; ++i) values[i] = table[indices[i]];
          std::memcpy(out + (row * shape.columns + column) * static_cast<std::int64_t>(sizeof(Bits)), values,
                      static_cast<std::size_t>(count) * sizeof(Bits));
        }
      }
    });
  }

  ThreadPool pool;
};

Palettizer::Palettizer(int threads) : state_(std::make_unique<State>(threads)) {}
Palettizer::~Palettizer() = default;

StatusOr<Palette> Palettizer::Cluster(const DenseWeight& weight, const PaletteOptions& options) {
  return state_->Make(weight, options, nullptr);
}

StatusOr<Palette> Palettizer::Assign(const DenseWeight& weight, const PaletteOptions& options,
                                     const std::vector<float>& table) {
  if (!std::all_of(table.begin(), table.end(), [](float value) { return std::isfinite(value); })) {
    return InvalidArgumentError("tensor " + weight.name + ": a table value is NaN or infinite");
  }
  return state_->Make(weight, options, &table);
}

Status Palettizer::Unpack(const PaletteView& palette, DType dtype, void* out) {
  TIERLIB_RETURN_IF_ERROR(CheckView(palette));
  if (!IsPaletteType(dtype)) {
    return InvalidArgumentError(std::string("palette: dense weights are f32, bf16 or f16, not ") + DTypeName(dtype));
  }
  if (dtype == DType::kF32) {
    state_->Unpack<std::uint32_t>(palette, dtype, static_cast<std::byte*>(out));
  } else {
    state_->Unpack<std::uint16_t>(palette, dtype, static_cast<std::byte*>(out));
  }
  return OkStatus();
}

Status Palettizer::Multiply(const PaletteView& palette, const float* x, float* y) {
  TIERLIB_RETURN_IF_ERROR(CheckView(palette));
  const std::vector<float> tables = ReadTables(palette);
  host::PackedMatvec(state_->pool,
                     {palette.shape, static_cast<const std::uint8_t*>(palette.indices), tables.data(), x, y});
  return OkStatus();
}

}  // namespace tierlib::dkm
