#include "trace/cuda/cupti_correlation.h"

#include <cupti.h>
#include <dlfcn.h>

namespace tierlib::trace {
namespace {

constexpr const char* kPush = "cuptiActivityPushExternalCorrelationId";
constexpr const char* kPop = "cuptiActivityPopExternalCorrelationId";
// By the name that it calls itself: profilers bring their own, which may be of another version than ours.
constexpr const char* kLibraries[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};

static_assert(sizeof(CUpti_ExternalCorrelationKind) == sizeof(int) && sizeof(CUptiResult) == sizeof(int));

int CodeOf(CuptiCorrelation::Kind kind) {
  return kind == CuptiCorrelation::Kind::kStep ? CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0
                                               : CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1;
}

}  // namespace

CuptiCorrelation::CuptiCorrelation() {
  for (const char* name : kLibraries) {
    if (library_ == nullptr) library_ = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
  }
  void* const place = library_ != nullptr ? library_ : RTLD_DEFAULT;
  push_ = reinterpret_cast<PushFunction>(dlsym(place, kPush));
  pop_ = reinterpret_cast<PopFunction>(dlsym(place, kPop));
}

CuptiCorrelation::~CuptiCorrelation() {
  if (library_ != nullptr) dlclose(library_);
}

// Errors are the profiler's: a program goes on.
void CuptiCorrelation::Push(Kind kind, std::uint64_t id) const {
  if (is_there()) (void)push_(CodeOf(kind), id);
}

void CuptiCorrelation::Pop(Kind kind) const {
  std::uint64_t last = 0;
  if (is_there()) (void)pop_(CodeOf(kind), &last);
}

}  // namespace tierlib::trace
