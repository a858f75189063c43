// The device contract: what tierlib needs of a device, over pointers, sizes and ids. One implementation per kind of
// device (emulated/, cuda/); tests/allocator/device_contract_test.cc is run over every one of them.
//
// To add a kind of device: one file against this header, one line in the contract test.
//
// Thread-safety: every function may be called from several threads. Work of one stream runs in the order it was
// enqueued.
#ifndef TIERLIB_SRC_ALLOCATOR_DEVICE_BACKEND_H_
#define TIERLIB_SRC_ALLOCATOR_DEVICE_BACKEND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "allocator/kernel_context.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib {

enum class CopyDirection : std::uint8_t { kDeviceToHost, kHostToDevice, kDeviceToDevice };

// One contiguous piece of a copy. Source and destination do not overlap.
struct CopyRun {
  void* destination = nullptr;
  const void* source = nullptr;
  std::size_t bytes = 0;
};

// Bytes that a kernel reads or writes. The emulated device checks them against copies in progress when strict.
struct Access {
  const void* begin = nullptr;
  std::size_t bytes = 0;
  bool writes = false;
};

// A kernel that the host executes in stream order (emulated devices). `run` must not call a device or a pool, and must
// own nothing whose destruction does: it runs and dies wherever the device pleases, also inside a caller's call.
struct HostKernel {
  const char* name = "";  // a string literal
  absl::InlinedVector<Access, 6> accesses;
  std::function<void(KernelContext&)> run;
};

using EventId = std::uint64_t;  // 0 is no event
using GraphId = std::uint64_t;  // 0 is no graph

struct DeviceInfo {
  std::string name;                  // "emulated:0", "NVIDIA H100 ..."
  int device = 0;                    // number among the devices of a Runtime
  std::uint64_t capacity = 0;        // bytes that Reserve hands out in all
  std::size_t alignment = 256;       // of every block
  std::size_t granularity = 1;       // Reserve's sizes are multiples of it
  std::size_t base_alignment = 256;  // of the address range that Reserve hands out from; a power of two
  int numa_node = -1;                // the node of the host that it is at; -1: not known
  bool notes_blocks = false;         // NoteBlock does something
  bool reserves_at = false;          // it has ReserveAt
  bool runs_host_kernels = false;
  bool shape_only = false;  // no bytes behind addresses; events are complete when recorded
};

class DeviceBackend {
 public:
  virtual ~DeviceBackend() = default;

  virtual const DeviceInfo& info() const = 0;

  // --- Memory -------------------------------------------------------------------------------------------------------
  // `bytes` (a multiple of granularity, not zero) of device memory. Consecutive calls may return adjacent ranges, which
  // the caller may then treat as one. ResourceExhausted, without a message, where the capacity does not hold them.
  virtual StatusOr<void*> Reserve(std::size_t bytes) = 0;
  // The same at `base`, within the addresses that Reserve hands out from: right behind a range that is reserved, or
  // where one was that was given back. ResourceExhausted, without a message, also where some of it is reserved.
  // Unimplemented where info().reserves_at is false.
  virtual Status ReserveAt(void* /*base*/, std::size_t /*bytes*/) {
    return UnimplementedError(info().name + " chooses itself where memory lies");
  }
  // Gives back a range that Reserve returned or ReserveAt took, whole. REQUIRES: no work that uses it is pending.
  virtual Status Release(void* base, std::size_t bytes) = 0;
  // Tells the device that a block of reserved memory was handed out (fresh) or taken back; an emulated device poisons
  // it in stream order. Does nothing elsewhere.
  virtual void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) = 0;
  // Registers host memory for asynchronous copies. Does nothing on an emulated device.
  virtual Status PinHost(void* base, std::size_t bytes) = 0;
  virtual Status UnpinHost(void* base, std::size_t bytes) = 0;

  // --- Memory in stream order ---------------------------------------------------------------------------------------
  // The device's own allocator, beside Reserve. Unimplemented where it has none, or was not made with it.
  // `bytes` for work enqueued on `stream` from now on, at a multiple of info().alignment. ResourceExhausted, without a
  // message, where the device has no room.
  virtual StatusOr<void*> AllocateInOrder(std::size_t /*bytes*/, Stream) {
    return UnimplementedError(info().name + " allocates nothing in stream order");
  }
  // Takes such a block back after the work enqueued on `stream` so far. REQUIRES: it was not given back since.
  virtual Status FreeInOrder(void* /*block*/, Stream) {
    return UnimplementedError(info().name + " allocates nothing in stream order");
  }
  // What the device holds for that, with what it keeps of freed blocks.
  virtual std::uint64_t ReservedInOrder() const { return 0; }

  // --- Streams ------------------------------------------------------------------------------------------------------
  // A stream is one that CreateStream made, or, on a device where a program can make streams of its own (CUDA), one of
  // the program. Every function that takes one answers InvalidArgument for a stream of another device, and NotFound for
  // one that it knows not to exist (any more): then no work of it is pending. A stream of the program that is gone is
  // not noticed and must not be named.
  // REQUIRES for name: outlives nothing (it is copied).
  virtual StatusOr<Stream> CreateStream(std::string_view name) = 0;
  // Waits for the stream's work, then removes it.
  virtual Status DestroyStream(Stream stream) = 0;
  // Blocks the calling thread until all work enqueued so far has ended.
  virtual Status SynchronizeStream(Stream stream) = 0;
  // The same for every stream of the device.
  virtual Status Synchronize() = 0;
  // A number that no other stream of the device has or had. Handles are used again, and one handle may stand for a
  // stream of each thread (cudaStreamPerThread).
  virtual StatusOr<std::uint64_t> StreamNumber(Stream stream) = 0;
  // True from CreateStream to DestroyStream, for which only the handle is looked at: the stream may be gone.
  virtual bool Owns(Stream stream) const = 0;
  // Raised by each DestroyStream, before the handle may come back. While it stands, a handle for which Owns is true
  // stands for the same stream, so that nobody need ask for its number again. Lives as long as the device.
  virtual const std::atomic<std::uint64_t>& destroyed_streams() const = 0;

  // --- Events -------------------------------------------------------------------------------------------------------
  // An event may be recorded again after it completed. Waiting for an event that was never recorded returns at once.
  virtual StatusOr<EventId> CreateEvent() = 0;
  virtual void DestroyEvent(EventId event) = 0;
  virtual Status RecordEvent(EventId event, Stream stream) = 0;
  // Later work of `stream` starts after the event's most recent recording (as of this call) completed.
  virtual Status WaitEvent(Stream stream, EventId event) = 0;
  // True where the most recent recording has completed. A failed copy or a lost device before it is an error here.
  virtual StatusOr<bool> EventDone(EventId event) = 0;
  virtual Status SynchronizeEvent(EventId event) = 0;
  // When the most recent recording completed, on base/clock.h's NowNs(). REQUIRES: EventDone.
  virtual std::int64_t EventTimeNs(EventId event) = 0;
  // For how long kernels of the event's stream had run by its most recent recording. nullopt where the device does not
  // time kernels. REQUIRES: EventDone.
  virtual std::optional<std::int64_t> EventKernelNs(EventId /*event*/) { return std::nullopt; }

  // --- Work ---------------------------------------------------------------------------------------------------------
  // Enqueues copies as one operation. `runs` is copied. Host memory must stay valid until the operation ended; on an
  // error nothing of it is running.
  virtual Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) = 0;
  // Enqueues setting `bytes` bytes at `base` to `value`.
  virtual Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) = 0;
  // Enqueues a host kernel. Unimplemented where info().runs_host_kernels is false.
  virtual Status Launch(Stream stream, HostKernel kernel) = 0;
  // Calls `enqueue`, which launches kernels of the device's own kind, with the device as the thread's current one.
  virtual Status EnqueueNative(absl::FunctionRef<Status()> enqueue) { return enqueue(); }

  // --- Captured graphs ----------------------------------------------------------------------------------------------
  // From BeginCapture to EndCapture the stream's work does not run: it becomes a graph, which may be launched any
  // number of times. A stream that waits for an event recorded in the capture joins it. Other streams go on as ever.
  //
  // What would look at captured work, or tie it to other work, is FailedPrecondition that names the call: for a stream
  // in a capture SynchronizeStream, DestroyStream, AllocateInOrder, FreeInOrder, BeginCapture, LaunchGraph, and
  // WaitEvent for an event recorded elsewhere; for an event that was last recorded in a capture EventDone,
  // SynchronizeEvent and, once that has ended or from another capture, WaitEvent; for the device Synchronize, while
  // there is a capture. A capture in which that happened may be of no use: then EndCapture says so.
  //
  // Unimplemented where the device has no graphs; FailedPrecondition where the stream is in a capture already.
  virtual Status BeginCapture(Stream /*stream*/) { return UnimplementedError(info().name + " captures no graphs"); }
  // The graph is the caller's until DestroyGraph. FailedPrecondition where BeginCapture was not called for this stream,
  // or where it does not come after all work of the streams that joined: then the capture has ended without a graph.
  virtual StatusOr<GraphId> EndCapture(Stream /*stream*/) {
    return UnimplementedError(info().name + " captures no graphs");
  }
  virtual bool InCapture(Stream /*stream*/) const { return false; }
  // Enqueues what was captured: after the work enqueued on `stream` so far and after earlier launches of the graph;
  // later work of `stream` comes after it. The memory that captured work names must still be there, and a host kernel
  // runs once for each launch. InvalidArgument for a graph that does not exist, as DestroyGraph.
  virtual Status LaunchGraph(GraphId /*graph*/, Stream /*stream*/) {
    return UnimplementedError(info().name + " captures no graphs");
  }
  // Blocks until the graph's launches have ended.
  virtual Status DestroyGraph(GraphId /*graph*/) { return UnimplementedError(info().name + " captures no graphs"); }

  // Bytes that copy operations were asked to move so far, per direction: a count independent of every other one. What
  // is captured counts when it is launched.
  virtual std::uint64_t CopiedBytes(CopyDirection direction) const = 0;
  // Calls so far in which the calling thread may have waited for work of the device: Synchronize and its kin, Release,
  // DestroyStream, DestroyGraph, and with CUDA also Unpin- and PinHost and copies from or to memory that is not pinned.
  // The way of a training step makes none.
  virtual std::uint64_t host_waits() const { return 0; }
  // OK, or the first error of work that no call could return.
  virtual Status health() const = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_DEVICE_BACKEND_H_
