#include "tierlib/runtime.h"

#include <new>
#include <utility>

#include "base/clock.h"
#include "runtime/core.h"

namespace tierlib {
namespace {

// Nothing throws across the interface: memory running out becomes a status.
template <typename Body>
auto Guarded(Body&& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted);
  }
}

// For what has no status.
template <typename Body>
auto GuardedOrEmpty(Body&& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return {};
  }
}

}  // namespace

Runtime::Runtime(std::shared_ptr<internal::Core> core) : core_(std::move(core)) {}

StatusOr<std::unique_ptr<Runtime>> Runtime::Create(Options options) {
  return Guarded([&]() -> StatusOr<std::unique_ptr<Runtime>> {
    TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<internal::Core> core, internal::Core::Create(std::move(options)));
    return std::unique_ptr<Runtime>(new Runtime(std::move(core)));
  });
}

Runtime::~Runtime() {
  core_->store()->ForgetLineage();
  const std::int64_t deadline = DeadlineIn(core_->options().shutdown_deadline_ns);
  (void)Guarded([&] { return core_->store()->Drain(deadline); });
}

StatusOr<StorageId> Runtime::Register(void* data, std::uint64_t bytes, int device, Holds holds,
                                      std::string_view label) {
  return Guarded([&] { return core_->store()->Register(data, bytes, device, holds, label); });
}

StatusOr<Allocation> Runtime::Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label,
                                       std::uint64_t alignment) {
  return Guarded([&]() -> StatusOr<Allocation> {
    TIERLIB_ASSIGN_OR_RETURN(const auto capture, core_->CaptureOn(stream));
    if (capture != nullptr) return capture->Allocate(bytes, holds, stream, label, alignment);
    return core_->store()->Allocate(bytes, holds, stream, label, alignment);
  });
}

Status Runtime::Retire(StorageId storage, Stream stream) {
  return Guarded([&]() -> Status {
    TIERLIB_ASSIGN_OR_RETURN(const auto capture, core_->CaptureOn(stream));
    return capture != nullptr ? capture->Retire(storage, stream) : core_->store()->Retire(storage, stream);
  });
}

Status Runtime::BeginWrite(StorageId storage, Stream stream) {
  return Guarded([&]() -> Status {
    TIERLIB_ASSIGN_OR_RETURN(const auto capture, core_->CaptureOn(stream));
    return capture != nullptr ? capture->BeginWrite(storage, stream) : core_->store()->BeginWrite(storage, stream);
  });
}

Status Runtime::Derive(const View& derived, const View& source, Replay replay) {
  return Guarded([&] {
    const auto capture = core_->CaptureOf(derived.storage);
    if (capture != nullptr) return capture->Derive(derived, source, std::move(replay));
    return core_->store()->Derive(derived, source, std::move(replay));
  });
}

Status Runtime::Recomputes(const View& value, Recompute recompute) {
  return Guarded([&] {
    const auto capture = core_->CaptureOf(value.storage);
    if (capture != nullptr) return capture->Recomputes(value, std::move(recompute));
    return core_->store()->Recomputes(value, std::move(recompute));
  });
}

StatusOr<Saved> Runtime::Pack(const View& view, Keepalive keepalive, Stream stream, std::string_view label) {
  return Guarded([&]() -> StatusOr<Saved> {
    TIERLIB_ASSIGN_OR_RETURN(const auto capture, core_->CaptureOn(stream));
    if (capture != nullptr) return capture->Pack(view, std::move(keepalive), stream, label);
    return core_->store()->Pack(view, std::move(keepalive), stream, label);
  });
}

StatusOr<Loaded> Runtime::Unpack(const Saved& saved, Stream stream, std::optional<std::uint64_t> version) {
  return Guarded([&]() -> StatusOr<Loaded> {
    TIERLIB_ASSIGN_OR_RETURN(const auto capture, core_->CaptureOn(stream));
    return capture != nullptr ? capture->Unpack(saved, stream, version)
                              : core_->store()->Unpack(saved, stream, version);
  });
}

StatusOr<std::uint64_t> Runtime::Reclaim(int device, std::uint64_t bytes) {
  return Guarded([&] { return core_->store()->Reclaim(device, bytes); });
}

StatusOr<std::uint64_t> Runtime::Trim(Tier tier, std::uint64_t bytes) {
  TIERLIB_RETURN_IF_ERROR(core_->store()->fork().Check());
  return Guarded([&]() -> StatusOr<std::uint64_t> { return core_->store()->Trim(tier, bytes); });
}
StatusOr<Owner> Runtime::OwnerOf(const void* address) const { return core_->store()->OwnerOf(address); }

void Runtime::BeginStep(std::uint64_t step) { core_->BeginStep(step); }
void Runtime::BeginBackward() { core_->BeginBackward(); }
void Runtime::EndStep() { core_->EndStep(); }

StatusOr<std::vector<Stream>> Runtime::BeginCapture(int device, const CaptureOptions& options) {
  return Guarded([&]() -> StatusOr<std::vector<Stream>> {
    TIERLIB_ASSIGN_OR_RETURN(const auto capture, core_->captures().Begin(core_->store(), device, options));
    return std::vector<Stream>(capture->streams());
  });
}

StatusOr<CapturedStep> Runtime::EndCapture(Stream stream) {
  return Guarded([&]() -> StatusOr<CapturedStep> {
    TIERLIB_RETURN_IF_ERROR(core_->store()->fork().Check());
    TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<internal::Capture> capture, core_->captures().Take(stream));
    TIERLIB_RETURN_IF_ERROR(capture->End());
    return CapturedStep(std::move(capture));
  });
}

Status Runtime::Launch(const CapturedStep& step, Stream stream) {
  return Guarded([&]() -> Status {
    TIERLIB_RETURN_IF_ERROR(core_->store()->fork().Check());
    if (!step.valid() || !step.capture()->IsOf(core_->store().get())) {
      return InvalidArgumentError("launch of a step that this runtime did not capture");
    }
    return step.capture()->Launch(stream);
  });
}

StatusOr<Stream> Runtime::CreateStream(int device, std::string_view name) {
  return Guarded([&]() -> StatusOr<Stream> {
    TIERLIB_RETURN_IF_ERROR(core_->store()->fork().Check());
    TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, core_->store()->FindTier(device));
    TIERLIB_ASSIGN_OR_RETURN(const Stream stream, tier->backend->CreateStream(name));
    core_->store()->Follow(stream);
    return stream;
  });
}

Status Runtime::Synchronize(Stream stream) {
  return Guarded([&]() -> Status {
    TIERLIB_RETURN_IF_ERROR(core_->store()->fork().Check());
    TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, core_->store()->FindTier(stream.device));
    return tier->backend->SynchronizeStream(stream);
  });
}

Status Runtime::Drain() {
  return Guarded([&] { return core_->store()->Drain(DeadlineIn(core_->options().shutdown_deadline_ns)); });
}

StatusOr<Placement> Runtime::VerifyPlacement(int device) const {
  return Guarded([&]() -> StatusOr<Placement> {
    TIERLIB_RETURN_IF_ERROR(core_->store()->fork().Check());
    TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, core_->store()->FindTier(device));
    return tier->pinned->VerifyPlacement();
  });
}

std::optional<Shortage> Runtime::LastShortage(int device, Tier tier) const {
  return GuardedOrEmpty([&] { return core_->store()->LastShortage(device, tier); });
}
Statistics Runtime::statistics() const {
  return GuardedOrEmpty([&] { return core_->statistics(); });
}
std::vector<StorageStalls> Runtime::StallsByStorage(int device) const {
  return GuardedOrEmpty([&] { return core_->store()->StallsByStorage(device); });
}
Status Runtime::health() const {
  return Guarded([&] { return core_->store()->health(); });
}
const Options& Runtime::options() const { return core_->options(); }

const void* Loaded::origin() const { return value_->buffer == nullptr ? nullptr : value_->buffer->storage_base(); }
const Layout& Loaded::layout() const { return value_->layout; }
Status Loaded::UsedOn(Stream stream) const {
  if (value_->buffer == nullptr) return OkStatus();
  TIERLIB_RETURN_IF_ERROR(value_->store->fork().Check());
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, value_->device));
  return value_->store->NoteUse(*value_->buffer, stream);
}

}  // namespace tierlib
