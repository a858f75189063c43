#include "trace/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "trace/chunk_reader.h"
#include "trace/format.h"
#include "trace/header_reader.h"
#include "trace/record_source.h"

namespace tierlib::trace {
namespace {

StatusOr<Trace> ReadWhole(std::string_view bytes, std::int64_t begin_ns, std::int64_t end_ns) {
  FileHeader header;
  Trace trace;
  TIERLIB_RETURN_IF_ERROR(ReadHeader(bytes, header, trace));
  ChunkReader reader(bytes, header, trace);
  reader.OnlyBetween(begin_ns, end_ns);
  reader.Read([&trace](std::size_t wanted) { trace.records.reserve(wanted); },
              [&trace](std::uint32_t, absl::Span<const Record> records) {
                trace.records.insert(trace.records.end(), records.begin(), records.end());
              });
  const auto earlier = [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; };
  if (!std::is_sorted(trace.records.begin(), trace.records.end(), earlier)) {
    std::stable_sort(trace.records.begin(), trace.records.end(), earlier);
  }
  if (trace.is_copy && trace.closed) {
    // Of what was written while the copy was made it has some records and others not: it ends where that began.
    const auto is_later = [&](const Record& record) { return record.time_ns > header.end_monotonic_ns; };
    trace.records.erase(std::remove_if(trace.records.begin(), trace.records.end(), is_later), trace.records.end());
  }
  CheckWhole(bytes, header, TraceRecords(trace).extent(), trace);
  return trace;
}

}  // namespace

const char* GapReasonName(GapReason reason) {
  switch (reason) {
    case GapReason::kOverwritten: return "overwritten";
    case GapReason::kDropped: return "dropped";
    case GapReason::kTorn: return "torn";
    case GapReason::kTruncated: return "truncated";
    case GapReason::kDamaged: return "damaged";
  }
  return "?";
}

std::string Trace::LabelText(std::uint32_t label) const {
  if (label == 0) return "";
  const auto found = labels.find(label);
  return found != labels.end() ? found->second : "label " + std::to_string(label);
}

StatusOr<Trace> ReadTrace(std::string_view bytes) {
  try {
    return ReadWhole(bytes, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read the trace");
  }
}

StatusOr<Trace> ReadTraceRange(std::string_view bytes, std::int64_t begin_ns, std::int64_t end_ns) {
  try {
    TIERLIB_ASSIGN_OR_RETURN(Trace trace, ReadWhole(bytes, begin_ns, end_ns));
    const auto outside = [&](const Record& r) { return r.time_ns < begin_ns || r.time_ns > end_ns; };
    trace.records.erase(std::remove_if(trace.records.begin(), trace.records.end(), outside), trace.records.end());
    return trace;
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read the trace");
  }
}

StatusOr<Trace> ReadTraceDescriptor(int descriptor, const std::string& name) {
  // Read, not mapped: a file that another program cuts meanwhile must not be a SIGBUS.
  try {
    std::string bytes;
    struct stat info;
    if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) {
      if (static_cast<std::uint64_t>(info.st_size) > bytes.max_size()) throw std::bad_alloc();
      bytes.reserve(static_cast<std::size_t>(info.st_size));
    }
    char buffer[64 << 10];
    for (;;) {
      const ssize_t count = read(descriptor, buffer, sizeof buffer);
      if (count == 0) return ReadTrace(bytes);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Status(StatusCode::kUnknown, "cannot read " + name + ": " + strerror(errno));
      bytes.append(buffer, static_cast<std::size_t>(count));
    }
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read " + name);
  }
}

StatusOr<Trace> ReadTraceFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) {
    const std::string message = "cannot read " + path + ": " + strerror(errno);
    if (errno == ENOENT || errno == ENOTDIR) return NotFoundError(message);
    return Status(errno == EACCES ? StatusCode::kPermissionDenied : StatusCode::kUnknown, message);
  }
  StatusOr<Trace> trace = ReadTraceDescriptor(descriptor, path);
  close(descriptor);
  return trace;
}

}  // namespace tierlib::trace
