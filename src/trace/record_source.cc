#include "trace/record_source.h"

#include <algorithm>

namespace tierlib::trace {

RecordExtent TraceRecords::extent() const {
  if (trace_.records.empty()) return {};
  return {trace_.records.size(), trace_.records.front().time_ns, trace_.records.back().time_ns};
}

void TraceRecords::ForEachBetween(std::int64_t begin_ns, std::int64_t end_ns, Take take) {
  const auto first =
      std::lower_bound(trace_.records.begin(), trace_.records.end(), begin_ns,
                       [](const Record& record, std::int64_t time_ns) { return record.time_ns < time_ns; });
  for (auto record = first; record != trace_.records.end() && record->time_ns <= end_ns; ++record) take(*record);
}

}  // namespace tierlib::trace
