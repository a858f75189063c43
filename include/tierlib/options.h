// Options of a Runtime: the tiers, their capacities, and how saved tensors are treated.
#ifndef TIERLIB_OPTIONS_H_
#define TIERLIB_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/bytes.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"
#include "tierlib/tier.h"

namespace tierlib {

class Faults;

// What Pack does with the bytes of a saved value.
enum class OffloadMode : std::uint8_t {
  kOff,    // they stay on the device
  kNaive,  // every saved value is copied to the host and back by itself, as frameworks do: the baseline to compare with
  kMarshal,  // each storage's bytes move at most once: identity first, then a walk along lineage
};

// Which saved values kMarshal moves.
enum class OffloadPolicy : std::uint8_t {
  kAll,  // whatever is saved and may move, at once
  kFit,  // only what the device's capacity needs, when it needs it; nothing where memory is ample
};

enum class DeviceKind : std::uint8_t { kEmulated, kCuda };

// Where the memory of a device tier comes from. TIERLIB_NO_POOLS=1 in the environment makes kMallocAsync of the first
// two, for tools that know blocks by the device's own calls (compute-sanitizer).
enum class DeviceBacking : std::uint8_t {
  kVirtualMemory,  // one range of addresses, into which memory is mapped as tierlib's pool grows
  kMalloc,         // one piece of the whole capacity, taken at the start: for devices that cannot map memory
  kMallocAsync,  // no pool of tierlib's: each block from the device's own allocator in stream order (cudaMallocAsync);
                 // Runtime::OwnerOf does not know these blocks
  kManaged,  // memory that the host reaches at the same addresses (cudaMallocManaged): kernels of the host run on it in
             // the order of CUDA's streams, beside CUDA's own copies, events and graphs. Slow: for tests and debugging.
             // An emulated device's memory is so anyway
};

// How the emulated device orders work. See docs/design.md, "Device and emulated device".
enum class EmulatedSchedule : std::uint8_t {
  kThreaded,       // one worker per stream; copies run beside kernels
  kDeterministic,  // a seeded scheduler on the caller's threads decides when each kernel and copy runs
  kShapeOnly,      // no bytes: kernels and copies do nothing. For computing what a program needs before running it
};

struct EmulatedOptions {
  EmulatedSchedule schedule = EmulatedSchedule::kThreaded;
  std::uint64_t seed = 1;             // of the deterministic schedule, and of the jitter
  int kernel_threads = 0;             // threads one kernel may use; 0: all processors
  double copy_out_bytes_per_s = 0;    // bandwidth of the device-to-host engine; 0: unthrottled
  double copy_in_bytes_per_s = 0;     // bandwidth of the host-to-device engine; 0: unthrottled
  std::uint64_t copy_latency_ns = 0;  // added to each copy
  std::uint64_t copy_jitter_ns = 0;   // up to so much more is added to each, drawn from the seed and its number
  int numa_node = -1;   // node of the host that the device is said to be at; -1: that of the calling thread
  bool poison = false;  // fill fresh (0xCD) and freed (0xEF) device bytes
  bool strict = false;  // device bytes are unreadable outside kernels and copies; one thing runs at a time
  // Two uses of the same bytes, one of them a write, that neither a stream's order nor an event nor a wait of the host
  // orders are an error of every later wait (FailedPrecondition, Runtime::health) that names both: a missing wait is
  // found in whatever order things ran.
  bool find_races = false;
};

// A device allocator of the program, used for reloads in place of tierlib's pool, so that a framework's own cache is
// shared. Called on the thread that calls Unpack or drops the last reference, with no lock of tierlib held.
struct DeviceAllocator {
  std::function<void*(std::size_t bytes, Stream stream)> allocate;               // nullptr where the device is full
  std::function<void(void* data, std::size_t bytes, Stream stream)> deallocate;  // ordered after the work on `stream`
};

struct DeviceOptions {
  DeviceKind kind = DeviceKind::kEmulated;
  int device = 0;                     // number among the devices of this Runtime; CUDA ordinal for kCuda
  std::uint64_t capacity = MiB(512);  // bytes of device memory that tierlib may take (a tier's capacity)
  DeviceBacking backing = DeviceBacking::kVirtualMemory;
  std::uint64_t reload_budget = 0;  // cap on reloaded bytes alive at once; 0: the capacity
  // Free memory that may be used for speed rather than to keep the memory that is used together:
  //   - so much of it, in all, a request may leave alone rather than wait for work that still uses it: it takes memory
  //     that was not used so far, and copies run beside compute where values are few and large;
  //   - Unpack takes a value's own device memory back where that is free and nobody else has had it since the value was
  //     moved: no copy in is made. (Not with Options::checksums. Memory of adopted storages is the program's.)
  // More memory is taken of the device for that, and which addresses are handed out depends on what is unpacked and on
  // how fast the device runs. 0: a request takes the lowest free memory that fits, its stream waits, and addresses
  // depend on the calls alone. kAutomatic: a quarter of the capacity with policy kAll, which moves all there is and
  // leaves memory free; 0 with kFit, which uses it to the last byte. Runtime::options() tells what was chosen.
  static constexpr std::uint64_t kAutomatic = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t spare_bytes = kAutomatic;
  // Of the two uses of free memory the second one. False: what was moved comes back by a copy, whatever is free, so
  // that what is copied does not depend on timing.
  bool takes_back = true;
  // Bytes of saved values that may come back before they are asked for, in the order in which the step before asked for
  // its values, or else in reverse pack order: so that copies in run beside the work before them. Takes memory that is
  // free alone, and gives it up where it is needed. 0: nothing comes back before it is asked for.
  std::uint64_t prefetch_bytes = 0;
  // What copies between the host and this device achieve, each way, as far as Recompute::cost_ns is compared with them.
  // 0: that of the emulated options where those have both, and else not known, so that no recompute counts as cheaper.
  double copy_bytes_per_s = 0;
  std::uint64_t in_flight_limit = 0;  // cap on bytes of copies in flight; 0: none
  // A copy of more bytes is given to the device in pieces of so many, or in 16 where those would be more, and each
  // piece can be waited for: a value that is asked for while it still leaves comes back piece by piece behind its own
  // copy out, and in_flight_limit counts pieces as they end. Where it gets the very block that it leaves, that one is
  // free only when all of it has left. Smaller pieces come back sooner and cost a call and an event each. 0: no copy is
  // split.
  std::uint64_t chunk_bytes = MiB(8);
  // Small copies to the host wait for each other and go as one: up to so many bytes of device blocks, each of at most
  // a quarter of that. They go at the latest when a larger copy does, when something asks for one of them or for
  // memory that is not there, and in BeginBackward, EndStep and Drain; so long their blocks are not free, on the device
  // and on the host, also where storages were retired and values dropped. Saves calls where values are many and small.
  // Where they cannot be enqueued nothing is lost: the call that needs them says so, and made again tries again. Copies
  // of memory without a keepalive never wait, nor do those of tierlib's own memory that streams of the program's own
  // making use. A write that nobody announces meets what waits, as it meets what is in flight. 0: each copy goes by
  // itself, at once.
  std::uint64_t coalesce_bytes = 0;
  // The most bytes that the device is to hold (TierStatistics::live_peak), as far as moving saved values can do that.
  // What it would hold if nothing were moved is noted through each step (BeginStep to EndStep); in the next one those
  // values move when they are packed without which that would be above the target: no others, and none where moving
  // does not lower the peak. The rest stays: with kFit until memory is short all the same, as without a target. In the
  // first step, and in one from where it packs something else than the one before, the policy alone decides. Values
  // that come back ahead take no memory above the target, but others may meanwhile: at most prefetch_bytes in all, and
  // coalesce_bytes of what is gathered, which the plan counts once too often until it has gone. With mode kOff
  // Statistics::peaks tells what would be moved; kNaive has no plan. 0: nothing is noted or planned.
  std::uint64_t target_peak = 0;
  // For programs with threads that do little but allocate and free. A call that meets the lock of a pool (this
  // device's, or one of host memory for it) busy naps, for longer each time, before it sleeps until it is woken, so
  // that each of the threads works alone for a while: two take 1.25 of one thread's time a pair rather than about 9.
  // The price: a call beside a thread that never pauses may wait for milliseconds, and others that wait for that call
  // with it. Where work of a microsecond lies between the calls there is nothing to gain. False: who waits is woken
  // when it may go on.
  bool allocating_threads_take_turns = false;
  // What tierlib's pool on the device keeps of memory that is not in use; the rest goes back to the device in EndStep
  // and Drain, as far as the work that used it has ended: whole pieces, as they were taken, at the end of the pool's
  // range of addresses or between live blocks. Memory that was not used for the age goes then too, at twice the age at
  // the latest (0: never; never where runs are to be repeated, as with the deterministic schedule). Runtime::Trim gives
  // back more. Mapping memory again costs time: for devices that others need memory of. With kVirtualMemory alone.
  std::uint64_t cached_limit = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t cached_age_ns = 0;
  std::shared_ptr<DeviceAllocator> allocator;  // null: tierlib's own pool
  EmulatedOptions emulated;                    // where kind is kEmulated
  std::shared_ptr<Faults> faults;              // for tests: what is to fail (tierlib/faults.h). Null: nothing
};

// A cap on what the blocks of one tag may take of a tier, rounding included. A request beyond it is answered as one
// beyond the tier's capacity: what is held under that tag and may move is moved first. Memory of a program's own
// DeviceAllocator is not counted.
struct TagLimit {
  std::string tag;            // "activations", "reloads", ...: a name as TagStatistics has it
  Tier tier = Tier::kDevice;  // of each device; of a host tier over all devices, any of which may have all of it
  std::uint64_t bytes = 0;
};

struct Options {
  std::vector<DeviceOptions> devices = {DeviceOptions{}};
  // Limits of host memory, per process, over all devices: each of them may take all of it. Memory is taken as it is
  // needed, never beyond them, and what one device keeps without using it goes back where another needs it. Where the
  // process's cgroup leaves less than was chosen here, Create refuses; a limit left as it is here is lowered instead,
  // to at most half of what the cgroup leaves (Runtime::options() tells). RLIMIT_MEMLOCK refuses nothing: what it keeps
  // from being locked is pinned for the device all the same, and TierStatistics::locked tells.
  std::uint64_t pinned_limit = GiB(2);    // on the NUMA nodes that the devices are at
  std::uint64_t pageable_limit = GiB(2);  // used when pinned memory is exhausted
  // Used when both are exhausted: a file without a name in this directory, of at most so many bytes on the disk; "": no
  // file. Nothing is left of it however the process ends. Statistics::fallbacks counts what went past pinned memory.
  // What is in the file has a checksum from when its copy was seen to have ended, compared before it is copied in.
  std::string file_directory;
  std::uint64_t file_limit = GiB(64);
  // What each host tier keeps of memory that is not in use, for the next step, over all devices; the rest goes back to
  // the system in EndStep and Drain, first that of the device which keeps the most. Memory that was not used for the
  // age goes then too, at twice the age at the latest (0: never; never where runs are to be repeated, as with the
  // deterministic schedule). Runtime::Trim gives back more. DeviceOptions has the same for a device's own memory.
  std::uint64_t cached_limit = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t cached_age_ns = 60'000'000'000;
  std::vector<TagLimit> tag_limits;  // none: the tiers' own limits alone
  OffloadMode mode = OffloadMode::kMarshal;
  OffloadPolicy policy = OffloadPolicy::kAll;
  int hop_limit = 4;                // derived edges that a walk may cross
  std::uint64_t minimum_bytes = 0;  // saved values smaller than this stay on the device
  bool write_waits = false;         // BeginWrite on bytes being copied: wait (true) or fail (false)
  // Finds what neither announcements nor versions tell of: a write while a value was copied out, or bytes that changed
  // on the host. Pack has the device take a checksum (CRC-32C) of the packed bytes in the order of its stream, before
  // the copy; Unpack compares it with the bytes on the host before it copies them in: DataLoss names the storage. Costs
  // a pass over the bytes on the device at Pack; at Unpack a pass on the calling thread, which waits for the copy out
  // first. Not compared: bytes that never left the device, and the copy in itself. On a CUDA device the checksums take
  // 4 KiB of device memory, and 16 bytes of pinned memory for each value.
  bool checksums = false;
  // Path of the trace file; "" reads TIERLIB_TRACE; %p process id, %r rank. Where the disk is full, from the start or
  // later, the trace ends with one message and the program goes on; another path that cannot be is an error of Create.
  std::string trace;
  // A flight recorder: the trace keeps the newest bytes alone. 0 reads TIERLIB_TRACE_LAST ("64MiB"), and is all
  // otherwise. At least 1 MiB.
  std::uint64_t trace_last_bytes = 0;
  // A step that takes longer than this times the median of those before has the flight recorder's file copied beside
  // it ("<trace>.1" to ".8"). More than 1. 0 reads TIERLIB_TRACE_SLOW_STEP ("2.5"), and is never otherwise.
  double trace_slow_step = 0;
  // Call stacks of what registers, allocates and packs, in the trace. TIERLIB_TRACE_STACKS=1 does the same.
  bool trace_stacks = false;
  int rank = 0;                                         // of this learner; appears in the trace and for %r
  std::uint64_t shutdown_deadline_ns = 10'000'000'000;  // how long ~Runtime waits for copies in flight
  // Finds misuse of the tiers' memory: guard bytes around every block, patterns in fresh and freed bytes, and a
  // quarantine for what is freed. A write outside a block or to a freed one, a double free and a foreign pointer end
  // the program with a message that names the block. Costs memory and time. TIERLIB_HARDENED=1 in the environment does
  // the same.
  bool hardened = false;
};

}  // namespace tierlib

#endif  // TIERLIB_OPTIONS_H_
