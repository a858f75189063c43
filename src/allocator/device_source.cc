// The MemorySource over a device: consecutive reservations, which the device makes adjacent.
#include <utility>
#include <vector>

#include "allocator/memory_source.h"
#include "base/fork_mark.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

class DeviceSource : public MemorySource {
 public:
  // `whole`: what it grew to stays, as another piece would not follow the first.
  DeviceSource(DeviceBackend& device, bool whole) : device_(device), whole_(whole) {}

  ~DeviceSource() override {
    if (!fork_.in_child()) (void)GiveBack(grown_);
  }

  Tier tier() const override { return Tier::kDevice; }
  std::uint64_t capacity() const override {
    return device_.info().capacity / device_.info().granularity * device_.info().granularity;
  }
  std::size_t granularity() const override { return device_.info().granularity; }
  std::byte* base() const override { return base_; }
  std::size_t base_alignment() const override { return device_.info().base_alignment; }
  std::size_t grown() const override { return grown_; }
  std::size_t locked() const override { return 0; }
  int numa_node() const override { return device_.info().numa_node; }

  Status Grow(std::size_t bytes) override {
    TIERLIB_ASSIGN_OR_RETURN(void* const piece, device_.Reserve(bytes));
    if (base_ == nullptr) base_ = static_cast<std::byte*>(piece);
    if (piece != base_ + grown_) {
      TIERLIB_RETURN_IF_ERROR(device_.Release(piece, bytes));
      return Status(StatusCode::kResourceExhausted);
    }
    pieces_.push_back(bytes);
    grown_ += bytes;
    return OkStatus();
  }

  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    if (whole_) return std::size_t{0};
    return GiveBack(bytes);
  }

  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    device_.NoteBlock(base, bytes, live, stream);
  }
  bool notes_blocks() const override { return device_.info().notes_blocks; }

 private:
  StatusOr<std::size_t> GiveBack(std::size_t bytes) {
    std::size_t given_back = 0;
    while (!pieces_.empty() && pieces_.back() <= bytes - given_back) {
      const std::size_t piece = pieces_.back();
      TIERLIB_RETURN_IF_ERROR(device_.Release(base_ + grown_ - piece, piece));
      pieces_.pop_back();
      grown_ -= piece;
      given_back += piece;
    }
    return given_back;
  }

  const ForkMark fork_;
  DeviceBackend& device_;
  const bool whole_;
  std::byte* base_ = nullptr;
  std::size_t grown_ = 0;
  std::vector<std::size_t> pieces_;  // sizes, in ascending order of address
};

}  // namespace

StatusOr<std::unique_ptr<MemorySource>> MakeDeviceSource(DeviceBackend& device) {
  return std::unique_ptr<MemorySource>(std::make_unique<DeviceSource>(device, /*whole=*/false));
}

StatusOr<std::unique_ptr<MemorySource>> MakeWholeDeviceSource(DeviceBackend& device) {
  auto source = std::make_unique<DeviceSource>(device, /*whole=*/true);
  const Status grown = source->Grow(source->capacity());
  if (grown.code() == StatusCode::kResourceExhausted) {
    return ResourceExhaustedError(device.info().name + " has no " + FormatBytes(source->capacity()) +
                                  " in one piece, the capacity");
  }
  TIERLIB_RETURN_IF_ERROR(grown);
  return std::unique_ptr<MemorySource>(std::move(source));
}

}  // namespace tierlib
