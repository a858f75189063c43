#include "allocator/shared_limit.h"

#include <utility>

#include "allocator/forwarding_source.h"

namespace tierlib {
namespace {

//   L1  of the limit, what the source below has grown to without what is absent is taken
class LimitedSource : public ForwardingSource {
 public:
  LimitedSource(std::unique_ptr<MemorySource> source, std::shared_ptr<SharedLimit> limit)
      : ForwardingSource(std::move(source)), limit_(std::move(limit)) {}
  ~LimitedSource() override {
    const std::size_t reserved = Reserved();
    EndBelow();
    limit_->GiveBack(reserved);
  }

  Status Grow(std::size_t bytes) override {
    if (!limit_->Take(bytes)) return Status(StatusCode::kResourceExhausted);
    const Taken taken(*this, bytes);
    return below().Grow(bytes);
  }
  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    const std::size_t before = Reserved();
    StatusOr<std::size_t> returned = below().Shrink(bytes);
    limit_->GiveBack(before - Reserved());
    return returned;
  }
  Status Discard(std::size_t offset, std::size_t bytes) override {
    const std::size_t before = Reserved();
    Status status = below().Discard(offset, bytes);
    limit_->GiveBack(before - Reserved());
    return status;
  }
  Status Commit(std::size_t offset, std::size_t bytes) override {
    const std::size_t missing = below().MissingFor(offset, bytes);
    if (!limit_->Take(missing)) return Status(StatusCode::kResourceExhausted);
    const Taken taken(*this, missing);
    return below().Commit(offset, bytes);
  }

 private:
  // Of bytes that were taken from the limit, gives those back that the source has not got when this goes.
  class Taken {
   public:
    Taken(LimitedSource& source, std::size_t bytes) : source_(source), bytes_(bytes), before_(source.Reserved()) {}
    ~Taken() { source_.limit_->GiveBack(bytes_ - (source_.Reserved() - before_)); }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;

   private:
    LimitedSource& source_;
    const std::size_t bytes_;
    const std::size_t before_;
  };

  std::size_t Reserved() const { return below().grown() - below().absent(); }

  const std::shared_ptr<SharedLimit> limit_;
};

}  // namespace

std::unique_ptr<MemorySource> WithLimit(std::unique_ptr<MemorySource> source, std::shared_ptr<SharedLimit> limit) {
  return std::make_unique<LimitedSource>(std::move(source), std::move(limit));
}

}  // namespace tierlib
