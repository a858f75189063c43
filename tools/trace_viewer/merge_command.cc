#include "merge_command.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "ranks_json.h"
#include "read_trace.h"
#include "trace/merged_file.h"
#include "trace/record_stream.h"

namespace tierlib::trace_viewer {
namespace {

// One trace of a file, and where it is there.
struct Part {
  std::string file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::int32_t rank = 0;
  std::uint64_t records = 0;
  std::uint64_t problem_count = 0;
  std::shared_ptr<const std::string> kept;  // the file's bytes, where they can be read only once
};

// Whether the file can be read again: no standard input, no pipe.
bool IsLasting(const std::string& file) {
  std::error_code error;
  return file != "-" && std::filesystem::is_regular_file(file, error);
}

// Appends the traces of the file, whose bytes are `bytes`, and says on standard error what is wrong with it.
bool AddParts(const std::string& file, std::string_view bytes, std::vector<Part>* parts, std::uint64_t* problems) {
  const auto traces = trace::OpenTraces(bytes);
  if (!traces.ok()) {
    TellUnreadable(file, traces.status());
    return false;
  }
  const auto add = [&](std::uint64_t offset, std::uint64_t size, std::int32_t rank, const trace::RecordStream& trace) {
    parts->push_back({file, offset, size, rank, trace.extent().records, trace.about().problem_count, nullptr});
  };
  for (const auto& trace : *traces) {
    PrintProblems(file, trace->about().problems, trace->about().problem_count);
    *problems += trace->about().problem_count;
  }
  if (!trace::IsMerged(bytes)) {
    add(0, bytes.size(), traces->front()->about().rank, *traces->front());
    return true;
  }
  const std::vector<trace::MergedSection> sections = *trace::ReadMergedTable(bytes);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const trace::MergedSection& section = sections[i];
    const std::uint64_t offset = std::min<std::uint64_t>(section.offset, bytes.size());
    add(offset, std::min(section.bytes, bytes.size() - offset), section.rank, *(*traces)[i]);
  }
  return true;
}

// Copies the part to `to`. False after a message.
bool CopyPart(const Part& part, std::FILE* to) {
  if (part.kept != nullptr) {
    (void)std::fwrite(part.kept->data() + part.offset, 1, static_cast<std::size_t>(part.bytes), to);
    return true;
  }
  std::FILE* const from = std::fopen(part.file.c_str(), "rbe");
  std::uint64_t left = part.bytes;
  if (from != nullptr && fseeko(from, static_cast<off_t>(part.offset), SEEK_SET) == 0) {
    char buffer[64 << 10];
    while (left > 0) {
      const std::size_t count =
          std::fread(buffer, 1, static_cast<std::size_t>(std::min<std::uint64_t>(sizeof buffer, left)), from);
      if (count == 0) break;
      (void)std::fwrite(buffer, 1, count, to);
      left -= count;
    }
  }
  if (from != nullptr) (void)std::fclose(from);
  if (left > 0) std::fprintf(stderr, "tierlib-trace: %s became shorter meanwhile\n", TraceName(part.file).c_str());
  return left == 0;
}

// The merged file, whose parts are in the order of their ranks, and how many bytes it has.
bool WriteMerged(const std::vector<Part>& parts, std::FILE* to, std::uint64_t* bytes) {
  std::vector<trace::MergedSection> table;
  for (const Part& part : parts) table.push_back({0, part.bytes, part.rank, 0});
  const std::string front = trace::MergedFront(table);
  (void)std::fwrite(front.data(), 1, front.size(), to);
  std::uint64_t end = front.size();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (; end < table[i].offset; ++end) (void)std::fputc(0, to);
    if (!CopyPart(parts[i], to)) return false;
    end += parts[i].bytes;
  }
  *bytes = end;
  return true;
}

// What was written.
struct MergeReport {
  std::string output;
  std::uint64_t bytes = 0;
  std::vector<Part> ranks;  // in the order of the file
};

std::string ReportJson(const MergeReport& report) {
  nlohmann::ordered_json ranks = nlohmann::ordered_json::array();
  for (const Part& part : report.ranks) {
    ranks.push_back({{"rank", part.rank},
                     {"file", part.file},
                     {"bytes", part.bytes},
                     {"records", part.records},
                     {"problem_count", part.problem_count}});
  }
  return ObjectJson({{"output", report.output}, {"bytes", report.bytes}, {"ranks", ranks}});
}

// Whether each rank is there once; otherwise said on standard error.
bool EachOnce(const std::vector<Part>& parts) {
  std::map<std::int32_t, std::string> known;
  for (const Part& part : parts) {
    const auto [found, is_new] = known.try_emplace(part.rank, part.file);
    if (is_new) continue;
    std::fprintf(stderr, "tierlib-trace: %s and %s both have rank %d: --renumber counts in the order of the files\n",
                 TraceName(found->second).c_str(), TraceName(part.file).c_str(), part.rank);
    return false;
  }
  return true;
}

}  // namespace

int RunMerge(const MergeOptions& options) {
  for (const std::string& file : options.files) {
    if (file == "-" || options.output == "-" || !SameFile(file, options.output)) continue;
    std::fprintf(stderr, "tierlib-trace: %s is one of the traces: name another file with -o\n",
                 Printable(options.output, 200).c_str());
    return kUsage;
  }
  if (std::count(options.files.begin(), options.files.end(), "-") > 1) {
    std::fprintf(stderr, "tierlib-trace: two of the traces are standard input: name files\n");
    return kUsage;
  }
  if (options.json && !HasRoomForJson(options.output)) return kUsage;
  // One file after the other is in memory, those that can be read only once to the end.
  std::vector<Part> parts;
  std::uint64_t problems = 0;
  for (const std::string& file : options.files) {
    StatusOr<std::string> bytes = ReadBytesArgument(file);
    const std::size_t first = parts.size();
    if (!bytes.ok() || !AddParts(file, *bytes, &parts, &problems)) return kUnreadable;
    if (IsLasting(file)) continue;
    const auto kept = std::make_shared<const std::string>(*std::move(bytes));
    for (std::size_t i = first; i < parts.size(); ++i) parts[i].kept = kept;
  }
  if (options.renumber) {
    for (std::size_t i = 0; i < parts.size(); ++i) parts[i].rank = static_cast<std::int32_t>(i);
  }
  if (!EachOnce(parts)) return kUsage;
  if (parts.size() > trace::kRanksMost) {
    std::fprintf(stderr, "tierlib-trace: %s ranks; a file holds at most %u\n", FormatCount(parts.size()).c_str(),
                 trace::kRanksMost);
    return kUsage;
  }
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.rank < b.rank; });
  std::uint64_t bytes = 0;
  const auto write = [&](std::FILE* to) { return WriteMerged(parts, to, &bytes); };
  if (!WriteOutputPieces(options.output, write)) return kNotWritten;
  const MergeReport report = {options.output, bytes, std::move(parts)};
  if (options.json && !WriteOutput("-", ReportJson(report))) return kNotWritten;
  return problems > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
