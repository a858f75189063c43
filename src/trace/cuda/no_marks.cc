#include "trace/range_marks.h"

namespace tierlib::trace {

std::unique_ptr<RangeMarks> CreateRangeMarks() { return nullptr; }

}  // namespace tierlib::trace
