#include "read_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "numbers.h"
#include "trace/merged_file.h"

namespace tierlib::trace_viewer {
namespace {

constexpr std::size_t kProblemsShown = 10;

// Returns an errno value, 0 where all was read.
int ReadAll(int descriptor, std::string& bytes) try {
  struct stat info;
  if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
    if (static_cast<std::uint64_t>(info.st_size) > bytes.max_size()) return ENOMEM;
    bytes.reserve(static_cast<std::size_t>(info.st_size));
  }
  // Read, not mapped: a file that another program cuts meanwhile must not be a SIGBUS.
  char buffer[64 << 10];
  for (;;) {
    const ssize_t count = read(descriptor, buffer, sizeof buffer);
    if (count == 0) return 0;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
} catch (const std::bad_alloc&) {
  return ENOMEM;
}

}  // namespace

void TellUnreadable(const std::string& file, const Status& status) {
  std::fprintf(stderr, "tierlib-trace: %s: %s\n", TraceName(file).c_str(), std::string(status.message()).c_str());
}

std::string TraceName(const std::string& file) { return file == "-" ? "standard input" : Printable(file, 200); }

StatusOr<std::string> ReadBytesArgument(const std::string& file) {
  const bool is_file = file != "-";
  const int descriptor = is_file ? open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
  std::string bytes;
  const int error = descriptor >= 0 ? ReadAll(descriptor, bytes) : errno;
  if (is_file && descriptor >= 0) close(descriptor);
  if (error == 0) return bytes;
  std::fprintf(stderr, "tierlib-trace: cannot read %s: %s\n", TraceName(file).c_str(), strerror(error));
  return Status(StatusCode::kUnknown);
}

StatusOr<std::vector<trace::Trace>> ReadTracesArgument(const std::string& file) {
  TIERLIB_ASSIGN_OR_RETURN(const std::string bytes, ReadBytesArgument(file));
  StatusOr<std::vector<trace::Trace>> traces = trace::ReadTraces(bytes);
  if (!traces.ok()) TellUnreadable(file, traces.status());
  return traces;
}

StatusOr<OpenedTraces> OpenTracesArgument(const std::string& file) {
  OpenedTraces opened;
  TIERLIB_ASSIGN_OR_RETURN(std::string bytes, ReadBytesArgument(file));
  opened.bytes = std::make_unique<const std::string>(std::move(bytes));
  auto ranks = trace::OpenTraces(*opened.bytes);
  if (!ranks.ok()) {
    TellUnreadable(file, ranks.status());
    return ranks.status();
  }
  opened.ranks = *std::move(ranks);
  return opened;
}

namespace {

// Which of the ranks is meant: that of the number, or without one the only one. None after a message.
std::optional<std::size_t> ChooseRank(const std::string& file, const std::vector<int>& ranks, std::optional<int> rank) {
  if (!rank.has_value() && ranks.size() == 1) return 0;
  std::string names;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (rank == ranks[i]) return i;
    names += (names.empty() ? "" : ", ") + std::to_string(ranks[i]);
  }
  if (rank.has_value()) {
    std::fprintf(stderr, "tierlib-trace: %s has no rank %d: it has %s\n", TraceName(file).c_str(), *rank,
                 Printable(names, 200).c_str());
  } else {
    std::fprintf(stderr, "tierlib-trace: %s has the ranks %s: name one with --rank\n", TraceName(file).c_str(),
                 Printable(names, 200).c_str());
  }
  return std::nullopt;
}

StatusOr<trace::Trace> TraceOf(const std::string& file, std::vector<trace::Trace> traces, std::optional<int> rank) {
  std::vector<int> ranks;
  for (const trace::Trace& trace : traces) ranks.push_back(trace.rank);
  const std::optional<std::size_t> chosen = ChooseRank(file, ranks, rank);
  if (!chosen.has_value()) return Status(StatusCode::kInvalidArgument);
  return std::move(traces[*chosen]);
}

}  // namespace

StatusOr<OpenedTraces> OpenTraceArgument(const std::string& file, std::optional<int> rank) {
  TIERLIB_ASSIGN_OR_RETURN(OpenedTraces opened, OpenTracesArgument(file));
  std::vector<int> ranks;
  for (const auto& trace : opened.ranks) ranks.push_back(trace->about().rank);
  const std::optional<std::size_t> chosen = ChooseRank(file, ranks, rank);
  if (!chosen.has_value()) return Status(StatusCode::kInvalidArgument);
  std::unique_ptr<trace::RecordStream> one = std::move(opened.ranks[*chosen]);
  opened.ranks.clear();
  opened.ranks.push_back(std::move(one));
  return opened;
}

StatusOr<trace::Trace> ReadTraceArgument(const std::string& file, std::optional<int> rank) {
  TIERLIB_ASSIGN_OR_RETURN(std::vector<trace::Trace> traces, ReadTracesArgument(file));
  return TraceOf(file, std::move(traces), rank);
}

StatusOr<trace::Trace> ReadPartnerArgument(const std::string& file, int rank) {
  TIERLIB_ASSIGN_OR_RETURN(std::vector<trace::Trace> traces, ReadTracesArgument(file));
  const bool one = traces.size() == 1;
  return TraceOf(file, std::move(traces), one ? std::nullopt : std::optional<int>(rank));
}

void PrintProblems(const std::string& file, const std::vector<trace::Problem>& problems, std::uint64_t count) {
  const std::string name = TraceName(file);
  const std::size_t shown = std::min(problems.size(), kProblemsShown);
  for (std::size_t i = 0; i < shown; ++i) {
    std::fprintf(stderr, "tierlib-trace: %s: byte %s: %s\n", name.c_str(), FormatCount(problems[i].offset).c_str(),
                 problems[i].what.c_str());
  }
  if (count > shown) {
    std::fprintf(stderr, "tierlib-trace: %s: %s more\n", name.c_str(), FormatCount(count - shown, "problem").c_str());
  }
}

}  // namespace tierlib::trace_viewer
