// Any bytes as a trace file. The first byte of the input chooses: the rest is the file as it is; or it describes one,
// whose header, chunk headers and checksums are made right unless it says otherwise, so that what lies behind them is
// reached, and a few bytes stand for chunks of 64 KiB.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "trace/format.h"
#include "trace/reader.h"

namespace tierlib::trace {
namespace {

constexpr std::size_t kChunksMost = 4;

class Description {
 public:
  explicit Description(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  std::string_view Take(std::size_t count) {
    const std::string_view taken = bytes_.substr(0, std::min(count, bytes_.size()));
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  template <typename T>
  T Number() {
    T value{};
    const std::string_view taken = Take(sizeof(T));
    std::memcpy(&value, taken.data(), taken.size());
    return value;
  }

 private:
  std::string_view bytes_;
};

void AppendHeader(std::string& file, Description& description) {
  const auto form = description.Number<std::uint8_t>();
  FileHeader header{};
  std::memcpy(header.magic, kMagic, sizeof header.magic);
  header.version = kVersion;
  header.header_bytes = kHeaderBytes;
  header.chunk_bytes = kChunkBytes;
  header.closed = form & 1;
  header.chunk_count = form >> 1 & 7;
  if ((form & 16) != 0) {  // any field, at any place
    const std::size_t offset = description.Number<std::uint16_t>() % (sizeof header - 8);
    const auto value = description.Number<std::uint64_t>();
    std::memcpy(reinterpret_cast<char*>(&header) + offset, &value, sizeof value);
  }
  if ((form & 32) == 0) header.crc = HeaderCrc(header);
  if ((form & 64) == 0) header.end_crc = HeaderEndCrc(header);
  file.append(reinterpret_cast<const char*>(&header), sizeof header);
  file.resize(kHeaderBytes);
}

void AppendChunk(std::string& file, Description& description) {
  const auto form = description.Number<std::uint8_t>();
  const auto payload_bytes = description.Number<std::uint8_t>();
  ChunkHeader header{};
  header.magic = (form & 1) != 0 ? description.Number<std::uint32_t>() : kChunkMagic;
  header.kind = (form & 2) != 0 ? 2 : (form & 4) != 0 ? description.Number<std::uint16_t>() : 1;
  header.sealed = form >> 3 & 1;
  header.lane = form >> 4 & 1;
  header.sequence = (form & 32) != 0 ? description.Number<std::uint32_t>() : 0;
  header.used_bytes = (form & 64) != 0 ? description.Number<std::uint32_t>() : payload_bytes;
  std::string payload(description.Take(payload_bytes));
  payload.resize(kPayloadBytes);
  if ((form & 128) == 0) {
    ChunkHeader within = header;
    within.used_bytes = std::min(header.used_bytes, static_cast<std::uint32_t>(kPayloadBytes));
    header.crc = ChunkCrc(within, payload.data());
  }
  file.append(reinterpret_cast<const char*>(&header), sizeof header);
  file += payload;
}

std::string Describe(Description description) {
  std::string file;
  file.reserve(kHeaderBytes + kChunksMost * kChunkBytes);
  AppendHeader(file, description);
  for (std::size_t chunk = 0; chunk < kChunksMost && !description.empty(); ++chunk) AppendChunk(file, description);
  if (!description.empty()) file.resize(file.size() - description.Number<std::uint16_t>());  // cut
  return file;
}

void Check(std::string_view file) {
  const StatusOr<Trace> trace = ReadTrace(file);
  if (!trace.ok()) {
    const StatusCode code = trace.status().code();
    TIERLIB_CHECK(code == StatusCode::kDataLoss || code == StatusCode::kUnimplemented, "a status nobody promised");
    return;
  }
  TIERLIB_CHECK(trace->records.size() * sizeof(Record) <= file.size(), "more records than bytes");
  TIERLIB_CHECK(trace->problems.size() == std::min<std::uint64_t>(trace->problem_count, Trace::kProblemsMost),
                "problems are not counted");
  TIERLIB_CHECK(std::is_sorted(trace->records.begin(), trace->records.end(),
                               [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; }),
                "records are not in the order of time");
  for (const Record& record : trace->records) (void)trace->LabelText(record.label);
}

}  // namespace
}  // namespace tierlib::trace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tierlib::trace::Check;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  if (input[0] % 4 == 0) {
    Check(input.substr(1));
  } else {
    Check(tierlib::trace::Describe(tierlib::trace::Description(input.substr(1))));
  }
  return 0;
}
