// SavedStore: giving a value back.
#include <string>
#include <utility>
#include <vector>

#include "graph/data_movement.h"
#include "graph/saved_store.h"

namespace tierlib {
namespace {

// Where each byte of a host piece goes on the device.
void AppendRunsToDevice(const HostPiece& piece, const DeviceBuffer& to, std::vector<CopyRun>& runs) {
  const char* host = static_cast<const char*>(piece.buffer->data());
  for (const ByteRange& range : piece.ranges.ranges()) {
    const std::uint64_t bytes = range.end - range.begin;
    runs.push_back({static_cast<char*>(to.data()) + (range.begin - to.origin()), host, bytes});
    host += bytes;
  }
}

ByteRange HullOf(const Layout& layout) {
  std::int64_t last = layout.offset_bytes + static_cast<std::int64_t>(ElementBytes(layout.dtype));
  for (int i = 0; i < layout.rank(); ++i) {
    last += (layout.sizes[i] - 1) * layout.strides[i] * static_cast<std::int64_t>(ElementBytes(layout.dtype));
  }
  return {static_cast<std::uint64_t>(layout.offset_bytes), static_cast<std::uint64_t>(last)};
}

Status LostError(const Snapshot& snapshot) {
  std::string text = DescribeStorage(snapshot.key.storage, snapshot.label) + ": a copy of it failed";
  for (const HostPiece& piece : snapshot.host) {
    if (!piece.arrival->ended || piece.arrival->status.ok()) continue;
    return DataLossError(text + ": " + std::string(piece.arrival->status.message()));
  }
  return DataLossError(text);
}

}  // namespace

StatusOr<Loaded> SavedStore::Unpack(const Saved& saved, Stream stream, std::optional<std::uint64_t> version) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  if (saved.valid() && saved.value()->store->is_captured() && !is_captured()) {
    return FailedPreconditionError("unpack of a value that was packed in a capture: it is there in the capture alone");
  }
  if (!saved.valid() || saved.value()->store.get() != this) {
    return InvalidArgumentError("unpack of a value that this runtime did not pack");
  }
  const internal::SavedValue& value = *saved.value();
  auto loaded = std::make_shared<internal::LoadedValue>();
  loaded->store = shared_from_this();
  loaded->layout = value.layout;
  Locked lock(*this);
  Poll();
  ++ledger_.unpacks;
  if (value.snapshot == nullptr) return Loaded(std::move(loaded));
  const std::shared_ptr<Snapshot> snapshot = value.snapshot;
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, snapshot->device));
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot->device));
  if (version) TIERLIB_RETURN_IF_ERROR(CheckVersion(value, *version));
  trace::Write(recorder(), trace::Event::kUnpack, trace::Tag::kSaved, 0, snapshot->trace_label,
               snapshot->key.storage.ToInteger(), static_cast<std::uint64_t>(value.layout.logical_bytes()));
  tier->pool->Tick(stream);
  NoteAskedForPeak(*snapshot, *tier);
  const auto attempt = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS -> StatusOr<std::shared_ptr<DeviceBuffer>> {
    SettleArrivals(*snapshot);
    TIERLIB_RETURN_IF_ERROR(CheckReadable(*snapshot));
    return MakeResident(snapshot, stream);
  };
  StatusOr<std::shared_ptr<DeviceBuffer>> buffer = WhileRoomIsMade(*tier, attempt);
  if (!buffer.ok()) return NameStorage(buffer.status(), snapshot->key.storage, snapshot->label);
  loaded->buffer = *std::move(buffer);
  if (NoteAsked(*snapshot, *tier)) PrefetchAfter(snapshot->pack_order, *tier);
  TIERLIB_RETURN_IF_ERROR(FlushBeforeNaming(*tier, stream));
  NoteRead(*snapshot, *loaded->buffer, *tier, stream);
  loaded->storage = snapshot->key.storage;
  loaded->device = snapshot->device;
  return Loaded(std::move(loaded));
}

// The stream waits for the copy that brought the block back, so that its memory need not wait for later copies in.
void SavedStore::NoteRead(const Snapshot& snapshot, DeviceBuffer& buffer, const DeviceTier& tier, Stream stream) {
  buffer.UsedOn(stream);
  if (snapshot.reload != nullptr && snapshot.buffer.get() == &buffer) {
    buffer.UseEndsBefore(tier.transfers->in_stream());
  }
}

Status SavedStore::NoteUse(DeviceBuffer& buffer, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(stream.device));
  if (tier->options.coalesce_bytes == 0) {  // there is nothing that the lock guards
    buffer.UsedOn(stream);
    return OkStatus();
  }
  Locked lock(*this);
  TIERLIB_RETURN_IF_ERROR(FlushBeforeNaming(*tier, stream));
  buffer.UsedOn(stream);
  return OkStatus();
}

Status SavedStore::CheckReadable(const Snapshot& snapshot) const {
  if (snapshot.written_version != 0) {
    const bool counted = snapshot.program_version && snapshot.written_program_version;
    return FailedPreconditionError(
        DescribeStorage(snapshot.key.storage, snapshot.label) + " was saved at version " +
        std::to_string(counted ? *snapshot.program_version : snapshot.key.version) +
        " and then written in place (version " +
        std::to_string(counted ? *snapshot.written_program_version : snapshot.written_version) +
        "): what backward needs is gone");
  }
  if (snapshot.abandoned) {
    return FailedPreconditionError(DescribeStorage(snapshot.key.storage, snapshot.label) +
                                   " was retired while it was saved without a keepalive");
  }
  TIERLIB_RETURN_IF_ERROR(snapshot.unreadable);
  return snapshot.residence.state() == Residency::kLost ? LostError(snapshot) : OkStatus();
}

Status SavedStore::WaitFor(const Snapshot& snapshot, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  if (snapshot.reload == nullptr) {
    const MarkRef& made = snapshot.replayed != nullptr ? snapshot.replayed : snapshot.produced;
    if (made == nullptr || made->stream == stream) return OkStatus();
    const MarkRef before = tier->stalls->Before(stream);
    TIERLIB_RETURN_IF_ERROR(tier->events->WaitOn(stream, *made));
    ++ledger_.stalls;
    tier->stalls->After(before, BytesOf(snapshot), trace::StallCause::kProducer);
    return OkStatus();
  }
  const MarkRef before = snapshot.reload->ended ? nullptr : tier->stalls->Before(stream);
  TIERLIB_ASSIGN_OR_RETURN(const bool waits, tier->transfers->WaitOn(stream, snapshot.reload));
  if (waits) ++ledger_.stalls;
  tier->stalls->After(before, BytesOf(snapshot), trace::StallCause::kLateCopyIn);
  return OkStatus();
}

void SavedStore::DropFailedReload(Snapshot& snapshot) {
  if (snapshot.reload == nullptr || snapshot.reload->status.ok()) return;
  LetGo(snapshot);
  if (snapshot.residence.state() == Residency::kBoth) {
    snapshot.residence.MoveTo(Residency::kHost, snapshot.key.storage, snapshot.host_bytes.bytes(), recorder());
  }
}

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::MakeResident(const std::shared_ptr<Snapshot>& snapshot,
                                                                 Stream stream) {
  SettleArrivals(*snapshot);
  TIERLIB_RETURN_IF_ERROR(snapshot->unreadable);
  DropFailedReload(*snapshot);
  if (snapshot->buffer == nullptr) {
    std::shared_ptr<DeviceBuffer> original = snapshot->original.lock();
    if (original != nullptr && !original->adopted()) {
      TIERLIB_RETURN_IF_ERROR(WaitFor(*snapshot, stream));
      return original;
    }
    if (snapshot->residence.state() == Residency::kLost) return LostError(*snapshot);  // what others are made from
    if (snapshot->packed) return ReloadPacked(*snapshot, stream);
    if (std::shared_ptr<DeviceBuffer> back = TakeBack(*snapshot, stream)) {
      TIERLIB_RETURN_IF_ERROR(WaitFor(*snapshot, stream));
      return back;
    }
    if (snapshot->residence.state() == Residency::kReplayable) return RunRecipe(snapshot, stream);
    TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<DeviceBuffer> reloaded, Reload(*snapshot, /*ahead=*/false));
    TIERLIB_RETURN_IF_ERROR(WaitFor(*snapshot, stream));
    return reloaded;
  }
  TIERLIB_RETURN_IF_ERROR(WaitFor(*snapshot, stream));
  NotePrefetchUsed(*snapshot);
  return snapshot->buffer;
}

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::Reload(Snapshot& snapshot, bool ahead) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  const Stream in = tier->transfers->in_stream();
  std::shared_ptr<DeviceBuffer> buffer;
  ByteRanges bytes;
  do {  // while the program's allocator runs, another thread may save more of the storage
    bytes = snapshot.host_bytes;
    const ByteRange hull = bytes.hull();
    TIERLIB_ASSIGN_OR_RETURN(buffer, ahead ? AllocateAhead(*tier, hull.begin, hull.end - hull.begin, in)
                                           : AllocateDevice(*tier, hull.begin, hull.end - hull.begin, in,
                                                            trace::Tag::kReload, /*reload=*/true));
    if (snapshot.buffer != nullptr) return snapshot.buffer;  // or be faster
  } while (!(bytes == snapshot.host_bytes));
  TIERLIB_RETURN_IF_ERROR(VerifyHost(snapshot));
  buffer->SetOwner(snapshot.key.storage);
  std::vector<CopyRun> runs;
  std::vector<TransferRef> arrivals;
  for (const HostPiece& piece : snapshot.host) {
    AppendRunsToDevice(piece, *buffer, runs);
    arrivals.push_back(piece.arrival);
    piece.buffer->UsedOn(in);
  }
  tier->Tick(in);
  TIERLIB_ASSIGN_OR_RETURN(snapshot.reload, tier->transfers->CopyIn(runs, arrivals, snapshot.key.storage, nullptr));
  BookReload(snapshot, *tier, snapshot.reload->bytes, ahead);
  if (snapshot.residence.state() == Residency::kHost) {
    snapshot.residence.MoveTo(Residency::kBoth, snapshot.key.storage, snapshot.reload->bytes, recorder());
  }
  Hold(snapshot, buffer, std::move(bytes));
  if (ahead) NotePrefetched(snapshot, *tier);
  return buffer;
}

// A naive copy comes back as its elements in row-major order and, where the value had another layout, is spread out
// again.
StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::ReloadPacked(Snapshot& snapshot, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  const Layout layout = snapshot.packed_from;
  const HostPiece& piece = snapshot.host.front();
  const Stream in = tier->transfers->in_stream();
  const std::uint64_t bytes = piece.ranges.bytes();
  const bool in_place = layout.is_contiguous();
  const std::uint64_t origin = in_place ? static_cast<std::uint64_t>(layout.offset_bytes) : 0;
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<DeviceBuffer> elements,
                           AllocateDevice(*tier, origin, bytes, in, trace::Tag::kReload, /*reload=*/true));
  TIERLIB_RETURN_IF_ERROR(VerifyHost(snapshot));
  elements->SetOwner(snapshot.key.storage);
  std::vector<CopyRun> runs;
  AppendRunsToDevice(piece, *elements, runs);
  piece.buffer->UsedOn(in);
  tier->Tick(in);
  TIERLIB_ASSIGN_OR_RETURN(const TransferRef reload,
                           tier->transfers->CopyIn(runs, {&piece.arrival, 1}, snapshot.key.storage, nullptr));
  BookReload(snapshot, *tier, bytes, /*ahead=*/false);
  const MarkRef before = tier->stalls->Before(stream);
  TIERLIB_ASSIGN_OR_RETURN(const bool waits, tier->transfers->WaitOn(stream, reload));
  if (waits) ++ledger_.stalls;
  tier->stalls->After(before, BytesOf(snapshot), trace::StallCause::kLateCopyIn);
  elements->UsedOn(stream);
  elements->UseEndsBefore(in);
  if (in_place) return elements;
  const ByteRange hull = HullOf(layout);
  TIERLIB_ASSIGN_OR_RETURN(
      std::shared_ptr<DeviceBuffer> spread,
      AllocateDevice(*tier, hull.begin, hull.end - hull.begin, stream, trace::Tag::kReload, /*reload=*/true));
  spread->SetOwner(snapshot.key.storage);
  TIERLIB_RETURN_IF_ERROR(LaunchStridedCopy(*tier->backend, stream, spread->storage_base(), layout,
                                            elements->storage_base(), PackedLayout(layout)));
  return spread;
}

}  // namespace tierlib
