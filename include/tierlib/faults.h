// Faults: makes calls that a runtime makes of its device and of its tiers fail, and events late or in another order. A
// resource to test programs with: given in DeviceOptions::faults, where null (the default) costs nothing.
//
// To test a program, count the calls with a plan that fails nothing, then fail each in turn. On a deterministic
// emulated device the same program makes the same calls:
//
//   auto faults = std::make_shared<tierlib::Faults>();
//   Run(faults);                                            // options.devices[0].faults = faults
//   const std::uint64_t calls = faults->calls();
//   for (std::uint64_t call = 1; call <= calls; ++call) {
//     faults->Arm({.call = call});                          // and again with .persistent = true
//     Run(faults);                                          // whatever failed was a Status that Run could go on from
//     assert(faults->outstanding(tierlib::FaultPoint::kCreateEvent) == 0);
//   }
//
// Thread-safety: all functions may be called from any thread. Shared by devices, it counts their calls together.
#ifndef TIERLIB_FAULTS_H_
#define TIERLIB_FAULTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tierlib/status.h"
#include "tierlib/tier.h"

namespace tierlib {

// Where a call may fail.
enum class FaultPoint : std::uint8_t {
  kReserve,           // device memory by which the pool grows, or    ResourceExhausted
                      // a block of the device's own allocator
  kGrow,              // host memory by which a pool grows, or that   ResourceExhausted
                      // it takes again where it had given it back
  kAllocateDevice,    // a block of a pool, by tier                   ResourceExhausted
  kAllocatePinned,    //
  kAllocatePageable,  //
  kAllocateFile,      //
  kPin,               // registering host memory with the device      ResourceExhausted
  kCreateStream,      //                                              ResourceExhausted
  kCreateEvent,       //                                              ResourceExhausted
  kRecordEvent,       //                                              Unavailable
  kWaitEvent,         // one stream made to wait for an event         Unavailable
  kCopy,              // a copy is enqueued                           Unavailable
  kLaunch,            // a kernel or a fill is enqueued, a capture    Unavailable
                      // begun or a graph launched
};
inline constexpr std::size_t kFaultPointCount = 13;
// "reserve", "create event".
const char* FaultPointName(FaultPoint point);

// What is to happen. The parts may be combined.
struct FaultPlan {
  static constexpr std::uint64_t kNoBudget = ~std::uint64_t{0};

  std::uint64_t call = 0;          // this call fails, counted from 1 over `points` since Arm; 0: none
  bool persistent = false;         // and every later one
  double probability = 0;          // each call fails with this one, drawn from the seed and the call's number
  std::uint64_t seed = 1;          // of the probability and of the order
  std::vector<FaultPoint> points;  // those that are counted and fail; empty: all
  // Live bytes of each pool, by Tier, beyond which its allocations fail, whatever `points` says.
  std::array<std::uint64_t, kTierCount> byte_budget = {kNoBudget, kNoBudget, kNoBudget, kNoBudget};
  // Events that are complete are said not to be, when asked for: this many times, and for so long after the first time.
  // Waits, of streams and of the host, end when they would, and what they waited for is complete from then on.
  std::uint32_t slow_queries = 0;
  std::uint64_t slow_ns = 0;
  // The same for some events and not for others, as the seed has it: they are seen to complete in an order that is not
  // that of the device, and that it could have had. An event comes after those of its stream before it, and after those
  // for which its stream was made to wait through the device.
  bool reorder = false;
};

class Faults {
 public:
  // Fails nothing, and counts.
  Faults();
  explicit Faults(FaultPlan plan);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  // From now on this plan holds; calls and failures are counted from 0.
  void Arm(FaultPlan plan);
  // Nothing fails and nothing is late any more; the counts stay and go on.
  void Disarm() noexcept;
  // While one lives, this thread's calls are not counted and do not fail: for what a test does beside its program.
  class Paused {
   public:
    Paused() noexcept;
    ~Paused();
    Paused(const Paused&) = delete;
    Paused& operator=(const Paused&) = delete;
  };

  std::uint64_t calls() const;  // of the plan's points
  std::uint64_t calls(FaultPoint point) const;
  std::uint64_t failures() const;  // that were made, a budget's included
  std::uint64_t failures(FaultPoint point) const;
  std::uint64_t queries() const;  // times that a device was asked whether an event has completed; never fail by a plan
  // What calls made that was not given back yet, whatever the plan: pieces of memory for kReserve and kPin, streams for
  // kCreateStream, events for kCreateEvent. 0 for the others.
  std::int64_t outstanding(FaultPoint point) const;

  // --- For tierlib's own layers -------------------------------------------------------------------------------------
  // Counts a call; not OK where it is to fail, without a message for the points of memory.
  Status Call(FaultPoint point) noexcept;
  // The same for a block of a pool of which `live` bytes are live.
  Status CallAllocate(Tier tier, std::uint64_t live, std::uint64_t bytes) noexcept;
  void Asked() noexcept;
  void Made(FaultPoint point) noexcept;
  void GaveBack(FaultPoint point) noexcept;
  // How late the event is that was recorded as the `recording`th.
  struct Lateness {
    std::uint32_t queries = 0;
    std::uint64_t ns = 0;
  };
  bool delays_events() const noexcept;
  Lateness LatenessOf(std::uint64_t recording) const noexcept;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace tierlib

#endif  // TIERLIB_FAULTS_H_
