// Builds safetensors files byte by byte, so that tests can lie in them.
#ifndef TIERLIB_TESTS_IO_SAFETENSORS_BYTES_H_
#define TIERLIB_TESTS_IO_SAFETENSORS_BYTES_H_

#include <cstdint>
#include <string>

namespace tierlib::io {

inline std::string LittleEndian64(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

inline std::string SafetensorsFile(const std::string& header, std::size_t data_bytes) {
  std::string data;
  for (std::size_t i = 0; i < data_bytes; ++i) data += static_cast<char>(i);
  return LittleEndian64(header.size()) + header + data;
}

}  // namespace tierlib::io

#endif  // TIERLIB_TESTS_IO_SAFETENSORS_BYTES_H_
