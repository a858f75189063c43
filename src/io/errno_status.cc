#include "io/errno_status.h"

#include <cerrno>
#include <system_error>

namespace tierlib::io {
namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS: return StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return StatusCode::kResourceExhausted;
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR: return StatusCode::kInvalidArgument;
    default: return StatusCode::kUnavailable;
  }
}

}  // namespace

std::string Printable(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string printable;
  for (const char c : text.substr(0, kLongest)) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      printable += "\\x";
      printable += kDigits[byte >> 4];
      printable += kDigits[byte & 15];
    } else {
      if (c == '"' || c == '\\') printable += '\\';
      printable += c;
    }
  }
  if (text.size() > kLongest) printable += "...";
  return printable;
}

Status ErrnoStatus(int error, const std::string& path, std::string_view what) {
  // generic_category().message is strerror without its static buffer.
  return Status(CodeOf(error),
                Printable(path) + ": " + std::string(what) + ": " + std::generic_category().message(error));
}

}  // namespace tierlib::io
