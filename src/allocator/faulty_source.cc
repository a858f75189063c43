#include "allocator/faulty_source.h"

#include <utility>

#include "allocator/forwarding_source.h"

namespace tierlib {
namespace {

class FaultySource : public ForwardingSource {
 public:
  FaultySource(std::unique_ptr<MemorySource> source, Faults& faults)
      : ForwardingSource(std::move(source)), faults_(faults) {}

  Status Grow(std::size_t bytes) override {
    TIERLIB_RETURN_IF_ERROR(faults_.Call(FaultPoint::kGrow));
    return below().Grow(bytes);
  }
  Status Commit(std::size_t offset, std::size_t bytes) override {
    if (below().AbsentIn(offset, bytes) > 0) TIERLIB_RETURN_IF_ERROR(faults_.Call(FaultPoint::kGrow));
    return below().Commit(offset, bytes);
  }

 private:
  Faults& faults_;
};

}  // namespace

std::unique_ptr<MemorySource> MakeFaultySource(std::unique_ptr<MemorySource> source, Faults& faults) {
  return std::make_unique<FaultySource>(std::move(source), faults);
}

}  // namespace tierlib
