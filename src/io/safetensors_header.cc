#include "io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/checked_math.h"
#include "io/errno_status.h"

namespace tierlib::io {
namespace {

struct NamedDType {
  const char* name;
  DType dtype;
};
constexpr NamedDType kDTypes[] = {
    {"F32", DType::kF32}, {"F64", DType::kF64}, {"BF16", DType::kBF16}, {"F16", DType::kF16},
    {"I8", DType::kI8},   {"U8", DType::kU8},   {"I16", DType::kI16},   {"U16", DType::kU16},
    {"I32", DType::kI32}, {"I64", DType::kI64}, {"BOOL", DType::kBool},
};
// Of the format, but not of tierlib.
constexpr const char* kUnsupported[] = {"U32",     "U64",     "C64",     "F8_E4M3", "F8_E5M2",
                                        "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4"};

std::string Quoted(std::string_view text) { return "\"" + Printable(text) + "\""; }

// Builds the header from the parser's events. Every event is legal in few states only; anything else fails, so the
// depth of nesting, the kinds of values and the keys are the grammar's and no more.
class HeaderBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  const Status& status() const { return status_; }
  SafetensorsHeader Take() { return std::move(header_); }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool binary(binary_t&) override { return Unexpected("binary"); }
  bool number_float(number_float_t, const string_t& text) override { return BadNumber(text); }
  bool number_integer(number_integer_t value) override { return BadNumber(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& text) override;
  bool start_object(std::size_t) override;
  bool key(string_t& text) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fail("the header is not valid JSON at byte " + std::to_string(position));
  }

 private:
  enum class State { kStart, kTop, kMetadata, kTensor, kDType, kShape, kOffsets, kInShape, kInOffsets, kEnd };

  bool Fail(std::string_view what) {
    if (status_.ok()) status_ = DataLossError(what);
    return false;
  }
  bool Unexpected(std::string_view what) {
    const std::string where = current_.name.empty() ? "the header" : "tensor " + Quoted(current_.name);
    return Fail(where + " has " + std::string(what) + " where the format has none");
  }
  bool BadNumber(const std::string& text) {
    if (state_ != State::kInShape && state_ != State::kInOffsets) return Unexpected("a number");
    return Fail("tensor " + Quoted(current_.name) + " has the size or offset " + Printable(text) +
                ", which is not a whole number from 0 to 2^63 - 1");
  }
  bool TopKey(const std::string& name);
  bool FieldKey(const std::string& field);
  bool FinishTensor();

  State state_ = State::kStart;
  SafetensorsHeader header_;
  std::unordered_set<std::string> names_;
  std::string metadata_key_;
  bool in_metadata_name_ = false;  // the key just read at the top was "__metadata__"
  TensorEntry current_;
  std::vector<std::uint64_t> offsets_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  Status status_;
};

bool HeaderBuilder::number_unsigned(number_unsigned_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return BadNumber(std::to_string(value));
  }
  if (state_ == State::kInShape) {
    if (current_.sizes.size() == kLargestRank) {
      return Fail("tensor " + Quoted(current_.name) + " has more than " + std::to_string(kLargestRank) + " dimensions");
    }
    current_.sizes.push_back(static_cast<std::int64_t>(value));
    return true;
  }
  if (state_ == State::kInOffsets) {
    if (offsets_.size() == 2) return Fail("tensor " + Quoted(current_.name) + " has more than two data_offsets");
    offsets_.push_back(value);
    return true;
  }
  return Unexpected("a number");
}

bool HeaderBuilder::string(string_t& text) {
  if (state_ == State::kMetadata) {
    header_.metadata[metadata_key_] = text;
    return true;
  }
  if (state_ != State::kDType) return Unexpected("a string");
  for (const NamedDType& known : kDTypes) {
    if (text != known.name) continue;
    current_.dtype = known.dtype;
    state_ = State::kTensor;
    return true;
  }
  for (const char* known : kUnsupported) {
    if (text != known) continue;
    status_ = UnimplementedError("tensor " + Quoted(current_.name) + " has dtype " + text +
                                 ", which tierlib does not have (F64 F32 BF16 F16 I64 I32 I16 I8 U16 U8 BOOL)");
    return false;
  }
  return Fail("tensor " + Quoted(current_.name) + " has the unknown dtype " + Quoted(text));
}

bool HeaderBuilder::start_object(std::size_t) {
  if (state_ == State::kStart) {
    state_ = State::kTop;
    return true;
  }
  if (state_ == State::kTop && in_metadata_name_) {
    state_ = State::kMetadata;
    return true;
  }
  if (state_ == State::kTop) {
    state_ = State::kTensor;
    return true;
  }
  return Unexpected("an object");
}

bool HeaderBuilder::key(string_t& text) {
  if (state_ == State::kTop) return TopKey(text);
  if (state_ == State::kTensor) return FieldKey(text);
  if (header_.metadata.count(text) != 0) return Fail("the metadata has the key " + Quoted(text) + " twice");
  metadata_key_ = text;
  return true;
}

bool HeaderBuilder::TopKey(const std::string& name) {
  if (name.empty()) return Fail("a tensor has an empty name");
  if (name.find('\0') != std::string::npos) return Fail("the name " + Quoted(name) + " has a NUL character");
  if (!names_.insert(name).second) return Fail("the name " + Quoted(name) + " is there twice");
  in_metadata_name_ = name == kMetadataName;
  current_ = TensorEntry{};
  current_.name = name;
  offsets_.clear();
  has_dtype_ = has_shape_ = has_offsets_ = false;
  return true;
}

bool HeaderBuilder::FieldKey(const std::string& field) {
  bool* seen = nullptr;
  if (field == "dtype") {
    seen = &has_dtype_;
    state_ = State::kDType;
  } else if (field == "shape") {
    seen = &has_shape_;
    state_ = State::kShape;
  } else if (field == "data_offsets") {
    seen = &has_offsets_;
    state_ = State::kOffsets;
  } else {
    return Fail("tensor " + Quoted(current_.name) + " has the unknown field " + Quoted(field));
  }
  if (std::exchange(*seen, true)) return Fail("tensor " + Quoted(current_.name) + " has " + field + " twice");
  return true;
}

bool HeaderBuilder::start_array(std::size_t) {
  if (state_ == State::kShape) {
    state_ = State::kInShape;
    return true;
  }
  if (state_ == State::kOffsets) {
    state_ = State::kInOffsets;
    return true;
  }
  return Unexpected("an array");
}

bool HeaderBuilder::end_array() {
  state_ = State::kTensor;  // arrays start in the two fields of a tensor only
  return true;
}

bool HeaderBuilder::end_object() {
  if (state_ == State::kMetadata) {
    state_ = State::kTop;
    return true;
  }
  if (state_ == State::kTop) {
    state_ = State::kEnd;
    return true;
  }
  state_ = State::kTop;
  return FinishTensor();
}

bool HeaderBuilder::FinishTensor() {
  const std::string tensor = "tensor " + Quoted(current_.name);
  if (!has_dtype_ || !has_shape_ || !has_offsets_) return Fail(tensor + " lacks dtype, shape or data_offsets");
  if (offsets_.size() != 2) return Fail(tensor + " has other than two data_offsets");
  if (offsets_[0] > offsets_[1]) {
    return Fail(tensor + " ends at byte " + std::to_string(offsets_[1]) + ", before it begins at byte " +
                std::to_string(offsets_[0]));
  }
  const StatusOr<std::uint64_t> bytes = TensorBytes(current_.dtype, current_.sizes);
  if (!bytes.ok()) return Fail(tensor + " has a shape whose bytes do not fit into 63 bits");
  if (*bytes != offsets_[1] - offsets_[0]) {
    return Fail(tensor + " has " + std::to_string(offsets_[1] - offsets_[0]) + " bytes, its shape and dtype need " +
                std::to_string(*bytes));
  }
  current_.offset = offsets_[0];
  current_.bytes = *bytes;
  header_.tensors.push_back(std::move(current_));
  current_ = TensorEntry{};
  return true;
}

// The tensors tile the data section: no gap, no overlap, nothing after the last.
Status CheckTiling(const std::vector<TensorEntry>& tensors, std::uint64_t data_bytes) {
  std::uint64_t end = 0;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.offset < end) return DataLossError("tensor " + Quoted(tensor.name) + " overlaps the one before it");
    if (tensor.offset > end) {
      return DataLossError("there are " + std::to_string(tensor.offset - end) + " bytes of no tensor before tensor " +
                           Quoted(tensor.name));
    }
    end = tensor.offset + tensor.bytes;  // both below 2^63
    if (end > data_bytes) {
      return DataLossError("tensor " + Quoted(tensor.name) + " ends at byte " + std::to_string(end) +
                           " of the data, the file has " + std::to_string(data_bytes));
    }
  }
  if (end != data_bytes) {
    return DataLossError("there are " + std::to_string(data_bytes - end) + " bytes after the last tensor");
  }
  return OkStatus();
}

}  // namespace

const char* SafetensorsName(DType dtype) {
  for (const NamedDType& known : kDTypes) {
    if (known.dtype == dtype) return known.name;
  }
  return "?";
}

StatusOr<std::uint64_t> TensorBytes(DType dtype, const std::vector<std::int64_t>& sizes) {
  // With a zero among the sizes the tensor is empty whatever the others are.
  if (std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 0; })) {
    return InvalidArgumentError("a size is negative");
  }
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return std::uint64_t{0};
  std::int64_t bytes = static_cast<std::int64_t>(ElementBytes(dtype));
  for (const std::int64_t size : sizes) {
    if (!CheckedMul(bytes, size, &bytes)) return InvalidArgumentError("the sizes overflow");
  }
  return static_cast<std::uint64_t>(bytes);
}

StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view text, std::uint64_t data_bytes) {
  if (text.empty() || text.front() != '{') return DataLossError("the header does not begin with '{'");
  // The parser takes a NUL for the end of its input and would not see what follows.
  if (text.find('\0') != std::string_view::npos) return DataLossError("the header has a NUL character");
  HeaderBuilder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return builder.status().ok() ? DataLossError("the header is not valid JSON") : builder.status();
  }
  SafetensorsHeader header = builder.Take();
  std::sort(header.tensors.begin(), header.tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  TIERLIB_RETURN_IF_ERROR(CheckTiling(header.tensors, data_bytes));
  return header;
}

}  // namespace tierlib::io
