// Runtime: owns the tiers and moves storages between them. The verbs that tierlib's autograd, a foreign framework and
// the C ABI all speak.
//
// Thread-safety: every member may be called from several threads at once. Callbacks (keepalives, replays, allocators)
// run on the caller's thread with no lock held. Handles (Saved, Loaded) share the runtime's core and may outlive the
// Runtime. Nothing throws; there is no global state.
//
// A child made by fork() has nothing of its parent's runtime: there every function that has a status returns
// FailedPrecondition, the others do nothing (statistics() is empty), and handles may be dropped as they may elsewhere.
// It may make a runtime of its own. In the parent nothing changes. Pinned memory and device memory must not be read in
// the child: the first is not there, of the second there may be old bytes.
//
// Streams are of the storage's device (InvalidArgument otherwise). tierlib/stream.h says how long they must live.
#ifndef TIERLIB_RUNTIME_H_
#define TIERLIB_RUNTIME_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tierlib/captured_step.h"
#include "tierlib/options.h"
#include "tierlib/owner.h"
#include "tierlib/placement.h"
#include "tierlib/recompute.h"
#include "tierlib/replay.h"
#include "tierlib/saved.h"
#include "tierlib/shortage.h"
#include "tierlib/statistics.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"
#include "tierlib/stream.h"
#include "tierlib/tier.h"
#include "tierlib/view.h"

namespace tierlib {

namespace internal {
class Core;
}  // namespace internal

class Runtime {
 public:
  // InvalidArgument names an option that cannot hold ("pinned_limit 64 GiB asked, the cgroup leaves 41 GiB",
  // "file_directory /scratch: no file can be made there: Permission denied");
  // Unimplemented where a CUDA device is asked of a build or machine without one; NotFound or PermissionDenied for the
  // trace's path.
  static StatusOr<std::unique_ptr<Runtime>> Create(Options options);
  // Waits for copies in flight, at most options.shutdown_deadline_ns.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // --- Storages -----------------------------------------------------------------------------------------------------
  // Adopts `bytes` bytes of device memory at `data`, which stays the caller's: tierlib never frees it. The label
  // appears in traces and messages. REQUIRES: the memory stays valid until Retire returned and every keepalive given to
  // Pack for it was dropped.
  StatusOr<StorageId> Register(void* data, std::uint64_t bytes, int device, Holds holds, std::string_view label);

  // Takes `bytes` from tierlib's pool, ready for work enqueued on `stream` from now on. Where the device is full it
  // first moves saved storages to the host (policy kFit), and waits for what is about to end: the same call right after
  // one that failed fails too. ResourceExhausted says what was asked, what is free, who holds the most, and what would
  // have been enough (LastShortage). The memory is given back after Retire and after the last Saved or Loaded that
  // needs it.
  //
  // The address is a multiple of the device's own alignment (256 bytes), and of `alignment`: a power of two, up to what
  // the device's memory begins at, which is 2 MiB for one that maps memory (kVirtualMemory), 4 KiB for an emulated one,
  // and 256 bytes for others, with kMallocAsync and in captures; InvalidArgument otherwise, naming both. Where a saved
  // value is unpacked its bytes lie at the device's own alignment alone.
  StatusOr<Allocation> Allocate(std::uint64_t bytes, Holds holds, Stream stream, std::string_view label,
                                std::uint64_t alignment = 1);

  // The caller is done with the storage: for an adopted one it will reuse or free the memory, for an allocated one the
  // bytes go back to the pool after the work enqueued on `stream`. Saved values of it stay valid. FailedPrecondition
  // for an id that is not registered (any more). Memory that was packed without a keepalive may go once this returned:
  // it waits for the copies out, and for the work of streams other than `stream` that reads the memory through tierlib.
  Status Retire(StorageId storage, Stream stream);

  // Announces that the next work on `stream` writes to the storage, through whatever view; raises its version. Where a
  // copy out of it is in flight: FailedPrecondition naming both, or, with options.write_waits, `stream` waits for the
  // copy. For copies and replays of values that were dropped since, it always waits.
  Status BeginWrite(StorageId storage, Stream stream);

  // Tells that `derived` was made from `source` and can be made again to the same bits, for as long as neither is
  // written. Where a write to the source is announced, `derived` is made again before it; where one is only seen in a
  // version, `derived` may be lost (FailedPrecondition of Unpack, naming the source). kCopy needs equal sizes and
  // dtypes. The two must be of different storages: views of one storage need no telling.
  Status Derive(const View& derived, const View& source, Replay replay);

  // Tells that the program can compute `value` again to the same bits (tierlib/recompute.h). In mode kMarshal a value
  // of those bytes that is packed from now on, or is kept until memory is short, is then computed again by Unpack
  // rather than copied: where `recompute.always` says so, where that costs less than the copies, and where the host has
  // no room for one. Only as a whole: bytes of the content that are on the host, or kept for other values already, stay
  // what they are, and a value that is computed again serves all values within it, so that each byte has one owner.
  // Nothing is told of what it is computed from: that it is still there is the program's concern. As for other values
  // Unpack is FailedPrecondition after a write to `value`. Told again, the later telling counts for what is not
  // to be computed again yet. InvalidArgument without a function.
  Status Recomputes(const View& value, Recompute recompute);

  // --- Saved values -------------------------------------------------------------------------------------------------
  // Hands a value to the runtime until backward needs it. Returns at once; copies run beside compute, ordered after the
  // work enqueued on `stream` so far. `keepalive` holds the caller's reference on an adopted storage's memory (null for
  // an allocated one); it is dropped after the copies, and after the work of streams other than `stream`, that read the
  // memory. Work on `stream` may still be pending then, as where a program frees a tensor: the memory's next use is
  // ordered after it by the program's own allocator. Undefined or empty values round-trip without bytes.
  //
  // Where view.version is newer than the last that was seen, values packed before are as if BeginWrite had announced a
  // write, and this one is another content. Programs may announce some writes, and count all or only the others.
  StatusOr<Saved> Pack(const View& view, Keepalive keepalive, Stream stream, std::string_view label);

  // Takes a value back. Only `stream` waits for a copy in. May be called more than once for a Saved. FailedPrecondition
  // names storage and versions where it was written since Pack; DataLoss where its copy failed, or a checksum is not
  // that of what was packed (Options::checksums, Options::file_directory); ResourceExhausted as Allocate.
  //
  // `version` is the program's version of the storage now, for a value that was packed with View::version
  // (InvalidArgument otherwise). FailedPrecondition names both where they differ: the bytes may have been written while
  // they were copied. Writes by work that comes after that of `stream` so far tear no copy that the result is made of.
  // A value that is made again from another (Derive) is as good as that one: a write to its source that was neither
  // announced nor seen in a version by now is noticed with Options::checksums alone.
  StatusOr<Loaded> Unpack(const Saved& saved, Stream stream, std::optional<std::uint64_t> version = std::nullopt);

  // Asks for `bytes` of device memory back: moves saved storages to the host. Returns the bytes that are given back
  // once the copies in flight end; fewer than asked where nothing more may move.
  StatusOr<std::uint64_t> Reclaim(int device, std::uint64_t bytes);

  // Gives memory of the tier that is not in use back to the system (Options::cached_limit says what is kept otherwise),
  // over all devices, until `bytes` or more went or nothing more may go: whole pieces, as they were taken, and never a
  // part of a huge page. Waits for work that may still use it. Returns the bytes that went.
  StatusOr<std::uint64_t> Trim(Tier tier, std::uint64_t bytes);

  // --- Steps --------------------------------------------------------------------------------------------------------
  // Mark the phases of a training step, for the ledger and the trace.
  void BeginStep(std::uint64_t step);
  void BeginBackward();
  void EndStep();

  // --- Captured steps (tierlib/captured_step.h) ---------------------------------------------------------------------
  // Begins a capture and returns its streams, new ones, on which the step goes to the device and to the verbs:
  // Allocate, Retire, BeginWrite, Pack and Unpack (and Derive and Recomputes of what was allocated so) become a part of
  // it. No work of it runs before Launch, no event is asked for, and no memory of the host and no stream is made. Other
  // streams and other threads go on as ever. Streams that the program brings into the capture by events of its own must
  // not be named to the runtime until it ends.
  //
  // Within a capture storages of the runtime stay on the device, as the graph uses them (Ledger::frees_nothing), and
  // live until it is gone; a BeginWrite of one is announced again by each Launch. The runtime knows those alone that a
  // verb of the capture named: those that kernels alone use are to be named too, by Pack where they are read and by
  // BeginWrite where they are written, or launches are ordered neither with copies of them nor with their other uses.
  // Programs that count versions (View::version) call BeginWrite in captures all the same: launches raise no count of
  // theirs. Derive and Recomputes of a storage that a capture under way has written are of that capture, and
  // BeginBackward is of those that its thread began. What was allocated in the capture need not be retired: what is not
  // has its bytes until the next launch. Keepalives are dropped with the graph. No copy is known to have ended, so that
  // a BeginWrite of what is moved is refused, or waits. What was packed in a capture can be unpacked in it alone, and
  // the reverse. Copies do not wait for each other (coalesce_bytes), and there is no plan (target_peak). Traces have
  // neither what is captured nor the launches.
  //
  // Unimplemented with Options::checksums; InvalidArgument for options that cannot hold; ResourceExhausted as Allocate.
  StatusOr<std::vector<Stream>> BeginCapture(int device, const CaptureOptions& options);
  // `stream`: the first that BeginCapture returned. FailedPrecondition where that has no capture, or where a stream
  // that the program brought into it was not waited for, or where the capture would have had to wait for work that runs
  // only when it is launched; then nothing is left of it.
  StatusOr<CapturedStep> EndCapture(Stream stream);
  // Enqueues the step: after the work of `stream` so far and after its launches before, and before later work of
  // `stream`. An error of a write that the step announces (BeginWrite) comes before anything of it is enqueued:
  // FailedPrecondition names a storage that the step writes and that was retired since, as saved values of it may be
  // what would be written over. InvalidArgument for a step of another runtime.
  Status Launch(const CapturedStep& step, Stream stream);

  // --- Streams and figures ------------------------------------------------------------------------------------------
  // A stream of the device for programs that have none of their own. Lives as long as the runtime's core.
  StatusOr<Stream> CreateStream(int device, std::string_view name);
  // Blocks until the work enqueued on `stream` has ended.
  Status Synchronize(Stream stream);
  // Waits until no copy of the runtime is in flight and drops the keepalives that are due.
  Status Drain();

  // Asks the kernel on which NUMA node each page of the device's pinned memory is. Takes a while for large tiers.
  // Unimplemented where the kernel does not tell.
  StatusOr<Placement> VerifyPlacement(int device) const;

  // Who has `address`, wherever in a block it lies (tierlib/owner.h). NotFound, without a message, where neither a pool
  // of this runtime nor a registered storage has it. Lock-free for an address in a pool.
  StatusOr<Owner> OwnerOf(const void* address) const;

  // Empty where the host has no memory for them; so are the two that follow.
  Statistics statistics() const;
  // Which storages were waited for in steps, on the device: by label, in the order of labels. Of more than 1024 labels
  // the later ones are together in "(other)". Empty for a device that the options do not have.
  std::vector<StorageStalls> StallsByStorage(int device) const;
  // Why the device last had no memory for a request, which is what the message of the ResourceExhausted said; nullopt
  // where it always had. Of a host tier: why the device's pool there had no room for a block, as the tier was then;
  // what was saved went on to the next tier, or stayed on the device. Made for the first request that is refused, and
  // for smaller ones after it, until the tier has room for as much again.
  std::optional<Shortage> LastShortage(int device, Tier tier = Tier::kDevice) const;
  // OK, or the first late error (a failed copy, a lost device) that no call could return.
  Status health() const;
  const Options& options() const;

  // For tierlib's own layers.
  const std::shared_ptr<internal::Core>& core() const { return core_; }

 private:
  explicit Runtime(std::shared_ptr<internal::Core> core);
  std::shared_ptr<internal::Core> core_;
};

}  // namespace tierlib

#endif  // TIERLIB_RUNTIME_H_
