// SavedStore: checksums of saved bytes.
//
// Two kinds, compared at one place, before a copy in. With Options::checksums the device takes one at Pack, in the
// order of the packing stream: a later write of that stream does not reach it, so a copy that such a write tore differs
// from it. What lies in a file has another, taken from the file when its copy was seen to have ended.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "graph/saved_store.h"

namespace tierlib {
namespace {

// A block's checksum, read as a file is read: a sector that is gone is DataLoss, where touching its memory is a signal.
StatusOr<std::uint32_t> ChecksumOfFile(const HostBuffer& buffer) {
  constexpr std::uint64_t kChunk = std::uint64_t{1} << 18;
  std::vector<char> chunk(static_cast<std::size_t>(std::min(kChunk, buffer.bytes())));
  std::uint32_t checksum = 0;
  for (std::uint64_t offset = 0; offset < buffer.bytes(); offset += chunk.size()) {
    const std::uint64_t bytes = std::min<std::uint64_t>(chunk.size(), buffer.bytes() - offset);
    TIERLIB_RETURN_IF_ERROR(buffer.Read(offset, chunk.data(), bytes));
    checksum = Crc32cExtend(checksum, chunk.data(), bytes);
  }
  return checksum;
}

// A range of the storage's bytes and where it lies on the host.
struct HostRange {
  ByteRange range;
  const char* data = nullptr;
};

std::vector<HostRange> RangesOnHost(const Snapshot& snapshot) {
  std::vector<HostRange> on_host;
  for (const HostPiece& piece : snapshot.host) {
    const char* data = static_cast<const char*>(piece.buffer->data());
    for (const ByteRange& range : piece.ranges.ranges()) {
      on_host.push_back({range, data});
      data += range.end - range.begin;
    }
  }
  std::sort(on_host.begin(), on_host.end(),
            [](const HostRange& a, const HostRange& b) { return a.range.begin < b.range.begin; });
  return on_host;
}

// REQUIRES: `on_host` has all of `ranges`.
std::uint32_t ChecksumOnHost(const ByteRanges& ranges, const std::vector<HostRange>& on_host) {
  std::uint32_t checksum = 0;
  auto part = on_host.begin();
  for (const ByteRange& range : ranges.ranges()) {
    for (std::uint64_t begin = range.begin; begin < range.end;) {
      while (part->range.end <= begin) ++part;
      const std::uint64_t end = std::min(range.end, part->range.end);
      checksum = Crc32cExtend(checksum, part->data + (begin - part->range.begin), end - begin);
      begin = end;
    }
  }
  return checksum;
}

Status LaunchHostKernel(DeviceBackend& device, Stream stream, const ByteRanges& bytes, const DeviceBuffer& buffer,
                        const std::shared_ptr<DeviceChecksum>& checksum) {
  const char* const base = static_cast<const char*>(buffer.storage_base());
  HostKernel kernel;
  kernel.name = "checksum";
  for (const ByteRange& range : bytes.ranges()) {
    kernel.accesses.push_back({base + range.begin, static_cast<std::size_t>(range.end - range.begin), false});
  }
  kernel.run = [checksum, base, bytes](KernelContext&) {
    std::uint32_t found = 0;
    for (const ByteRange& range : bytes.ranges()) {
      found = Crc32cExtend(found, base + range.begin, range.end - range.begin);
    }
    const std::uint64_t first = checksum->value;
    if (first == DeviceChecksum::kNone) checksum->value = found;
    if (first != DeviceChecksum::kNone && first != found) checksum->differed = 1;
  };
  return device.Launch(stream, std::move(kernel));
}

}  // namespace

// Enqueues a look at the bytes: the first notes their checksum, a further one whether it is another.
Status SavedStore::LaunchLook(DeviceTier& tier, Stream stream, const ByteRanges& bytes, const DeviceBuffer& buffer,
                              const std::shared_ptr<DeviceChecksum>& checksum) {
  ChecksumSlots* const slots = SlotsOf(tier);
  if (slots != nullptr) return slots->Launch(bytes, buffer, *checksum, stream);
  return LaunchHostKernel(*tier.backend, stream, bytes, buffer, checksum);
}

ChecksumSlots* SavedStore::SlotsOf(const DeviceTier& tier) const {
  std::size_t i = 0;
  while (tiers_[i].get() != &tier) ++i;
  return checksum_slots_[i].get();
}

StatusOr<std::shared_ptr<DeviceChecksum>> SavedStore::LaunchChecksum(const Snapshot& snapshot, const ByteRanges& bytes,
                                                                     DeviceBuffer& buffer, Stream stream) {
  std::shared_ptr<DeviceChecksum> checksum;
  if (!options_.checksums || options_.mode == OffloadMode::kOff || snapshot.holds == Holds::kPersistent) {
    return checksum;
  }
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  if (tier->backend->info().shape_only) return checksum;
  // Packed again, the bytes are looked at again: they are another content where somebody wrote and did not say so.
  for (const PackedChecksum& packed : snapshot.checksums) {
    if (packed.taken->stream == stream && packed.ranges == bytes) checksum = packed.checksum;
  }
  if (checksum == nullptr && SlotsOf(*tier) != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(checksum, SlotsOf(*tier)->Take());
  }
  if (checksum == nullptr) checksum = std::make_shared<DeviceChecksum>();
  buffer.UsedOn(stream);  // memory that nobody keeps waits for it too
  TIERLIB_RETURN_IF_ERROR(LaunchLook(*tier, stream, bytes, buffer, checksum));
  return checksum;
}

void SavedStore::AddChecksum(Snapshot& snapshot, const ByteRanges& bytes, std::shared_ptr<DeviceChecksum> checksum,
                             MarkRef taken) {
  if (checksum == nullptr) return;
  const StatusOr<Storage*> storage = table_.Find(snapshot.key.storage);
  if (storage.ok()) (*storage)->NoteReader(taken);  // no copy need follow that a write would wait for
  for (PackedChecksum& packed : snapshot.checksums) {
    if (packed.checksum != checksum) continue;
    packed.taken = std::move(taken);
    return;
  }
  snapshot.checksums.push_back({bytes, std::move(checksum), std::move(taken)});
}

void SavedStore::NoteArrived(Snapshot& snapshot, HostPiece& piece) {
  if (piece.buffer->tier() != Tier::kFile || piece.file_checksum) return;
  const StatusOr<DeviceTier*> tier = FindTier(snapshot.device);
  if (!tier.ok() || (*tier)->backend->info().shape_only) return;
  const std::int64_t before_ns = (*tier)->stalls->HostBefore();
  const StatusOr<std::uint32_t> checksum = ChecksumOfFile(*piece.buffer);
  (*tier)->stalls->HostAfter(before_ns, BytesOf(snapshot), trace::StallCause::kDisk, (*tier)->transfers->out_stream());
  if (checksum.ok()) {
    piece.file_checksum = *checksum;
  } else {
    (void)Lose(snapshot, checksum.status().message());
  }
}

Status SavedStore::VerifyHost(Snapshot& snapshot) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  if (!snapshot.checksums.empty()) {
    TIERLIB_RETURN_IF_ERROR(tier->transfers->FlushBatch());
    const std::int64_t before_ns = tier->stalls->HostBefore();
    for (const HostPiece& piece : snapshot.host) (void)tier->transfers->Await(piece.arrival);
    BookVerified(snapshot, *tier, before_ns);
    SettleArrivals(snapshot);
  }
  // Another thread may have found it lost while a callback of the program ran.
  TIERLIB_RETURN_IF_ERROR(snapshot.unreadable);
  if (snapshot.residence.state() == Residency::kLost) return CheckReadable(snapshot);
  for (const HostPiece& piece : snapshot.host) {
    if (!piece.file_checksum) continue;
    const std::int64_t before_ns = tier->stalls->HostBefore();
    const StatusOr<std::uint32_t> checksum = ChecksumOfFile(*piece.buffer);
    tier->stalls->HostAfter(before_ns, BytesOf(snapshot), trace::StallCause::kDisk, tier->transfers->in_stream());
    if (!checksum.ok()) return Lose(snapshot, checksum.status().message());
    if (*checksum != *piece.file_checksum) {
      return Lose(snapshot, "what the file has of it is not what was written there (checksum)");
    }
  }
  if (snapshot.checksums.empty()) return OkStatus();
  const std::vector<HostRange> on_host = RangesOnHost(snapshot);
  for (const PackedChecksum& packed : snapshot.checksums) {
    if (!snapshot.host_bytes.Contains(packed.ranges)) continue;
    const std::int64_t before_ns = tier->stalls->HostBefore();
    TIERLIB_RETURN_IF_ERROR(tier->backend->SynchronizeEvent(packed.taken->event));
    const bool same = !packed.checksum->differed && ChecksumOnHost(packed.ranges, on_host) == packed.checksum->value;
    BookVerified(snapshot, *tier, before_ns);
    if (same) continue;
    return Lose(snapshot,
                "what came to the host is not what was saved (checksum): it was written while it was copied, "
                "or has changed there");
  }
  return OkStatus();
}

Status SavedStore::VerifyReplay(Snapshot& snapshot, const ByteRanges& bytes, const DeviceBuffer& buffer,
                                Stream stream) {
  if (snapshot.checksums.empty()) return OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
  for (const PackedChecksum& packed : snapshot.checksums) {
    if (!bytes.Contains(packed.ranges)) continue;
    TIERLIB_RETURN_IF_ERROR(tier->events->WaitOn(stream, *packed.taken));
    TIERLIB_RETURN_IF_ERROR(LaunchLook(*tier, stream, packed.ranges, buffer, packed.checksum));
    TIERLIB_ASSIGN_OR_RETURN(const MarkRef looked, tier->events->MarkNow(stream));
    const std::int64_t before_ns = tier->stalls->HostBefore();
    TIERLIB_RETURN_IF_ERROR(tier->backend->SynchronizeEvent(looked->event));
    BookVerified(snapshot, *tier, before_ns);
    if (!packed.checksum->differed) continue;
    return Lose(snapshot, snapshot.recipe.empty() || snapshot.source != nullptr
                              ? "what was made again is not what was saved (checksum): what it is made from was written"
                              : "what the program computed again is not what was saved (checksum)");
  }
  return OkStatus();
}

void SavedStore::BookVerified(const Snapshot& snapshot, DeviceTier& tier, std::int64_t before_ns) {
  tier.stalls->HostAfter(before_ns, BytesOf(snapshot), trace::StallCause::kChecksum, tier.transfers->in_stream());
}

Status SavedStore::Lose(Snapshot& snapshot, std::string_view why) {
  if (snapshot.residence.state() == Residency::kLost) return CheckReadable(snapshot);  // known before
  if (snapshot.reload != nullptr || snapshot.replayed != nullptr || snapshot.taken_back) LetGo(snapshot);
  snapshot.unreadable = DataLossError(DescribeStorage(snapshot.key.storage, snapshot.label) + ": " + std::string(why));
  if (first_mismatch_.ok()) first_mismatch_ = snapshot.unreadable;
  snapshot.residence.MoveTo(Residency::kLost, snapshot.key.storage, snapshot.needed.bytes(), recorder());
  return snapshot.unreadable;
}

}  // namespace tierlib
