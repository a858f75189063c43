// Any bytes as what a model file says of itself. The first byte of the input chooses: the header of a safetensors file
// of as many data bytes as the next two say, or the description of palettes in its metadata.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "dkm/palettized_description.h"
#include "io/safetensors_header.h"

namespace tierlib {
namespace {

void CheckStatus(const Status& status) {
  const StatusCode code = status.code();
  TIERLIB_CHECK(code == StatusCode::kDataLoss || code == StatusCode::kUnimplemented, "a status nobody promised");
  TIERLIB_CHECK(!status.message().empty(), "a file is refused without a word");
  const bool one_line =
      std::none_of(status.message().begin(), status.message().end(), [](char c) { return c == '\n'; });
  TIERLIB_CHECK(one_line, "a message of more than one line");
}

// The tensors tile the data, and each has the bytes of its shape.
void ReadHeader(std::string_view text, std::uint64_t data_bytes) {
  const StatusOr<io::SafetensorsHeader> header = io::ParseSafetensorsHeader(text, data_bytes);
  if (!header.ok()) return CheckStatus(header.status());
  std::uint64_t end = 0;
  for (const io::TensorEntry& tensor : header->tensors) {
    TIERLIB_CHECK(tensor.offset == end, "a gap or an overlap");
    std::uint64_t bytes = ElementBytes(tensor.dtype);
    for (const std::int64_t size : tensor.sizes) bytes *= static_cast<std::uint64_t>(size);
    TIERLIB_CHECK(tensor.bytes == bytes, "bytes that are not the shape's");
    end += bytes;
  }
  TIERLIB_CHECK(end == data_bytes, "tensors do not fill the data");
}

// What was read is described and read again as it was, and its counts do not overflow.
void ReadDescription(const std::string& text) {
  const StatusOr<std::vector<dkm::PalettizedTensor>> tensors = dkm::ParsePalettized(text);
  if (!tensors.ok()) return CheckStatus(tensors.status());
  for (const dkm::PalettizedTensor& tensor : *tensors) {
    const dkm::PaletteShape& shape = tensor.shape;
    TIERLIB_CHECK(shape.bits >= 1 && shape.bits <= 8 && shape.group_rows >= 1, "a shape that cannot be");
    TIERLIB_CHECK(shape.index_bytes() >= 0 && shape.table_values() >= 0, "a count that overflowed");
    TIERLIB_CHECK(shape.row_bytes() <= shape.columns && 8 * shape.row_bytes() / shape.bits >= shape.columns,
                  "rows without room for their indices");
  }
  const StatusOr<std::vector<dkm::PalettizedTensor>> again = dkm::ParsePalettized(dkm::DescribePalettized(*tensors));
  TIERLIB_CHECK(again.ok() && again->size() == tensors->size(), "a description that cannot be read");
  for (std::size_t i = 0; i < tensors->size(); ++i) {
    const dkm::PalettizedTensor& a = (*tensors)[i];
    const dkm::PalettizedTensor& b = (*again)[i];
    TIERLIB_CHECK(a.name == b.name && a.dtype == b.dtype && a.sizes == b.sizes, "another tensor");
    TIERLIB_CHECK(a.shape.bits == b.shape.bits && a.shape.group_rows == b.shape.group_rows, "another palette");
  }
}

}  // namespace
}  // namespace tierlib

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 3, size - 3);
  if (data[0] % 2 == 0) {
    tierlib::ReadHeader(text, data[1] + 256u * data[2]);
  } else {
    tierlib::ReadDescription(std::string(text));
  }
  return 0;
}
