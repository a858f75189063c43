// The header of a safetensors file: what its JSON may say, and what must hold between the tensors it lists.
//
//   file    = length header data              length: 8 bytes, little-endian: bytes of `header`
//   header  = '{' ... '}' *space              at most kLongestHeader bytes of UTF-8 JSON:
//             name : {"dtype": D, "shape": [n, ...], "data_offsets": [begin, end]}, and once at most
//             "__metadata__" : {text : text}
//   data    = the tensors, side by side: sorted by begin, each starts where the one before ends, the first at 0, the
//   last
//             at the end of the file
//
// Nothing here trusts a byte: the text is read by an event parser without recursion or document tree, nesting beyond
// what the grammar needs is refused where it starts, and every product is checked for overflow. Stateless; any thread.
#ifndef TIERLIB_SRC_IO_SAFETENSORS_HEADER_H_
#define TIERLIB_SRC_IO_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tierlib/dtype.h"
#include "tierlib/io/safetensors.h"
#include "tierlib/status.h"

namespace tierlib::io {

inline constexpr std::uint64_t kLongestHeader = 100'000'000;  // the format's own limit
inline constexpr std::size_t kLargestRank = 64;
inline constexpr char kMetadataName[] = "__metadata__";

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // sorted by offset
  std::map<std::string, std::string> metadata;
};

// The name of a dtype in the format: "F32", "BOOL", ...
const char* SafetensorsName(DType dtype);

// Bytes of a tensor of these sizes. InvalidArgument where a size is negative or the product does not fit into 63 bits.
StatusOr<std::uint64_t> TensorBytes(DType dtype, const std::vector<std::int64_t>& sizes);

// Parses and checks `text`, the header of a file whose data section has `data_bytes` bytes. DataLoss says what is
// wrong, without the file's name; Unimplemented names a dtype of the format that tierlib does not have.
StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view text, std::uint64_t data_bytes);

// The padded header of a file with these tensors side by side in this order; sets their offsets and bytes. Errors as
// WriteSafetensors, naming `path`.
StatusOr<std::string> MakeSafetensorsHeader(const std::string& path, std::vector<TensorEntry>& tensors,
                                            const std::map<std::string, std::string>& metadata);

}  // namespace tierlib::io

#endif  // TIERLIB_SRC_IO_SAFETENSORS_HEADER_H_
