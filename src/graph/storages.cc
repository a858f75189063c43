// SavedStore: registering storages, and what is told about them.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "allocator/device_factory.h"
#include "base/clock.h"
#include "graph/ledger_sum.h"
#include "graph/saved_store.h"

namespace tierlib {

namespace internal {

SavedValue::~SavedValue() {
  if (snapshot != nullptr) store->DropSaved(std::move(snapshot));
}

LoadedValue::~LoadedValue() {
  if (store == nullptr) return;
  if (store->fork().in_child()) {
    LeaveBehind(std::move(buffer));
  } else {
    buffer.reset();
    store->RunDeferred();
  }
}

}  // namespace internal

Status CheckStream(Stream stream, int device) {
  if (stream.device == device) return OkStatus();
  return InvalidArgumentError("a stream of device " + std::to_string(stream.device) +
                              " was named for bytes of device " + std::to_string(device));
}

namespace {

Status CheckAlignment(std::uint64_t alignment, std::string_view label, const DeviceTier& tier) {
  const auto refused = [&](const std::string& why) {
    return InvalidArgumentError("allocate '" + std::string(label) + "': alignment " + std::to_string(alignment) + why);
  };
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) return refused(" is no power of two");
  const std::uint64_t most = tier.MostAlignment();
  if (alignment > most) {
    return refused(", and " + tier.backend->info().name + " has at most " + std::to_string(most));
  }
  return OkStatus();
}

}  // namespace

SavedStore::SavedStore(const Options& options, std::unique_ptr<trace::Recorder> recorder, bool is_captured)
    : options_(options),
      prefetches_(std::any_of(options_.devices.begin(), options_.devices.end(),
                              [](const DeviceOptions& device) { return device.prefetch_bytes > 0; })),
      is_captured_(is_captured),
      recorder_(std::move(recorder)) {}

StatusOr<std::shared_ptr<SavedStore>> SavedStore::Create(const Options& options, OpenRecorder open_recorder) {
  TIERLIB_ASSIGN_OR_RETURN(const TierTagLimits tags, ReadTagLimits(options));
  std::vector<std::unique_ptr<DeviceBackend>> backends;
  for (const DeviceOptions& device : options.devices) {
    TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBackend> backend, MakeDevice(device));
    backends.push_back(std::move(backend));
  }
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<trace::Recorder> recorder, open_recorder());
  const auto destroy = [](SavedStore* gone) { gone->fork_.in_child() ? LeaveBehind(std::move(gone)) : delete gone; };
  std::shared_ptr<SavedStore> store(new SavedStore(options, std::move(recorder)), destroy);
  const std::uint64_t devices = options.devices.size();
  const auto over_all = [&](Tier tier, std::uint64_t bytes) -> DeviceTier::HostTierSettings {
    if (devices == 1) return {bytes};
    return {bytes, std::make_shared<SharedLimit>(bytes), std::make_shared<SharedTagLimits>(tags.Of(tier))};
  };
  DeviceTier::PoolSettings settings;
  settings.tags = tags;
  settings.hardened = options.hardened;
  settings.transfer_numbers = std::make_shared<std::uint64_t>(0);
  settings.pinned = over_all(Tier::kPinned, options.pinned_limit);
  settings.pageable = over_all(Tier::kPageable, options.pageable_limit);
  settings.file = over_all(Tier::kFile, options.file_limit);
  settings.file_directory = options.file_directory;
  if (devices == 1) settings.cached_limit = options.cached_limit;  // TrimToBounds has it over all of several
  settings.cached_age_ns = options.cached_age_ns;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    TIERLIB_RETURN_IF_ERROR(store->AddTier(options.devices[i], std::move(backends[i]), settings));
  }
  return store;
}

Status SavedStore::AddTier(const DeviceOptions& device, std::unique_ptr<DeviceBackend> backend,
                           const DeviceTier::PoolSettings& settings, DeviceTier::GivenMemory given) {
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<DeviceTier> tier,
                           DeviceTier::Create(device, std::move(backend), settings, deferred_, recorder(),
                                              MachineTopology(), std::move(given)));
  for (const auto& other : tiers_) {  // those before this one
    other->others.push_back(tier.get());
    tier->others.push_back(other.get());
  }
  owners_.AddPool(*tier->pool, tier->options.device);
  for (const BlockPool* pool : tier->HostPools()) owners_.AddPool(*pool, tier->options.device);
  if (tier->direct != nullptr) {
    owners_.AddPool(*tier->direct, tier->options.device, tier->backend->info().numa_node);
  }
  const DeviceInfo& info = tier->backend->info();
  const bool slots = options_.checksums && !info.runs_host_kernels && !info.shape_only;
  checksum_slots_.push_back(slots ? std::make_unique<ChecksumSlots>(*tier) : nullptr);
  tiers_.push_back(std::move(tier));
  const bool plans = device.target_peak > 0 && options_.mode != OffloadMode::kNaive;
  watches_.push_back(plans ? std::make_unique<PeakWatch>(device.device, device.target_peak) : nullptr);
  return OkStatus();
}

SavedStore::~SavedStore() {
  {
    Locked lock(*this);
    table_ = StorageTable();
  }
  (void)Drain(DeadlineIn(options_.shutdown_deadline_ns));
}

void SavedStore::RunDeferred() { deferred_.Run(); }

StatusOr<DeviceTier*> SavedStore::FindTier(int device) const {
  for (const auto& tier : tiers_) {
    if (tier->options.device == device) return tier.get();
  }
  return InvalidArgumentError("device " + std::to_string(device) + " is not among the runtime's devices");
}

StatusOr<StorageId> SavedStore::Register(void* data, std::uint64_t bytes, int device, Holds holds,
                                         std::string_view label) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(device));
  if (data == nullptr && bytes > 0) {
    return InvalidArgumentError("register '" + std::string(label) + "': no address for " + FormatBytes(bytes));
  }
  Storage storage;
  storage.bytes = bytes;
  storage.device = device;
  storage.holds = holds;
  storage.adopted = true;
  storage.label = label;
  storage.trace_label = recorder_ != nullptr ? recorder_->Intern(label) : 0;
  Locked lock(*this);
  Poll();
  storage.buffer = std::make_shared<DeviceBuffer>(nullptr, *tier->keepalives, Stream{device, 0}, data, bytes);
  const std::uint32_t trace_label = storage.trace_label;
  const StorageId id = table_.Register(std::move(storage));
  owners_.Adopt(data, bytes, id, device, tier->pool->numa_node());
  trace::Write(recorder(), trace::Event::kStorageRegister, trace::Tag::kClient,
               static_cast<std::uint16_t>(static_cast<int>(holds) + 256), trace_label, id.ToInteger(), bytes);
  return id;
}

StatusOr<Allocation> SavedStore::Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label,
                                          trace::Tag tag, std::uint64_t alignment) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(stream.device));
  TIERLIB_RETURN_IF_ERROR(CheckAlignment(alignment, label, *tier));
  Storage storage;
  storage.bytes = bytes;
  storage.device = stream.device;
  storage.holds = holds;
  storage.label = label;
  storage.trace_label = recorder_ != nullptr ? recorder_->Intern(label) : 0;
  Locked lock(*this);
  StatusOr<std::shared_ptr<DeviceBuffer>> taken =
      AllocateDevice(*tier, 0, bytes, stream, tag, /*reload=*/false, alignment);
  if (!taken.ok()) {
    tier->shortages.failures += taken.status().code() == StatusCode::kResourceExhausted ? 1 : 0;
    return taken.status();
  }
  const std::shared_ptr<DeviceBuffer> buffer = *std::move(taken);
  storage.buffer = buffer;
  Allocation allocation;
  allocation.data = buffer->data();
  const std::uint32_t trace_label = storage.trace_label;
  allocation.storage = table_.Register(std::move(storage));
  buffer->SetOwner(allocation.storage);
  trace::Write(recorder(), trace::Event::kStorageRegister, tag, static_cast<std::uint16_t>(holds), trace_label,
               allocation.storage.ToInteger(), bytes);
  return allocation;
}

Status SavedStore::Retire(StorageId id, Stream stream) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Locked lock(*this);
  TIERLIB_ASSIGN_OR_RETURN(const Storage* known, table_.Find(id));
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, known->device));
  // What may run out of memory, or fail otherwise, comes before what it changes.
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(known->device));
  if (known->unkept_readers != nullptr) TIERLIB_RETURN_IF_ERROR(tier->transfers->FlushBatchOf(id));
  if (!known->adopted) TIERLIB_RETURN_IF_ERROR(FlushBeforeNaming(*tier, stream));
  const std::vector<std::shared_ptr<Snapshot>> snapshots = SnapshotsOf({id, known->version});
  known->buffer->UsedOn(stream);
  TIERLIB_ASSIGN_OR_RETURN(Storage storage, table_.Retire(id));
  lineage_.ForgetRecomputation({id, storage.version});  // the snapshots have their own
  if (storage.adopted) owners_.Release(storage.buffer->data(), id);
  const bool gathered = tier->transfers->HasInBatch(id);
  for (const std::shared_ptr<Snapshot>& snapshot : snapshots) {
    if (gathered) snapshot->original.reset();  // they live on for the copy, and a lease on them could write them
    const bool on_own_bytes = snapshot->buffer != nullptr && snapshot->buffer->data() == storage.buffer->data();
    if (!storage.adopted) NoteHeldAlone(*snapshot);
    if (on_own_bytes) {
      if (!storage.adopted || snapshot->buffer->has_keepalive()) continue;
      LetGoUnkept(*snapshot);
    }
    if (snapshot->shared && !snapshot->abandoned) BookFreed(*snapshot, snapshot->needed.bytes());
  }
  if (storage.unkept_readers != nullptr) {  // its memory may go as soon as we return
    const std::int64_t before_ns = tier->stalls->HostBefore();
    (void)tier->transfers->AwaitCopiesOut(id);  // an error stays with the copy
    for (const Stream reader : storage.unkept_readers->Get()) {
      if (reader == stream) continue;  // the program orders the memory's next use after that one
      const MarkRef mark = tier->events->MarkOrWait(reader);
      if (mark != nullptr) (void)tier->backend->SynchronizeEvent(mark->event);
    }
    tier->stalls->HostAfter(before_ns, {id, storage.label, storage.trace_label}, trace::StallCause::kAllocation,
                            stream);
  }
  trace::Write(recorder(), trace::Event::kStorageRetire, trace::Tag::kNone, 0, storage.trace_label, id.ToInteger(),
               storage.bytes);
  return OkStatus();
}

void SavedStore::LetGoUnkept(Snapshot& snapshot) {
  const Residency state = snapshot.residence.state();
  LetGo(snapshot);
  if (state == Residency::kReplayed) {
    return snapshot.residence.MoveTo(Residency::kReplayable, snapshot.key.storage, snapshot.storage_bytes, recorder());
  }
  snapshot.abandoned = !snapshot.host_bytes.Contains(snapshot.needed);
  if (snapshot.abandoned) {
    snapshot.needed = snapshot.host_bytes;  // which others may be made from
    NoteGoneForPeak(snapshot);
  }
  if (state == Residency::kBoth) {
    snapshot.residence.MoveTo(Residency::kHost, snapshot.key.storage, snapshot.storage_bytes, recorder());
  }
}

Status SavedStore::Derive(const View& derived, const View& source, Replay told) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  auto derivation = std::make_unique<Derivation>();  // of the program in part, so it goes without the lock
  derivation->replay = std::move(told);
  const Replay& replay = derivation->replay;
  Locked lock(*this);
  TIERLIB_ASSIGN_OR_RETURN(Storage * to, table_.Find(derived.storage));
  TIERLIB_ASSIGN_OR_RETURN(Storage * from, table_.Find(source.storage));
  TIERLIB_RETURN_IF_ERROR(derived.layout.Validate(to->bytes));
  TIERLIB_RETURN_IF_ERROR(source.layout.Validate(from->bytes));
  if (derived.storage == source.storage) {
    return InvalidArgumentError("derive: " + DescribeStorage(to->id, to->label) +
                                " from itself: views of one storage need no telling");
  }
  if (to->device != from->device) {
    return InvalidArgumentError("derive: " + DescribeStorage(to->id, to->label) + " and its source " +
                                DescribeStorage(from->id, from->label) + " are on different devices");
  }
  if (replay.kind == Replay::Kind::kCopy &&
      (derived.layout.sizes != source.layout.sizes || derived.layout.dtype != source.layout.dtype)) {
    return InvalidArgumentError("derive by copy needs equal sizes and dtypes: " + derived.layout.ToString() + " from " +
                                source.layout.ToString());
  }
  if (replay.kind == Replay::Kind::kCallback && replay.function == nullptr) {
    return InvalidArgumentError(std::string("derive '") + replay.name + "': no function to call");
  }
  TIERLIB_RETURN_IF_ERROR(SeeVersion(*to, derived.version));
  TIERLIB_RETURN_IF_ERROR(SeeVersion(*from, source.version));
  std::optional<ByteRanges> derived_bytes = ByteRanges::Of(derived.layout);
  std::optional<ByteRanges> source_bytes = ByteRanges::Of(source.layout);
  if (!derived_bytes || !source_bytes || derived_bytes->empty()) return OkStatus();  // nothing that a walk could use
  trace::Write(recorder(), trace::Event::kDerive, trace::Tag::kNone, static_cast<std::uint16_t>(replay.kind),
               recorder_ != nullptr ? recorder_->Intern(replay.name) : 0, derived.storage.ToInteger(),
               source.storage.ToInteger());
  derivation->derived = {derived.storage, to->version};
  derivation->source = {source.storage, from->version};
  derivation->derived_layout = derived.layout;
  derivation->source_layout = source.layout;
  derivation->derived_bytes = *std::move(derived_bytes);
  derivation->source_bytes = *std::move(source_bytes);
  lineage_.Add(Own(std::move(derivation)));
  constexpr std::uint64_t kSweepEvery = 4096;  // for programs that never end a step
  if (++derives_since_sweep_ >= kSweepEvery) Sweep();
  return OkStatus();
}

void SavedStore::SweepLineage() {
  if (fork_.in_child()) return;
  Locked lock(*this);
  Sweep();
}

void SavedStore::Sweep() {
  derives_since_sweep_ = 0;
  lineage_.ForgetWhere([this](const ContentKey& key) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (FindSnapshot(key) != nullptr) return false;
    const StatusOr<Storage*> storage = table_.Find(key.storage);
    return !storage.ok() || (*storage)->version != key.version;
  });
}

Status SavedStore::Drain(std::int64_t deadline_ns) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Status first;
  {
    Locked lock(*this);
    for (const auto& tier : tiers_) {
      Status status = tier->transfers->Drain(deadline_ns);
      if (status.ok()) status = tier->keepalives->Drain(deadline_ns);
      if (first.ok()) first = std::move(status);
    }
    Poll();
  }
  TrimToBounds();
  return first;
}

StatusOr<Owner> SavedStore::OwnerOf(const void* address) const {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  StatusOr<Owner> owner((Owner()));  // filled in where it is
  if (!owners_.Find(address, &*owner)) return Status(StatusCode::kNotFound);
  return owner;
}

Ledger SavedStore::ledger() const {
  if (fork_.in_child()) return {};
  Locked lock(*this);
  Ledger ledger = Sum(ledger_, launched_);
  for (const auto& tier : tiers_) {
    ledger.stalls += tier->stalls->pool_waits();
    ledger.engine_out += tier->transfers->copied_bytes(CopyDirection::kDeviceToHost);
    ledger.engine_in += tier->transfers->copied_bytes(CopyDirection::kHostToDevice);
  }
  return ledger;
}

Status SavedStore::health() const {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Locked lock(*this);
  for (const auto& tier : tiers_) {
    TIERLIB_RETURN_IF_ERROR(tier->transfers->health());
    TIERLIB_RETURN_IF_ERROR(tier->backend->health());
  }
  return first_mismatch_;
}

}  // namespace tierlib
