// MergedFile: the traces of a job's ranks in one file. What it looks like is in docs/trace_format.md, "Merged"; each
// section is a trace file as it was written, so that it has the version and the completeness that it had.
#ifndef TIERLIB_SRC_TRACE_MERGED_FILE_H_
#define TIERLIB_SRC_TRACE_MERGED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tierlib/status.h"
#include "trace/reader.h"
#include "trace/record_stream.h"

namespace tierlib::trace {

inline constexpr unsigned char kMergedMagic[8] = {0x89, 'T', 'L', 'M', '\r', '\n', 0x1a, '\n'};
inline constexpr std::uint32_t kMergedVersion = 1;
inline constexpr std::size_t kMergedAlignment = 4096;  // of sections in the file
inline constexpr std::uint32_t kRanksMost = 65536;

struct MergedHeader {
  unsigned char magic[8];
  std::uint32_t version;
  std::uint32_t count;      // sections
  std::uint32_t table_crc;  // CRC-32C of the table
  std::uint32_t reserved;
};
static_assert(sizeof(MergedHeader) == 24);

// The table: one for each section, right behind the header, by rank.
struct MergedSection {
  std::uint64_t offset;  // in the file
  std::uint64_t bytes;
  std::int32_t rank;
  std::uint32_t reserved;
};
static_assert(sizeof(MergedSection) == 24);

bool IsMerged(std::string_view bytes);
// Where the sections are. DataLoss where the header or the table is damaged or cut, Unimplemented for a later version.
StatusOr<std::vector<MergedSection>> ReadMergedTable(std::string_view bytes);

// All traces of a file, merged or not, by rank. A section that is cut, or that nothing can be read of, is a problem of
// its trace, whose rank is right. Fails where ReadTrace or ReadMergedTable does.
StatusOr<std::vector<Trace>> ReadTraces(std::string_view bytes);
// The same without arrays of the records. The bytes stay where they are.
StatusOr<std::vector<std::unique_ptr<RecordStream>>> OpenTraces(std::string_view bytes);

// The bytes of a merged file. `sections`: trace files, with the ranks that they are to have, each another.
struct RankBytes {
  std::int32_t rank = 0;
  std::string_view bytes;
};
std::string MergeTraces(std::vector<RankBytes> sections);

// What stands before the sections, and where each of them goes: for who writes a file piece by piece. `table`: ranks
// and bytes; is sorted by rank, and gets its offsets.
std::string MergedFront(std::vector<MergedSection>& table);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_MERGED_FILE_H_
