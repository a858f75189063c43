// StepWatch: which steps of a program are slow, measured against the median of those before.
//
// Thread-safety: none.
#ifndef TIERLIB_SRC_TRACE_STEP_WATCH_H_
#define TIERLIB_SRC_TRACE_STEP_WATCH_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tierlib::trace {

class StepWatch {
 public:
  static constexpr std::size_t kStepsLeast = 5;  // before which no step is slow
  static constexpr std::size_t kStepsMost = 63;  // of which the median is taken, the newest ones

  // `ratio`: a step is slow that takes longer than this times the median. 0: none is.
  explicit StepWatch(double ratio) : ratio_(ratio) {}

  void Begin(std::int64_t time_ns) { begin_ns_ = time_ns; }
  // How many times the median a slow step took; 0 where it was not slow, or did not begin.
  double End(std::int64_t time_ns) {
    if (ratio_ <= 0 || begin_ns_ == kNotBegun) return 0;
    const std::int64_t took = std::max<std::int64_t>(time_ns - begin_ns_, 0);
    begin_ns_ = kNotBegun;
    const std::size_t known = std::min(count_, kStepsMost);
    double times = 0;
    if (known >= kStepsLeast) {
      std::array<std::int64_t, kStepsMost> sorted = took_;
      const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(known / 2);
      std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(known));
      times = static_cast<double>(took) / static_cast<double>(std::max<std::int64_t>(*middle, 1));
    }
    took_[count_++ % kStepsMost] = took;
    return times > ratio_ ? times : 0;
  }

 private:
  static constexpr std::int64_t kNotBegun = INT64_MIN;

  const double ratio_;
  std::int64_t begin_ns_ = kNotBegun;
  std::array<std::int64_t, kStepsMost> took_ = {};
  std::size_t count_ = 0;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_STEP_WATCH_H_
