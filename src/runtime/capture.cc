#include "runtime/capture.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "allocator/region_source.h"
#include "base/clock.h"
#include "tierlib/bytes.h"

namespace tierlib::internal {
namespace {

// The store of a capture: nothing in it may look at the device, wait on the host, or put work off.
Options OptionsInside(const Options& outside, const DeviceOptions& device, const CaptureOptions& capture) {
  Options options = outside;
  options.devices = {device};
  DeviceOptions& inside = options.devices.front();
  inside.capacity = capture.device_bytes;
  inside.backing = DeviceBacking::kVirtualMemory;
  inside.in_flight_limit = 0;
  inside.coalesce_bytes = 0;
  inside.target_peak = 0;
  inside.allocator = nullptr;
  inside.faults = nullptr;  // the device has them already
  options.pinned_limit = capture.pinned_bytes;
  options.pageable_limit = 0;
  options.file_directory.clear();
  options.tag_limits.clear();
  options.trace.clear();
  options.hardened = false;
  options.shutdown_deadline_ns = 0;
  return options;
}

// Slots of captured storages have the highest bit, so that none is taken for one of the runtime.
std::uint32_t FirstSlot(std::uint32_t number, std::uint32_t slots) {
  constexpr std::uint32_t kCaptured = std::uint32_t{1} << 31;
  return kCaptured + (number % (kCaptured / slots)) * slots;
}

}  // namespace

// What the pools of the capture's store are in, and the streams that the program has for it. The store's device owns
// it, so it goes when the capture and the last handle on a value of it have gone; until then the runtime's store is
// there.
class Capture::Memory {
 public:
  explicit Memory(std::shared_ptr<SavedStore> outside, DeviceTier& tier) : outside_(std::move(outside)), tier_(tier) {}
  ~Memory() {
    if (outside_->fork().in_child()) {
      LeaveBehind(std::move(pinned_));
      return;
    }
    pinned_.reset();
    if (device_.storage.valid()) (void)outside_->Retire(device_.storage, streams_.front());
    for (const Stream stream : streams_) {
      (void)tier_.backend->SynchronizeStream(stream);  // before others may find that it is gone
      (void)tier_.backend->DestroyStream(stream);
    }
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  Status Take(const CaptureOptions& options) {
    for (int i = 0; i < options.streams; ++i) {
      TIERLIB_ASSIGN_OR_RETURN(const Stream stream, tier_.backend->CreateStream("captured"));
      streams_.push_back(stream);
    }
    const Stream first = streams_.front();
    TIERLIB_ASSIGN_OR_RETURN(device_, outside_->Allocate(options.device_bytes, Holds::kPersistent, first,
                                                         "captured step", trace::Tag::kWorkspace));
    if (options.pinned_bytes == 0) return OkStatus();
    const StatusOr<void*> block =
        tier_.AllocateHostBlock(Tier::kPinned, options.pinned_bytes, first, trace::Tag::kSaved);
    if (block.status().code() == StatusCode::kResourceExhausted) {
      return ResourceExhaustedError("BeginCapture: pinned_bytes " + FormatBytes(options.pinned_bytes) +
                                    " asked, pinned memory has " + FormatBytes(tier_.pinned->LargestHole()) +
                                    " in one piece");
    }
    TIERLIB_RETURN_IF_ERROR(block.status());
    try {
      pinned_ = std::make_shared<HostBuffer>(*tier_.pinned, *block, options.pinned_bytes);
    } catch (const std::bad_alloc&) {
      tier_.pinned->Free(*block, {&first, 1});
      throw;
    }
    pinned_->UsedOn(first);
    return OkStatus();
  }

  const std::vector<Stream>& streams() const { return streams_; }
  Region device(std::uint64_t bytes) const {
    return {Tier::kDevice, device_.data, static_cast<std::size_t>(bytes), tier_.pool->numa_node()};
  }
  Region pinned() const {
    const std::uint64_t bytes = pinned_ == nullptr ? 0 : pinned_->bytes();
    return {Tier::kPinned, bytes == 0 ? nullptr : pinned_->data(), static_cast<std::size_t>(bytes),
            tier_.pinned->numa_node()};
  }

 private:
  const std::shared_ptr<SavedStore> outside_;
  DeviceTier& tier_;
  std::vector<Stream> streams_;
  Allocation device_;
  std::shared_ptr<HostBuffer> pinned_;
};

// --- begin and end ---------------------------------------------------------------------------------------------------

Capture::Capture(std::shared_ptr<SavedStore> outside, std::uint32_t number)
    : outside_(std::move(outside)), first_slot_(FirstSlot(number, kSlots)) {}

StatusOr<std::shared_ptr<Capture>> Capture::Begin(std::shared_ptr<SavedStore> outside, int device,
                                                  const CaptureOptions& options, std::uint32_t number) {
  TIERLIB_RETURN_IF_ERROR(outside->fork().Check());
  if (outside->options().checksums) {
    return UnimplementedError(
        "BeginCapture: Options::checksums has the host compare bytes before each copy in, which a launch does not wait "
        "for: capture with a runtime without it");
  }
  if (options.device_bytes == 0) {
    return InvalidArgumentError("BeginCapture: device_bytes is 0: what is allocated in the capture needs memory");
  }
  if (options.streams < 1) {
    return InvalidArgumentError("BeginCapture: " + std::to_string(options.streams) + " streams: 1 or more are needed");
  }
  std::shared_ptr<Capture> capture(new Capture(std::move(outside), number));
  TIERLIB_RETURN_IF_ERROR(capture->TakeMemory(device, options));
  TIERLIB_RETURN_IF_ERROR(capture->MakeStore(device, options));
  TIERLIB_RETURN_IF_ERROR(capture->tier_->backend->BeginCapture(capture->streams_.front()));
  capture->began_ = true;
  TIERLIB_RETURN_IF_ERROR(capture->Fork());
  return capture;
}

Status Capture::TakeMemory(int device, const CaptureOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(tier_, outside_->FindTier(device));
  memory_ = std::make_shared<Memory>(outside_, *tier_);
  TIERLIB_RETURN_IF_ERROR(memory_->Take(options));
  streams_ = memory_->streams();
  TIERLIB_ASSIGN_OR_RETURN(ready_, tier_->events->MarkNow(streams_.front()));
  return OkStatus();
}

Status Capture::MakeStore(int device, const CaptureOptions& options) {
  const auto& devices = outside_->options().devices;
  const auto of = std::find_if(devices.begin(), devices.end(),
                               [device](const DeviceOptions& each) { return each.device == device; });
  auto inside = std::make_unique<CaptureDevice>(*tier_->backend, options.device_bytes, memory_);
  CaptureDevice* const of_store = inside.get();
  DeviceTier::GivenMemory memory;
  memory.device = MakeRegionSource(memory_->device(options.device_bytes), *inside);
  memory.pinned = MakeRegionSource(memory_->pinned(), *inside);
  StatusOr<std::shared_ptr<SavedStore>> made = SavedStore::CreateForCapture(
      OptionsInside(outside_->options(), *of, options), std::move(inside), std::move(memory), first_slot_);
  TIERLIB_RETURN_IF_ERROR(made.status());
  store_ = *std::move(made);
  device_ = of_store;
  return OkStatus();
}

// Every stream of the capture is in it from the start, so that nothing of it runs outside the graph.
Status Capture::Fork() {
  const Stream first = streams_.front();
  TIERLIB_ASSIGN_OR_RETURN(const MarkRef begin, tier_->events->MarkNow(first));
  for (const Stream stream : streams_) TIERLIB_RETURN_IF_ERROR(tier_->events->WaitOn(stream, *begin));
  for (const Stream stream : device_->streams()) TIERLIB_RETURN_IF_ERROR(tier_->events->WaitOn(stream, *begin));
  return OkStatus();
}

Status Capture::Join() {
  std::vector<Stream> others = device_->streams();
  others.insert(others.end(), streams_.begin() + 1, streams_.end());
  for (const Stream stream : others) {
    TIERLIB_ASSIGN_OR_RETURN(const MarkRef end, tier_->events->MarkNow(stream));
    TIERLIB_RETURN_IF_ERROR(tier_->events->WaitOn(streams_.front(), *end));
  }
  return OkStatus();
}

// Ends the device's capture once, whatever of the rest has no memory of the host.
Status Capture::End() {
  began_ = false;
  Status joined;
  try {
    joined = Join();
  } catch (const std::bad_alloc&) {  // the device ends it all the same
    joined = Status(StatusCode::kResourceExhausted);
  }
  device_->End();
  const StatusOr<GraphId> graph = tier_->backend->EndCapture(streams_.front());
  if (graph.ok()) graph_ = *graph;
  store_->ForgetLineage();  // nothing more is packed, and the program's functions may hold handles, which hold us
  TIERLIB_RETURN_IF_ERROR(joined);
  TIERLIB_RETURN_IF_ERROR(graph.status());
  if (device_->spoilt()) {
    return FailedPreconditionError(
        "EndCapture: a wait of the host was needed in the capture, whose work runs only when it is launched: a call of "
        "the device had failed before");
  }
  statistics_.launch = store_->ledger();
  Statistics tiers;
  store_->FillTierStatistics(tiers);
  // BeginCapture refuses 0, which is what a step that takes nothing needs.
  statistics_.device_bytes = std::max<std::uint64_t>(tiers.device.extent_peak, tier_->backend->info().alignment);
  statistics_.pinned_bytes = tiers.pinned.extent_peak;
  statistics_.fallbacks = tiers.fallbacks;
  return OkStatus();
}

Capture::~Capture() {
  if (fork_.in_child()) {
    LeaveBehind(std::move(memory_));
    LeaveBehind(std::move(store_));
    LeaveBehind(std::move(ready_));
    LeaveBehind(std::move(lent_));
    LeaveBehind(std::move(keeps_));
    return;
  }
  // Without memory of the host some of what it kept goes with the store.
  try {
    if (began_) (void)End();
  } catch (const std::bad_alloc&) {
  }
  try {
    if (graph_ != 0) (void)tier_->backend->DestroyGraph(graph_);
  } catch (const std::bad_alloc&) {
  }
  if (device_ == nullptr) return;
  device_->Over();
  try {
    (void)store_->Drain(NowNs());  // lets go of what it kept for the launches
  } catch (const std::bad_alloc&) {
  }
}

CapturedStatistics Capture::statistics() const { return statistics_; }

// --- launch ----------------------------------------------------------------------------------------------------------

Status Capture::Launch(Stream stream) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  if (graph_ == 0) return FailedPreconditionError("Launch: the capture of this step has not ended, or failed");
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, tier_->options.device));
  if (tier_->backend->InCapture(stream)) {
    return FailedPreconditionError("Launch: stream " + std::to_string(stream.handle) + " is in a capture");
  }
  std::vector<StorageId> uses;
  std::vector<std::pair<StorageId, std::string>> writes;  // with their labels
  {
    MutexLock lock(mutex_);
    for (const auto& [id, lent] : lent_) {
      uses.push_back(id);
      if (lent.written) writes.emplace_back(id, lent.label);
    }
  }
  const auto by_number = [](StorageId a, StorageId b) { return a.ToInteger() < b.ToInteger(); };
  std::sort(uses.begin(), uses.end(), by_number);  // which comes first does not depend on the hash
  std::sort(writes.begin(), writes.end(), [&](const auto& a, const auto& b) { return by_number(a.first, b.first); });
  for (const auto& [id, label] : writes) {
    // Its memory is kept, but nobody can be told of the write: saved values that are still in it would be lost.
    if (!outside_->Has(id)) {
      return FailedPreconditionError("Launch: the step writes " + DescribeStorage(id, label) +
                                     ", which was retired since it was captured");
    }
  }
  for (const auto& [id, label] : writes) TIERLIB_RETURN_IF_ERROR(outside_->BeginWrite(id, stream));
  TIERLIB_RETURN_IF_ERROR(tier_->events->WaitOn(stream, *ready_));
  TIERLIB_RETURN_IF_ERROR(tier_->backend->LaunchGraph(graph_, stream));
  outside_->NoteLaunch(statistics_.launch, uses, stream);
  return OkStatus();
}

// --- the verbs -------------------------------------------------------------------------------------------------------

StatusOr<StorageId> Capture::Inside(StorageId id) {
  if (Owns(id)) return id;
  {
    MutexLock lock(mutex_);
    const auto found = lent_.find(id);
    if (found != lent_.end()) return StorageId(found->second.inside);
  }
  // Without the lock: the stores run code of the program.
  TIERLIB_ASSIGN_OR_RETURN(SavedStore::Lent lent, outside_->Lend(id));
  if (lent.device != tier_->options.device) {
    return InvalidArgumentError(DescribeStorage(id, lent.label) + " is on device " + std::to_string(lent.device) +
                                ", and the capture is of device " + std::to_string(tier_->options.device));
  }
  TIERLIB_ASSIGN_OR_RETURN(const StorageId inside, store_->Register(lent.data, lent.bytes, tier_->options.device,
                                                                    Holds::kPersistent, lent.label));
  StorageId first;  // another thread may have been faster
  {
    MutexLock lock(mutex_);
    first = lent_.try_emplace(id, Lent{inside, std::move(lent.buffer), lent.label}).first->second.inside;
  }
  if (first != inside) (void)store_->Retire(inside, streams_.front());
  return first;
}

bool Capture::Writes(StorageId id) const {
  MutexLock lock(mutex_);
  const auto found = lent_.find(id);
  return found != lent_.end() && found->second.written;
}

StatusOr<View> Capture::Inside(const View& view) {
  View inside = view;
  TIERLIB_ASSIGN_OR_RETURN(inside.storage, Inside(view.storage));
  return inside;
}

StatusOr<Allocation> Capture::Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label,
                                       std::uint64_t alignment) {
  return store_->Allocate(bytes, holds, stream, label, alignment);
}

Status Capture::Retire(StorageId id, Stream stream) {
  if (Owns(id)) return store_->Retire(id, stream);
  return FailedPreconditionError(
      DescribeStorage(id, "") + " is not of the capture, whose launches use it: retire it on another stream, after it");
}

Status Capture::BeginWrite(StorageId id, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(const StorageId inside, Inside(id));
  TIERLIB_RETURN_IF_ERROR(store_->BeginWrite(inside, stream));
  if (Owns(id)) return OkStatus();
  MutexLock lock(mutex_);
  lent_[id].written = true;
  return OkStatus();
}

Status Capture::Derive(const View& derived, const View& source, Replay replay) {
  TIERLIB_ASSIGN_OR_RETURN(const View to, Inside(derived));
  TIERLIB_ASSIGN_OR_RETURN(const View from, Inside(source));
  return store_->Derive(to, from, std::move(replay));
}

Status Capture::Recomputes(const View& value, Recompute recompute) {
  TIERLIB_ASSIGN_OR_RETURN(const View inside, Inside(value));
  return store_->Recomputes(inside, std::move(recompute));
}

StatusOr<Saved> Capture::Pack(const View& view, Keepalive keepalive, Stream stream, std::string_view label) {
  TIERLIB_ASSIGN_OR_RETURN(const View inside, Inside(view));
  if (Owns(view.storage)) return store_->Pack(inside, std::move(keepalive), stream, label);
  std::shared_ptr<DeviceBuffer> buffer;
  {
    MutexLock lock(mutex_);
    buffer = lent_[view.storage].buffer;
    if (keepalive != nullptr) keeps_.push_back(std::move(keepalive));  // each launch reads the memory
  }
  return store_->Pack(inside, std::move(buffer), stream, label);
}

StatusOr<Loaded> Capture::Unpack(const Saved& saved, Stream stream, std::optional<std::uint64_t> version) {
  if (saved.valid() && saved.value()->store != store_) {
    return FailedPreconditionError(
        "unpack in a capture of a value that was not packed in it: each launch would need it");
  }
  return store_->Unpack(saved, stream, version);
}

// --- those under way -------------------------------------------------------------------------------------------------

StatusOr<std::shared_ptr<Capture>> Captures::Begin(std::shared_ptr<SavedStore> outside, int device,
                                                   const CaptureOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<Capture> capture,
                           Capture::Begin(std::move(outside), device, options, next_.fetch_add(1)));
  MutexLock lock(mutex_);
  captures_.push_back(capture);
  count_.fetch_add(1, std::memory_order_release);
  return capture;
}

StatusOr<std::shared_ptr<Capture>> Captures::Take(Stream stream) {
  MutexLock lock(mutex_);
  const auto found = std::find_if(captures_.begin(), captures_.end(),
                                  [stream](const auto& capture) { return capture->streams().front() == stream; });
  if (found == captures_.end()) {
    return FailedPreconditionError("EndCapture: stream " + std::to_string(stream.handle) +
                                   " is not the first that a BeginCapture under way returned");
  }
  std::shared_ptr<Capture> capture = std::move(*found);
  captures_.erase(found);
  count_.fetch_sub(1, std::memory_order_release);
  return capture;
}

StatusOr<std::shared_ptr<Capture>> Captures::Find(Stream stream, SavedStore& outside) const {
  if (count_.load(std::memory_order_acquire) == 0) return std::shared_ptr<Capture>();
  {
    MutexLock lock(mutex_);
    for (const auto& capture : captures_) {
      const auto& streams = capture->streams();
      if (std::find(streams.begin(), streams.end(), stream) != streams.end()) return std::shared_ptr<Capture>(capture);
    }
  }
  const StatusOr<DeviceTier*> tier = outside.FindTier(stream.device);
  if (tier.ok() && (*tier)->backend->InCapture(stream)) {
    return FailedPreconditionError("stream " + std::to_string(stream.handle) +
                                   " joined a capture: name one of those that BeginCapture returned");
  }
  return std::shared_ptr<Capture>();
}

std::shared_ptr<Capture> Captures::Find(StorageId id) const {
  if (count_.load(std::memory_order_acquire) == 0) return nullptr;
  MutexLock lock(mutex_);
  for (const auto& capture : captures_) {
    if (capture->Owns(id) || capture->Writes(id)) return capture;
  }
  return nullptr;
}

std::vector<std::shared_ptr<Capture>> Captures::All() const {
  if (count_.load(std::memory_order_acquire) == 0) return {};
  MutexLock lock(mutex_);
  return captures_;
}

}  // namespace tierlib::internal

namespace tierlib {

CapturedStatistics CapturedStep::statistics() const { return capture_->statistics(); }

}  // namespace tierlib
