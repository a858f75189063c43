#include "trace/merged_file.h"

#include <string.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/crc32c.h"

namespace tierlib::trace {
namespace {

std::size_t Aligned(std::size_t bytes) { return (bytes + kMergedAlignment - 1) / kMergedAlignment * kMergedAlignment; }

// What of the section is in the file.
std::string_view BytesOf(std::string_view bytes, const MergedSection& section) {
  const std::uint64_t there = section.offset < bytes.size() ? bytes.size() - section.offset : 0;
  if (there == 0) return {};
  return bytes.substr(static_cast<std::size_t>(section.offset),
                      static_cast<std::size_t>(std::min(there, section.bytes)));
}

std::string CutText(std::string_view there, const MergedSection& section) {
  return "truncated: " + std::to_string(section.bytes - there.size()) + " of the " + std::to_string(section.bytes) +
         " bytes of this rank are missing";
}

// The section's trace; an empty one with a problem where there is nothing to read.
StatusOr<std::unique_ptr<RecordStream>> OpenSection(std::string_view bytes, const MergedSection& section) {
  const std::string_view there = BytesOf(bytes, section);
  StatusOr<std::unique_ptr<RecordStream>> opened =
      there.empty() ? StatusOr<std::unique_ptr<RecordStream>>(DataLossError("it is cut off"))
                    : RecordStream::Open(there);
  if (opened.status().code() == StatusCode::kResourceExhausted) return opened.status();
  std::unique_ptr<RecordStream> stream = opened.ok() ? *std::move(opened) : std::make_unique<RecordStream>(Trace());
  if (!opened.ok()) {
    stream->AddProblem(section.offset, std::string(opened.status().message()));
  } else if (there.size() < section.bytes) {
    stream->AddProblem(bytes.size(), CutText(there, section));
  }
  stream->SetRank(section.rank);
  return stream;
}

// The same with its records in memory.
StatusOr<Trace> ReadSection(std::string_view bytes, const MergedSection& section) {
  const std::string_view there = BytesOf(bytes, section);
  StatusOr<Trace> read = there.empty() ? StatusOr<Trace>(DataLossError("it is cut off")) : ReadTrace(there);
  if (read.status().code() == StatusCode::kResourceExhausted) return read.status();
  Trace trace;
  if (read.ok()) {
    trace = *std::move(read);
  } else {
    trace.problems.push_back({section.offset, std::string(read.status().message())});
    trace.problem_count = 1;
  }
  if (read.ok() && there.size() < section.bytes) {
    ++trace.problem_count;
    if (trace.problems.size() < Trace::kProblemsMost) trace.problems.push_back({bytes.size(), CutText(there, section)});
  }
  trace.rank = section.rank;
  return trace;
}

}  // namespace

bool IsMerged(std::string_view bytes) {
  return bytes.size() >= sizeof kMergedMagic && memcmp(bytes.data(), kMergedMagic, sizeof kMergedMagic) == 0;
}

StatusOr<std::vector<MergedSection>> ReadMergedTable(std::string_view bytes) {
  if (!IsMerged(bytes)) return DataLossError("not a merged trace: it does not begin with the magic bytes");
  if (bytes.size() < sizeof(MergedHeader)) return DataLossError("truncated inside the header of a merged trace");
  MergedHeader header;
  memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kMergedVersion) {
    return UnimplementedError("version " + std::to_string(header.version) + " of merged traces; this program reads " +
                              std::to_string(kMergedVersion));
  }
  if (header.count > kRanksMost) {
    return DataLossError("a merged trace of " + std::to_string(header.count) + " ranks; at most " +
                         std::to_string(kRanksMost) + " are possible");
  }
  const std::size_t table_bytes = header.count * sizeof(MergedSection);
  if (bytes.size() - sizeof header < table_bytes) return DataLossError("truncated inside the table of a merged trace");
  if (Crc32c(bytes.data() + sizeof header, table_bytes) != header.table_crc) {
    return DataLossError("the table of the merged trace has a bad checksum");
  }
  std::vector<MergedSection> sections(header.count);
  if (table_bytes > 0) memcpy(sections.data(), bytes.data() + sizeof header, table_bytes);
  // Each byte of the file is of one section at most, so that reading takes no more than the file is long.
  std::uint64_t end = sizeof header + table_bytes;
  for (const MergedSection& section : sections) {
    if (section.offset < end || section.bytes > ~std::uint64_t{0} - section.offset) {
      return DataLossError("sections of the merged trace lie over each other");
    }
    end = section.offset + section.bytes;
  }
  return sections;
}

StatusOr<std::vector<Trace>> ReadTraces(std::string_view bytes) {
  try {
    std::vector<Trace> traces;
    if (!IsMerged(bytes)) {
      TIERLIB_ASSIGN_OR_RETURN(Trace trace, ReadTrace(bytes));
      traces.push_back(std::move(trace));
      return traces;
    }
    TIERLIB_ASSIGN_OR_RETURN(const std::vector<MergedSection> sections, ReadMergedTable(bytes));
    for (const MergedSection& section : sections) {
      TIERLIB_ASSIGN_OR_RETURN(Trace trace, ReadSection(bytes, section));
      traces.push_back(std::move(trace));
    }
    return traces;
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read the trace");
  }
}

StatusOr<std::vector<std::unique_ptr<RecordStream>>> OpenTraces(std::string_view bytes) {
  try {
    std::vector<std::unique_ptr<RecordStream>> streams;
    if (!IsMerged(bytes)) {
      TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<RecordStream> stream, RecordStream::Open(bytes));
      streams.push_back(std::move(stream));
      return streams;
    }
    TIERLIB_ASSIGN_OR_RETURN(const std::vector<MergedSection> sections, ReadMergedTable(bytes));
    for (const MergedSection& section : sections) {
      TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<RecordStream> stream, OpenSection(bytes, section));
      streams.push_back(std::move(stream));
    }
    return streams;
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read the trace");
  }
}

std::string MergedFront(std::vector<MergedSection>& table) {
  std::sort(table.begin(), table.end(), [](const MergedSection& a, const MergedSection& b) { return a.rank < b.rank; });
  const std::size_t front_bytes = sizeof(MergedHeader) + table.size() * sizeof(MergedSection);
  std::uint64_t end = front_bytes;
  for (MergedSection& section : table) {
    section.offset = Aligned(end);
    end = section.offset + section.bytes;
  }
  MergedHeader header = {};
  memcpy(header.magic, kMergedMagic, sizeof kMergedMagic);
  header.version = kMergedVersion;
  header.count = static_cast<std::uint32_t>(table.size());
  header.table_crc = Crc32c(table.data(), table.size() * sizeof(MergedSection));
  std::string front(front_bytes, '\0');
  memcpy(front.data(), &header, sizeof header);
  if (!table.empty()) memcpy(front.data() + sizeof header, table.data(), table.size() * sizeof(MergedSection));
  return front;
}

std::string MergeTraces(std::vector<RankBytes> sections) {
  std::sort(sections.begin(), sections.end(), [](const RankBytes& a, const RankBytes& b) { return a.rank < b.rank; });
  std::vector<MergedSection> table;
  for (const RankBytes& section : sections) table.push_back({0, section.bytes.size(), section.rank, 0});
  std::string file = MergedFront(table);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    file.resize(table[i].offset);
    file += sections[i].bytes;
  }
  return file;
}

}  // namespace tierlib::trace
