#include "base/failpoint.h"

#include "base/check.h"

namespace tierlib {
namespace {

// Failpoints register while static objects are made, in any order: this one is there before them all.
constinit std::atomic<Failpoint*> newest_failpoint{nullptr};

}  // namespace

Failpoint::Failpoint(const char* name) noexcept : name_(name), next_(newest_failpoint.load()) {
  newest_failpoint.store(this);
}

bool Failpoint::Count() noexcept {
  const std::int64_t call = calls_.fetch_add(1) + 1;
  const std::int64_t first = first_failing_.load();
  return persistent_.load() ? call >= first : call == first;
}

ScopedFailpoint::ScopedFailpoint(std::string_view name, FailurePlan plan) : point_(newest_failpoint.load()) {
  while (point_ != nullptr && name != point_->name_) point_ = point_->next_;
  TIERLIB_CHECK(point_ != nullptr, "no failpoint has this name");
  TIERLIB_CHECK(!point_->armed_.load(), "the failpoint is armed already");
  TIERLIB_CHECK(plan.call >= 1, "calls are counted from 1");
  point_->calls_.store(0);
  point_->first_failing_.store(plan.call);
  point_->persistent_.store(plan.persistent);
  point_->armed_.store(true);
}

ScopedFailpoint::~ScopedFailpoint() { point_->armed_.store(false); }

}  // namespace tierlib
