// ProtoWriter: fields of a protobuf message on the wire, one after the other, without generated code.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_PROTO_WRITER_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_PROTO_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace tierlib::trace_viewer {

class ProtoWriter {
 public:
  // Integers, enums and bools.
  void Varint(std::uint32_t field, std::uint64_t value) {
    Raw(std::uint64_t{field} << 3);
    Raw(value);
  }
  void Fixed64(std::uint32_t field, std::uint64_t value) {
    Raw(std::uint64_t{field} << 3 | 1);
    for (int i = 0; i < 8; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }
  void Text(std::uint32_t field, std::string_view text) {
    Raw(std::uint64_t{field} << 3 | 2);
    Raw(text.size());
    bytes_ += text;
  }
  void Message(std::uint32_t field, const ProtoWriter& message) { Text(field, message.bytes_); }

  const std::string& bytes() const { return bytes_; }
  void Clear() { bytes_.clear(); }

 private:
  void Raw(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_PROTO_WRITER_H_
