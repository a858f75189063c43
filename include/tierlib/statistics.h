// Counters of a Runtime: the ledger of traffic, and the peaks of the tiers.
#ifndef TIERLIB_STATISTICS_H_
#define TIERLIB_STATISTICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tierlib/stream.h"

namespace tierlib {

// Every packed byte is booked once, where its treatment is decided. A decision that is overturned later, because memory
// ran short or a source was written, is booked a second time, and in `reconsidered`:
//   naive + reconsidered == moved + avoided_identity + avoided_lineage + avoided_recompute + frees_nothing + kept
// holds to the byte because each is counted, none computed from the others. With policy kAll, room on the host and no
// target_peak nothing is reconsidered. All in bytes unless the name says otherwise; all since Create or since the step
// began.
struct Ledger {
  std::uint64_t packs = 0;    // values handed to Pack (count)
  std::uint64_t unpacks = 0;  // values taken back by Unpack (count)
  std::uint64_t naive = 0;    // what copying each packed value by itself would move out
  std::uint64_t moved = 0;    // packed bytes whose copy out was enqueued
  std::uint64_t avoided_identity =
      0;  // already there: the same storage at the same version, through this or another view
  std::uint64_t avoided_lineage = 0;    // made again from bytes that are there
  std::uint64_t avoided_recompute = 0;  // computed again by the program (Runtime::Recomputes)
  std::uint64_t frees_nothing = 0;      // persistent storages: moving them would free no device memory
  std::uint64_t kept = 0;               // left on the device by mode, policy, plan, size or a full host
  std::uint64_t reconsidered = 0;       // booked when packed, and moved, or avoided by lineage or recompute, later
  std::uint64_t moved_in = 0;           // bytes whose copy in was enqueued
  std::uint64_t taken_back = 0;         // bytes that came back without a copy, as nobody else had their memory since
  std::uint64_t replayed = 0;           // bytes made again on the device from other bytes
  std::uint64_t recomputed = 0;         // bytes that the program computed again on the device
  std::uint64_t recomputes = 0;         // how often it did (count)
  std::uint64_t engine_out = 0;         // counted by the copy engine, independently of the decisions above
  std::uint64_t engine_in = 0;
  std::uint64_t freed = 0;  // device bytes given back because their contents had been moved or can be made again
  std::uint64_t freed_made_again = 0;  // of those, what is made again: nothing was moved for it
  // Moved, and no device byte was given back for it: the program held the storage until its last saved value was
  // dropped. With kAll and whole storages  moved == freed - freed_made_again + freed_nothing  once values are dropped.
  std::uint64_t freed_nothing = 0;
  std::uint64_t copies_out = 0;          // count; of those that DeviceOptions::coalesce_bytes makes go as one, each
  std::uint64_t copies_in = 0;           // count
  std::uint64_t prefetched = 0;          // of moved_in, what came back before it was asked for
  std::uint64_t prefetched_in_vain = 0;  // of that, what went again without being asked for
  // Of moved_in, what was asked for before it was on its way, on devices with prefetch_bytes: there the two are all.
  std::uint64_t prefetch_missed = 0;
  std::uint64_t stalls = 0;  // waits inserted into a stream of the program (count)
};

// What the blocks of a tier are held for.
struct TagStatistics {
  const char* tag = "";       // "parameters", "gradients", "activations", ...
  std::uint64_t blocks = 0;   // now (count)
  std::uint64_t live = 0;     // bytes now, as they were asked for
  std::uint64_t waste = 0;    // bytes that rounding adds to them
  std::uint64_t at_peak = 0;  // bytes, rounded, when the tier held the most
};

// Every byte of a tier is booked once:  reserved == live + waste + cached + pending, at any moment, whatever other
// threads do. What is cached or pending has no tag: free neighbours are one range, whoever had them.
//
// Of several devices each field is the sum, but for those that say otherwise. Each device's peak may have been at
// another time: that of all together was at most the sum of theirs.
struct TierStatistics {
  std::uint64_t capacity = 0;       // of a host tier, over all devices: what a device takes others cannot have
  std::uint64_t reserved = 0;       // taken from the device or operating system now
  std::uint64_t locked = 0;         // of `reserved`, page-locked (host tiers)
  std::uint64_t live = 0;           // handed out now, as it was asked for
  std::uint64_t waste = 0;          // what rounding to whole alignment units adds to it
  std::uint64_t cached = 0;         // not handed out, and nothing uses it
  std::uint64_t pending = 0;        // not handed out, but work enqueued before it was freed may still use it
  std::uint64_t scattered = 0;      // of cached + pending, what lies outside the largest free range
  std::uint64_t live_peak = 0;      // the most that live + waste came to
  std::int64_t live_peak_ns = 0;    // when that was, on CLOCK_MONOTONIC; of several devices, the latest
  std::uint64_t extent_peak = 0;    // highest end of any block ever handed out: the capacity that would have sufficed
  std::vector<TagStatistics> tags;  // those that hold something now, or did at the peak
};

// What one device holds, and what host memory holds for it.
struct DeviceStatistics {
  int device = 0;         // DeviceOptions::device
  TierStatistics memory;  // its own
  TierStatistics pinned;
  TierStatistics pageable;
  TierStatistics file;
};

// Saved values that pinned memory had no room for when they were first to move, by where they went. All since Create.
struct HostFallbacks {
  std::uint64_t to_pageable = 0;  // count
  std::uint64_t to_pageable_bytes = 0;
  std::uint64_t to_file = 0;  // count
  std::uint64_t to_file_bytes = 0;
  std::uint64_t to_recompute = 0;  // no tier had a place: the program computes them again (count)
  std::uint64_t to_recompute_bytes = 0;
  std::uint64_t refused = 0;  // had no place when they were first to move, and stayed on the device (count)
  std::uint64_t refused_bytes = 0;
};

// What was done where device memory ran short, over all devices, since Create. A request that the device has no room
// for goes through these in turn until it has: look at what has ended, give saved bytes up, wait for what keeps memory
// of the program.
struct Shortages {
  std::uint64_t polls = 0;          // requests that found no room at first (count)
  std::uint64_t evictions = 0;      // saved values that gave their device bytes up for one (count)
  std::uint64_t evicted_bytes = 0;  // what that freed
  std::uint64_t waits = 0;          // times that the host waited for copies or readers to end (count)
  std::uint64_t wait_ns = 0;        // for how long
  std::uint64_t failures = 0;       // calls that answered ResourceExhausted (count)
};

// For how long a stream of the program waited, by why: waits that the runtime inserted, each timed by an event before
// and after it. Several causes at once count as the one that was waited for first.
struct StallTimes {
  std::uint64_t late_copy_in_ns = 0;   // for bytes on their way back
  std::uint64_t copy_out_tail_ns = 0;  // for memory that was still being copied out
  std::uint64_t write_fence_ns = 0;    // for reads of bytes that it was to overwrite
  std::uint64_t allocation_ns = 0;     // for memory that work of another stream still used
  std::uint64_t producer_ns = 0;       // for work of another stream that makes what it was to read
};

// For how long calls of the runtime kept the host waiting, by why. These are no stalls: a stream that they leave
// without work has unknown time. Waits for locks are not known.
struct HostWaitTimes {
  std::uint64_t allocation_ns = 0;  // for device memory, until copies and readers let go of what they kept
  std::uint64_t host_pool_ns = 0;   // for host memory, which had to be taken from the system
  std::uint64_t disk_ns = 0;        // for reads of the file tier
  std::uint64_t contention_ns = 0;  // for copies of others to end, by DeviceOptions::in_flight_limit
  std::uint64_t checksum_ns = 0;    // for checksums, and for the device's work that they are of
};

// Where the time of one stream went, on the device's clock:  wall == compute + stalls + unknown.
// Each is measured but the last.
struct StreamTimes {
  Stream stream;
  std::uint64_t wall_ns = 0;  // between the points in the stream's work at which BeginStep and EndStep were called
  // Kernels ran, the runtime's replays and gathering copies among them. A device that does not time kernels (CUDA)
  // gives the time between the stalls, gaps without work included.
  std::uint64_t compute_ns = 0;
  StallTimes stalls;
  std::uint64_t unknown_ns = 0;  // what is left: the host had enqueued nothing, or another stream computed
};

// Where the time of steps went, on one device. A copy is under way from when its stream came to it until it ended, and
// counts as far as it lies within the step. Where several things happen at once their time counts once: these are
// lengths of unions of intervals, not sums.
struct StepTimes {
  std::uint64_t step = 0;         // the number of the last one
  std::uint64_t steps = 0;        // how many (count)
  std::uint64_t wall_ns = 0;      // from the first of the streams' begins to the last of their ends
  std::uint64_t host_ns = 0;      // between the calls of BeginStep and EndStep
  std::uint64_t copy_out_ns = 0;  // copies to the host were under way
  std::uint64_t copy_in_ns = 0;   // copies to the device were
  std::uint64_t transfer_ns = 0;  // either was
  std::uint64_t exposed_ns = 0;   // a stream of the program waited because of copies (the first three of StallTimes)
  std::uint64_t hidden_ns = 0;    // of transfer_ns, when none did
  std::uint64_t unmeasured = 0;   // copies and stalls that are missing, as the step had too many (count)
  HostWaitTimes host_waits;       // within host_ns
  // Those that Runtime::CreateStream made, and others that waited: of a program's own stream, which the runtime must
  // not touch outside calls that name it, only the stalls are known.
  std::vector<StreamTimes> streams;
};

// Waits for bytes of the storages with one label, of streams of the program and of the host, over all steps
// (Runtime::StallsByStorage).
struct StorageStalls {
  std::string label;  // "" for memory, whoever had it before
  std::uint64_t count = 0;
  StallTimes times;
  std::uint64_t host_count = 0;
  HostWaitTimes host_times;
};

// The figures of a step are there once its work has ended and the runtime was called since; nothing waits for that.
struct DeviceTimes {
  int device = 0;
  StepTimes last_step;  // the latest that is known
  StepTimes total;      // over all steps; what happens outside them is not measured
};

// Where the peak of a device is, and what moving can do about it (DeviceOptions::target_peak). Of the last step that
// asked for a saved value of the device; all 0 before there was one. In bytes unless the name says otherwise.
struct PeakStatistics {
  int device = 0;
  std::uint64_t target = 0;          // the option
  std::uint64_t unmoved_peak = 0;    // the most that the device would have held if nothing had been moved
  std::uint64_t planned_peak = 0;    // the most that it holds if what is planned is moved
  std::uint64_t planned = 0;         // what the next step moves for that: without any of it the peak would be higher
  std::uint64_t planned_values = 0;  // in so many values (count)
  // What stayed on the device in that step as moving it would not have lowered the peak further.
  std::uint64_t kept = 0;
  std::uint64_t kept_values = 0;  // count
  // Where the unmoved peak is: after this value was packed or, in backward, asked for.
  std::string peak_after;
  bool peak_in_backward = false;
};

// Costs microseconds to take: beside what was freed and what ended since the last time, nothing of it grows with the
// number of storages, values, labels or steps.
struct Statistics {
  Ledger total;
  Ledger last_step;       // the step most recently ended by EndStep
  TierStatistics device;  // of all devices together, and so on
  TierStatistics pinned;
  TierStatistics pageable;
  TierStatistics file;
  std::vector<DeviceStatistics> devices;  // the same of each, in the order of the options
  HostFallbacks fallbacks;
  Shortages shortages;
  std::vector<DeviceTimes> times;     // by device, in the order of the options
  std::vector<PeakStatistics> peaks;  // of those devices that have a target
};

}  // namespace tierlib

#endif  // TIERLIB_STATISTICS_H_
