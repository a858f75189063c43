// SavedStore: the storages of a runtime and the values saved of them. Everything that a verb of the Runtime does
// happens here:
//
//   storages.cc         register, allocate, retire, derive
//   tiers.cc            what the tiers hold, and giving back what they do not use
//   overwrite.cc        begin-write: what a write does to the values saved before it
//   versions.cc         the program's own versions, and what a write does that only they tell of
//   verify.cc           checksums of saved bytes: taken at pack, compared before a copy in
//   snapshots.cc        what is held of each content, and on the device
//   pack.cc             take a value: decide (offload_policy), copy it out
//   booking.cc          what became of its bytes, in the ledger and in the trace
//   unpack.cc           give it back: from the device, by a copy in, or by replaying a recipe
//   take_back.cc        have the device bytes that a value had before, where nobody else has had their memory
//   replay.cc           find a recipe, and run it
//   recompute.cc        values that the program computes again by itself
//   prefetch.cc         bring values back before they are asked for
//   peaks.cc            note what the device holds, for the plan of the next step
//   captures.cc         the store of a captured step, and what it shares with that of its runtime
//   short_of_memory.cc  device memory, and what is tried where there is none
//   make_room.cc        give the device bytes of saved values up
//   explain_shortage.cc say why there was none
//
// Thread-safety: all public functions lock the one mutex of the store. A program's callbacks (replays, recomputes,
// allocators, keepalives) run on the caller's thread after the mutex was released.
#ifndef TIERLIB_SRC_GRAPH_SAVED_STORE_H_
#define TIERLIB_SRC_GRAPH_SAVED_STORE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "base/fork_mark.h"
#include "base/mutex.h"
#include "graph/checksum_slots.h"
#include "graph/lineage.h"
#include "graph/offload_policy.h"
#include "graph/peak_watch.h"
#include "graph/reload_order.h"
#include "graph/room_request.h"
#include "graph/snapshot.h"
#include "storage/device_tier.h"
#include "storage/owner_index.h"
#include "storage/storage_table.h"
#include "tierlib/options.h"
#include "tierlib/recompute.h"
#include "tierlib/replay.h"
#include "tierlib/saved.h"
#include "tierlib/shortage.h"
#include "tierlib/statistics.h"
#include "trace/recorder.h"

namespace tierlib {

class SavedStore;

namespace internal {

// What a Saved points to.
class SavedValue {
 public:
  ~SavedValue();
  std::shared_ptr<SavedStore> store;
  std::shared_ptr<Snapshot> snapshot;  // null: a value without bytes
  Layout layout;
  std::optional<std::uint64_t> version;  // the program's, where it was packed with one
};

// What a Loaded points to.
class LoadedValue {
 public:
  ~LoadedValue();
  std::shared_ptr<SavedStore> store;
  std::shared_ptr<DeviceBuffer> buffer;  // null: a value without bytes
  Layout layout;
  StorageId storage;
  int device = 0;
};

}  // namespace internal

// InvalidArgument where the stream is not of the device that has the bytes: nothing here could order their memory's
// next use after its work.
Status CheckStream(Stream stream, int device);

class SavedStore : public std::enable_shared_from_this<SavedStore> {
 public:
  // Opens the trace, or gives null where there is none. Called once the devices are there, so that a run that cannot
  // begin leaves an earlier trace as it was.
  using OpenRecorder = absl::FunctionRef<StatusOr<std::unique_ptr<trace::Recorder>>()>;
  static StatusOr<std::shared_ptr<SavedStore>> Create(const Options& options, OpenRecorder open_recorder);
  // The store of a step that is captured on `device` (storage/capture_device.h): over memory that is there already, and
  // with storages whose slots are numbered from `first_slot` on.
  static StatusOr<std::shared_ptr<SavedStore>> CreateForCapture(const Options& options,
                                                                std::unique_ptr<DeviceBackend> device,
                                                                DeviceTier::GivenMemory memory,
                                                                std::uint32_t first_slot);
  ~SavedStore();

  // The verbs, as in tierlib/runtime.h.
  StatusOr<StorageId> Register(void* data, std::uint64_t bytes, int device, Holds holds, std::string_view label);
  // `tag` says what the trace books the bytes under.
  StatusOr<Allocation> Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label, trace::Tag tag,
                                std::uint64_t alignment = 1);
  StatusOr<Allocation> Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label,
                                std::uint64_t alignment = 1) {
    return Allocate(bytes, holds, stream, label,
                    holds == Holds::kPersistent ? trace::Tag::kParameter : trace::Tag::kActivation, alignment);
  }
  Status Retire(StorageId id, Stream stream);
  Status BeginWrite(StorageId id, Stream stream);
  Status Derive(const View& derived, const View& source, Replay replay);
  Status Recomputes(const View& value, Recompute recompute);
  StatusOr<Saved> Pack(const View& view, Keepalive keepalive, Stream stream, std::string_view label);
  StatusOr<Loaded> Unpack(const Saved& saved, Stream stream, std::optional<std::uint64_t> version);
  StatusOr<std::uint64_t> Reclaim(int device, std::uint64_t bytes);
  StatusOr<Owner> OwnerOf(const void* address) const;  // does not lock the store
  std::uint64_t Trim(Tier tier, std::uint64_t bytes);

  // Gives back what the tiers keep beyond the options' bounds. Waits for nothing.
  void TrimToBounds();

  // What a captured step has of a storage of ours; FailedPrecondition where there is none.
  struct Lent {
    void* data = nullptr;
    std::uint64_t bytes = 0;
    int device = 0;
    std::string label;
    std::shared_ptr<DeviceBuffer> buffer;
  };
  StatusOr<Lent> Lend(StorageId id);
  bool Has(StorageId id);
  // A captured step was launched on `stream`: books it, and work of that stream uses the storages, those of them that
  // are still there.
  void NoteLaunch(const Ledger& booked, absl::Span<const StorageId> uses, Stream stream);
  const Options& options() const { return options_; }
  bool is_captured() const { return is_captured_; }

  // Waits for copies in flight until the clock reaches `deadline_ns`, then drops what they kept.
  Status Drain(std::int64_t deadline_ns);
  // Forgets lineage of contents that nothing holds any more.
  void SweepLineage();
  // Forgets all of it, as the runtime goes and nothing more is packed: the program's functions may hold handles, which
  // hold us.
  void ForgetLineage();

  // Phases of a step, for the ledger of time, and for prefetching.
  void BeginStep(std::uint64_t number);
  void BeginBackward();
  void EndStep();
  // The ledger takes the time of the stream. REQUIRES: it lives as long as its device.
  void Follow(Stream stream);

  Ledger ledger() const;
  std::vector<DeviceTimes> times();  // by device, in the order of the options
  std::vector<StorageStalls> StallsByStorage(int device);
  std::vector<PeakStatistics> peaks() const;
  void FillTierStatistics(Statistics& statistics) const;
  Shortages shortages() const;
  std::optional<Shortage> LastShortage(int device, Tier tier = Tier::kDevice) const;
  Status health() const;
  // In a child made by fork every verb is FailedPrecondition, before it takes a lock, and the others do nothing.
  const ForkMark& fork() const { return fork_; }
  // InvalidArgument names a device that the options do not have.
  StatusOr<DeviceTier*> FindTier(int device) const;
  trace::Recorder* recorder() const { return recorder_.get(); }
  // Later work of `stream` uses the buffer, on which there is a lease.
  Status NoteUse(DeviceBuffer& buffer, Stream stream);
  // Runs a program's deleters that are due. REQUIRES: the mutex is not held.
  void RunDeferred();

 private:
  friend class internal::SavedValue;

  // Holds the mutex; on leaving releases it and runs deferred work.
  class ABSL_SCOPED_LOCKABLE Locked {
   public:
    explicit Locked(const SavedStore& store) ABSL_EXCLUSIVE_LOCK_FUNCTION(store.mutex_) : store_(store) {
      store.mutex_.Lock();
    }
    ~Locked() ABSL_UNLOCK_FUNCTION() {
      store_.mutex_.Unlock();
      store_.deferred_.Run();
    }

   private:
    const SavedStore& store_;
  };

  SavedStore(const Options& options, std::unique_ptr<trace::Recorder> recorder, bool is_captured = false);

  Status AddTier(const DeviceOptions& device, std::unique_ptr<DeviceBackend> backend,
                 const DeviceTier::PoolSettings& settings, DeviceTier::GivenMemory given = {});

  // --- snapshots.cc ---
  std::shared_ptr<Snapshot> FindSnapshot(const ContentKey& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // All of a content, those included that no other value may find.
  std::vector<std::shared_ptr<Snapshot>> SnapshotsOf(const ContentKey& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Snapshot> NewSnapshot(const Storage& storage, bool shared) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Backward needs it earlier than thought.
  void NoteSavedAgain(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetSnapshot(Snapshot* snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropSaved(std::shared_ptr<Snapshot> snapshot);
  // Makes the snapshot hold `buffer`, which has `bytes` of the storage / hold none, and keeps the list of evictable
  // ones.
  void Hold(Snapshot& snapshot, std::shared_ptr<DeviceBuffer> buffer, ByteRanges bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetGo(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Lets go of a block that came back for earlier values and does not have `bytes`, which are needed now. Where the
  // host does not have what the earlier ones need, `buffer`, with the storage's own bytes, takes its place.
  void LetGoWithout(Snapshot& snapshot, const ByteRanges& bytes, const std::shared_ptr<DeviceBuffer>& buffer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- pack.cc ---
  // What becomes of bytes that are saved, and what they are made again from where they are.
  struct Treatment {
    PackQuestion question;
    Decision decision;
    std::vector<RecipeStep> recipe;               // where it is kReplay or kRecompute
    std::shared_ptr<Snapshot> source;             // where it is kReplay
    std::shared_ptr<const Derivation> recompute;  // null: the program can not compute them
    bool is_made_again() const { return !recipe.empty(); }
  };
  // Decides on `missing` bytes of the snapshot. `whole`: nothing else of it is on the host or kept, so it may be made
  // again. Fills in what of the question does not depend on the value.
  Treatment DecideOn(Snapshot& snapshot, PackQuestion question, const ByteRanges& missing, bool whole)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same once the host turned out to have no room.
  static void DecideWithoutHost(Treatment& treatment);
  // What the first value saved in it is called.
  void SetLabel(Snapshot& snapshot, std::string_view label) const;
  // The snapshot that a value of `bytes` is saved in: what the storage's content has, or a new one.
  std::shared_ptr<Snapshot> SnapshotFor(const Storage& storage, const ByteRanges& bytes, std::string_view label)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::shared_ptr<Snapshot>> PackMarshal(const Storage& storage, const Layout& layout,
                                                  const std::shared_ptr<DeviceBuffer>& buffer, Stream stream,
                                                  std::string_view label) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::shared_ptr<Snapshot>> PackNaive(const Storage& storage, const Layout& layout,
                                                const std::shared_ptr<DeviceBuffer>& buffer, Stream stream,
                                                std::string_view label) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(Snapshot& snapshot, const std::shared_ptr<DeviceBuffer>& buffer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Enqueues a copy of `bytes` of `buffer`, which the work up to `produced` wrote. On an error nothing has changed;
  // ResourceExhausted where the host is full.
  struct CopyTerms {
    bool at_once = true;           // or when others go too; now where the device bytes are wanted
    bool else_recomputed = false;  // what becomes of the bytes where the host is full; otherwise they stay
  };
  Status CopyOut(Snapshot& snapshot, const ByteRanges& bytes, const std::shared_ptr<DeviceBuffer>& buffer,
                 const MarkRef& produced, CopyTerms terms) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The host waits until at most `limit` bytes are on their way, on behalf of the snapshot and `stream`.
  Status AwaitLink(const Snapshot& snapshot, DeviceTier& tier, std::uint64_t limit, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether such a copy may wait for others. Its block is given back later then than the program lets it go.
  bool MayGather(const DeviceTier& tier, const DeviceBuffer& buffer) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Call before a stream is named for device bytes of ours: one of the program's own may be gone when a block is given
  // back that is gathered, so what was gathered goes now.
  Status FlushBeforeNaming(DeviceTier& tier, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same of a value's elements, in row-major order; ResourceExhausted also where the device has no room for them.
  Status CopyOutNaive(Snapshot& saved, const Layout& layout, const std::shared_ptr<DeviceBuffer>& buffer, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- booking.cc ---
  void Book(const Snapshot& snapshot, Decision decision, std::uint64_t logical, std::uint64_t decided)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was booked when it was packed is decided otherwise.
  void BookAgain(const Snapshot& snapshot, Decision decision, std::uint64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::uint64_t& CounterOf(trace::DecisionAction action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Call where the bytes are booked in the ledger, with as many.
  void RecordDecision(const Snapshot& snapshot, Decision decision, std::uint64_t bytes);
  // The program's device bytes of the snapshot's content are given back, as the host has them or they are made again.
  void BookFreed(Snapshot& snapshot, std::uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The snapshot goes: what was moved of it may have freed nothing.
  void BookDropped(const Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A copy in was enqueued; what one brought ahead goes, and nobody had asked for it.
  void BookReload(const Snapshot& snapshot, const DeviceTier& tier, std::uint64_t bytes, bool ahead)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BookInVain(const Snapshot& snapshot, std::uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whose bytes a wait is booked to.
  static StallWatch::Waited BytesOf(const Snapshot& snapshot) {
    return {snapshot.key.storage, snapshot.label, snapshot.saved_label};
  }

  // --- unpack.cc ---
  StatusOr<std::shared_ptr<DeviceBuffer>> MakeResident(const std::shared_ptr<Snapshot>& snapshot, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `ahead`: before anybody asked, so only into memory that is free.
  StatusOr<std::shared_ptr<DeviceBuffer>> Reload(Snapshot& snapshot, bool ahead) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::shared_ptr<DeviceBuffer>> ReloadPacked(Snapshot& snapshot, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `stream`, which waited for the snapshot, reads `buffer`, which it was given for it.
  static void NoteRead(const Snapshot& snapshot, DeviceBuffer& buffer, const DeviceTier& tier, Stream stream);
  // A copy in that failed is forgotten: the host still has the bytes.
  void DropFailedReload(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status WaitFor(const Snapshot& snapshot, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status CheckReadable(const Snapshot& snapshot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- take_back.cc ---
  bool TakesBack(int device) const;
  // The storage's own block, where nobody had its memory since it was given back; null otherwise.
  std::shared_ptr<DeviceBuffer> TakeBack(Snapshot& snapshot, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- prefetch.cc ---
  // The snapshot was unpacked; true for the first time.
  bool NoteAsked(Snapshot& snapshot, DeviceTier& tier) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Its device bytes came back ahead; are used; go, and where nobody used them that was in vain.
  void NotePrefetched(Snapshot& snapshot, DeviceTier& tier) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NotePrefetchUsed(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropPrefetched(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TryReloadAhead(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Brings back what is most likely asked for next.
  void PrefetchAfter(std::uint64_t pack, DeviceTier& tier) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Memory is too short for values that nobody has asked for.
  static void PausePrefetch(DeviceTier& tier);
  // Device memory for a reload on `stream`, where some is free.
  StatusOr<std::shared_ptr<DeviceBuffer>> AllocateAhead(DeviceTier& tier, std::uint64_t origin, std::uint64_t bytes,
                                                        Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- peaks.cc: all but the first do nothing for a device without a target ---
  // Of a device that has a target, where there may be a plan; otherwise null.
  PeakWatch* WatchOf(int device) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `bytes` of device memory as a pool books them.
  static std::uint64_t RoundedDevice(const DeviceTier& tier, std::uint64_t bytes);
  void NoteLive(const DeviceTier& tier) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A value of the snapshot was packed from `buffer`.
  void NotePackedForPeak(Snapshot& snapshot, const DeviceBuffer& buffer, bool movable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The program has no more use for the storage's bytes; backward asks for the snapshot; it goes.
  void NoteHeldAlone(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteAskedForPeak(Snapshot& snapshot, const DeviceTier& tier) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteGoneForPeak(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the snapshot has on the device changed.
  void CountAway(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- verify.cc ---
  // Enqueues the checksum of `bytes`; null where none is asked for. The caller adds it to the snapshot, with a mark
  // made later.
  StatusOr<std::shared_ptr<DeviceChecksum>> LaunchChecksum(const Snapshot& snapshot, const ByteRanges& bytes,
                                                           DeviceBuffer& buffer, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status LaunchLook(DeviceTier& tier, Stream stream, const ByteRanges& bytes, const DeviceBuffer& buffer,
                    const std::shared_ptr<DeviceChecksum>& checksum) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ChecksumSlots* SlotsOf(const DeviceTier& tier) const;  // null: the device runs host kernels
  void AddChecksum(Snapshot& snapshot, const ByteRanges& bytes, std::shared_ptr<DeviceChecksum> checksum, MarkRef taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The copy of a piece has ended: what is in a file gets its checksum.
  void NoteArrived(Snapshot& snapshot, HostPiece& piece) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Compares what the host has with the checksums. DataLoss where it is something else, or cannot be read: then the
  // snapshot is lost.
  Status VerifyHost(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same of what was made again in `buffer` on `stream`: of a replay's `bytes`. Waits for the stream's work.
  Status VerifyReplay(Snapshot& snapshot, const ByteRanges& bytes, const DeviceBuffer& buffer, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The host waited since then for a checksum.
  static void BookVerified(const Snapshot& snapshot, DeviceTier& tier, std::int64_t before_ns);
  Status Lose(Snapshot& snapshot, std::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- replay.cc ---
  bool IsAvailable(const ContentKey& key, const ByteRanges& bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Edges of the longest recipe that starts at, or goes on from, what this snapshot gives.
  int HopsFrom(const Snapshot& snapshot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Looks for a recipe that gives `bytes` of `snapshot`, within the limit of hops.
  bool FindRecipe(Snapshot& snapshot, const ByteRanges& bytes, std::vector<RecipeStep>* recipe,
                  std::shared_ptr<Snapshot>* source) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From now on the snapshot is made again from `source`, or from what the program knows.
  void AdoptRecipe(const std::shared_ptr<Snapshot>& snapshot, std::vector<RecipeStep> recipe,
                   std::shared_ptr<Snapshot> source) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::shared_ptr<DeviceBuffer>> RunRecipe(const std::shared_ptr<Snapshot>& snapshot, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status RunStep(const RecipeStep& step, DeviceBuffer& to, DeviceBuffer& from, DeviceTier& tier, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A step of the snapshot's recipe made so many bytes.
  void NoteMade(const Snapshot& snapshot, const RecipeStep& step, std::uint64_t bytes, bool recomputed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Remembers that work on `stream` reads the device bytes of the source's storage: a write must wait for it.
  Status NoteReplay(const Snapshot& source, DeviceTier& tier, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- recompute.cc ---
  // A program's function may own things of it whose end calls us: it goes without the lock.
  std::shared_ptr<const Derivation> Own(std::unique_ptr<Derivation>&& derivation);
  // FailedPrecondition where this thread is computing the snapshot already.
  Status RunRecompute(Snapshot& snapshot, const RecipeStep& step, DeviceBuffer& to, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- overwrite.cc ---
  Status CheckNoCopyOut(const Snapshot& snapshot, const Storage& storage) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes `stream` wait for all of ours that still reads the storage's device bytes.
  Status FenceWrite(const Storage& storage, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes those again now that could not be made from the snapshot once it is written.
  Status RescueDependents(Snapshot& snapshot, Stream stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The snapshot, which has device bytes, is from now on made from no other.
  void StandAlone(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The storage's own device bytes are about to be written, or were.
  void MarkWritten(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- versions.cc ---
  // The storage is at this version of the program's now, where it says so. FailedPrecondition where it was at a later
  // one.
  Status SeeVersion(Storage& storage, std::optional<std::uint64_t> version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same of a value's storage. FailedPrecondition where that is not the version at which the value was packed.
  Status CheckVersion(const internal::SavedValue& value, std::uint64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A content was written at some time since the program last vouched for it, which is at `version` now.
  void NoteUnannouncedWrite(const ContentKey& content, std::uint64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops what was made from the snapshot. `lost`: it cannot be made again, so those that have bytes of their own keep
  // them.
  void DropReplays(const Snapshot& snapshot, bool lost) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- storages.cc ---
  // The storage's own bytes, which nobody keeps, go: the snapshot lives on from the host, from its recipe, or not.
  void LetGoUnkept(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Sweep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Notices copies that ended and moves their snapshots on.
  void Poll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SettleArrivals(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A copy out failed of a snapshot that has its device bytes, all of them.
  void StayOnDevice(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- short_of_memory.cc ---
  // Device memory for work on `stream`, giving saved bytes up where it is short. `reload`: of a saved value, so the
  // program's allocator is asked where there is one. Where memory is short, code of the program may run meanwhile,
  // without the lock. ResourceExhausted leaves its reasons in the tier's last_shortage.
  StatusOr<std::shared_ptr<DeviceBuffer>> AllocateDevice(DeviceTier& tier, std::uint64_t origin, std::uint64_t bytes,
                                                         Stream stream, trace::Tag tag, bool reload,
                                                         std::size_t alignment = 1)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What a reload holds counts against the budget for reloads until it goes.
  std::shared_ptr<DeviceBuffer> Counted(std::unique_ptr<DeviceBuffer> reload, Stream stream)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::unique_ptr<DeviceBuffer>> TakeDevice(const RoomRequest& request, std::uint64_t origin)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One step towards room for the request, in the order of the steps; false where none is left.
  bool MakeRoom(RoomRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Runs the program's deleters that are due, without the lock; false where none were.
  bool RunDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits, without the lock, until the next piece of the program's memory is let go of that copies or readers keep.
  // False where there is none, or where that takes longer than shutting down may.
  bool AwaitKept(RoomRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For what allocates several times: memory that a failed attempt let go of may be where a further one needs it. Runs
  // `attempt` until it succeeds, or fails without any room having been made meanwhile.
  StatusOr<std::shared_ptr<DeviceBuffer>> WhileRoomIsMade(
      DeviceTier& tier, absl::FunctionRef<StatusOr<std::shared_ptr<DeviceBuffer>>()> attempt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- make_room.cc ---
  // Gives the device bytes of one saved value up; how many that frees, 0 where none may go. For a request: where its
  // tag's limit is reached, one of that tag.
  std::uint64_t EvictFor(RoomRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::uint64_t EvictNext(DeviceTier& tier, Eviction& eviction) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayGo(const Snapshot& snapshot, const DeviceTier& tier, const Eviction& eviction) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Evict(Snapshot& snapshot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- explain_shortage.cc ---
  Shortage Explain(const RoomRequest& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ForkMark fork_;
  const Options options_;
  const bool prefetches_;   // on some device
  const bool is_captured_;  // the store of a captured step
  const std::unique_ptr<trace::Recorder> recorder_;
  mutable Deferred deferred_;
  std::vector<std::unique_ptr<DeviceTier>> tiers_;  // the vector is fixed after Create
  // Of the tiers, in the same order; null where there are no checksums, or host kernels take them.
  std::vector<std::unique_ptr<ChecksumSlots>> checksum_slots_;
  OwnerIndex owners_;  // of their pools
  // Of the tiers, in the same order; null where there is no target. The vector is fixed after Create.
  std::vector<std::unique_ptr<PeakWatch>> watches_;
  mutable Mutex mutex_;
  StorageTable table_ ABSL_GUARDED_BY(mutex_);
  Lineage lineage_ ABSL_GUARDED_BY(mutex_);
  Ledger ledger_ ABSL_GUARDED_BY(mutex_);
  Ledger launched_ ABSL_GUARDED_BY(mutex_);  // by captured steps
  ReloadOrder reload_order_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ContentKey, std::weak_ptr<Snapshot>> snapshots_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ContentKey, std::vector<Snapshot*>> apart_ ABSL_GUARDED_BY(mutex_);  // those not in snapshots_
  std::map<std::uint64_t, Snapshot*> holding_
      ABSL_GUARDED_BY(mutex_);  // by pack order: those with a buffer of their own
  std::deque<std::weak_ptr<Snapshot>> leaving_ ABSL_GUARDED_BY(mutex_);  // in the order of their copies out
  std::uint64_t room_steps_ ABSL_GUARDED_BY(mutex_) = 0;                 // of MakeRoom, that did something
  std::uint64_t next_pack_ ABSL_GUARDED_BY(mutex_) = 1;
  Status first_mismatch_ ABSL_GUARDED_BY(mutex_);  // of a checksum
  std::uint64_t derives_since_sweep_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<std::uint64_t> reloaded_bytes_{0};
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_SAVED_STORE_H_
