// The MemorySource over a device: consecutive reservations, which the device makes adjacent. Where it can be asked for
// an address, whole pieces go back from between others too.
#include <algorithm>
#include <utility>

#include "allocator/memory_source.h"
#include "allocator/piece_list.h"
#include "base/fork_mark.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

class DeviceSource : public MemorySource {
 public:
  // `whole`: what it grew to stays, as another piece would not follow the first.
  DeviceSource(DeviceBackend& device, bool whole) : device_(device), whole_(whole) {}

  ~DeviceSource() override {
    if (!fork_.in_child()) (void)GiveBack(pieces_.grown());
  }

  Tier tier() const override { return Tier::kDevice; }
  std::uint64_t capacity() const override {
    return device_.info().capacity / device_.info().granularity * device_.info().granularity;
  }
  std::size_t granularity() const override { return device_.info().granularity; }
  std::byte* base() const override { return base_; }
  std::size_t base_alignment() const override { return device_.info().base_alignment; }
  std::size_t grown() const override { return pieces_.grown(); }
  std::size_t locked() const override { return 0; }
  int numa_node() const override { return device_.info().numa_node; }

  std::size_t absent() const override { return pieces_.absent(); }
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const override { return pieces_.AbsentIn(offset, bytes); }
  std::size_t MissingFor(std::size_t offset, std::size_t bytes) const override {
    return pieces_.MissingFor(offset, bytes);
  }

  Status Grow(std::size_t bytes) override {
    pieces_.PrepareAppend();
    TIERLIB_RETURN_IF_ERROR(ReserveNext(bytes));
    pieces_.Append(bytes, /*locked=*/0);
    return OkStatus();
  }

  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    if (whole_) return std::size_t{0};
    return GiveBack(bytes);
  }

  Status Discard(std::size_t offset, std::size_t bytes) override {
    if (whole_ || !device_.info().reserves_at) return OkStatus();
    for (const PieceList::Piece& piece : pieces_.Within(offset, bytes)) {
      if (piece.absent) continue;
      TIERLIB_RETURN_IF_ERROR(device_.Release(base_ + piece.offset, piece.bytes));
      pieces_.MarkAbsent(piece);
    }
    return OkStatus();
  }

  Status Commit(std::size_t offset, std::size_t bytes) override {
    for (const PieceList::Piece& piece : pieces_.Overlapping(offset, bytes)) {
      if (!piece.absent) continue;
      TIERLIB_RETURN_IF_ERROR(device_.ReserveAt(base_ + piece.offset, piece.bytes));
      pieces_.MarkPresent(piece, /*locked=*/0);
    }
    return OkStatus();
  }

  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    device_.NoteBlock(base, bytes, live, stream);
  }
  bool notes_blocks() const override { return device_.info().notes_blocks; }

 private:
  // The range behind the segment. Where the device takes addresses it is asked for that one, as it might choose one
  // that was given back from between live blocks.
  Status ReserveNext(std::size_t bytes) {
    if (base_ != nullptr && device_.info().reserves_at) return device_.ReserveAt(base_ + grown(), bytes);
    TIERLIB_ASSIGN_OR_RETURN(void* const piece, device_.Reserve(bytes));
    if (base_ == nullptr) base_ = static_cast<std::byte*>(piece);
    if (piece == base_ + grown()) return OkStatus();
    TIERLIB_RETURN_IF_ERROR(device_.Release(piece, bytes));
    return Status(StatusCode::kResourceExhausted);
  }

  StatusOr<std::size_t> GiveBack(std::size_t bytes) {
    const std::size_t before = pieces_.grown();
    const std::size_t kept = before - std::min(bytes, before);
    for (std::size_t count = pieces_.Within(kept, before - kept).size(); count > 0; --count) {
      const PieceList::Piece& last = pieces_.Overlapping(pieces_.grown() - 1, 1).front();
      if (!last.absent) TIERLIB_RETURN_IF_ERROR(device_.Release(base_ + last.offset, last.bytes));
      pieces_.RemoveLast();
    }
    return before - pieces_.grown();
  }

  const ForkMark fork_;
  DeviceBackend& device_;
  const bool whole_;
  std::byte* base_ = nullptr;
  PieceList pieces_{/*unit=*/1};
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
