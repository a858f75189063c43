// PeakWatch: what one device holds in the course of a step, and which saved values the next step is to move so that it
// holds no more than DeviceOptions::target_peak (graph/peak_plan.h).
//
// What a device would hold if nothing were moved is what its pool holds plus the bytes that are away: those of values
// that nobody but the runtime holds and whose device bytes were given up. It is looked at where it may rise: whenever
// the program is given memory, and when backward asks for a value.
//
// Approximations:
//   - A value counts as held by the runtime alone from when its storage is retired, leases on it or not. Memory of the
//     program's own counts from when it is packed with a keepalive, whoever else holds it; without one never.
//   - Only the time until a value is first asked for counts. What moving costs on the device is not foreseen: sources
//     of replays that live longer, what a recipe makes on its way, values that come back ahead.
//   - A value that is moved comes back whole.
// What is noted does not depend on what is moved, so a program that repeats its steps repeats its plan.
//
// A step teaches what the next one does if it was begun and ended, packed values and asked for one of them. Others
// leave the plan as it is.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_GRAPH_PEAK_WATCH_H_
#define TIERLIB_SRC_GRAPH_PEAK_WATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/peak_plan.h"
#include "tierlib/statistics.h"

namespace tierlib {

// What a watch keeps with a snapshot.
struct PeakValue {
  std::uint64_t step = 0;       // of the watch, that it was last packed in; 0: none
  std::uint32_t number = 0;     // among the values of that step
  std::optional<bool> planned;  // whether the plan of that step moves it; nothing where that says nothing of it
  bool held = false;            // by nobody but the runtime
  std::uint64_t away = 0;       // its part of the watch's sum
};

class PeakWatch {
 public:
  PeakWatch(int device, std::uint64_t target_bytes);

  // A step that was not ended teaches nothing.
  void BeginStep();
  void EndStep();

  // Whether the plan moves a value of `bytes` that is packed next. Nothing outside steps, where there is no plan yet,
  // and from the first value on that the step before did not pack.
  std::optional<bool> Planned(const PeakValue& value, std::uint64_t bytes) const;
  // It was packed, the first time in this step or again.
  void NotePacked(PeakValue& value, std::uint64_t bytes, bool movable, std::string_view label);
  // The plan kept `bytes` on the device.
  void NoteKept(std::uint64_t bytes);
  // From now on nobody but the runtime holds it; backward asks for it; there is nothing to hold any more.
  void NoteHeld(PeakValue& value);
  void NoteAsked(PeakValue& value, std::uint64_t live_bytes);
  void NoteGone(PeakValue& value);
  // So many of its bytes are not on the device, and would be if nothing were moved.
  void SetAway(PeakValue& value, std::uint64_t bytes);
  // The device holds so much, or did a moment ago.
  void NoteLive(std::uint64_t live_bytes);

  const PeakStatistics& statistics() const { return statistics_; }

 private:
  static constexpr std::uint32_t kOpen = ~std::uint32_t{0};
  // Where a step is, for people.
  struct Mark {
    std::uint32_t value = 0;   // the last that was packed or asked for
    bool in_backward = false;  // some value was asked for before
  };
  bool Knows(const PeakValue& value) const { return recording_ && value.step == step_; }
  // The instant that begins now.
  std::uint32_t NextInstant();
  // There is no memory, or too much to write down: the step teaches nothing.
  template <typename Body>
  void OrStop(Body&& body);
  void Learn();

  const std::uint64_t target_bytes_;
  PeakStatistics statistics_;
  std::uint64_t away_bytes_ = 0;

  // Of the step now.
  std::uint64_t step_ = 0;
  bool in_step_ = false;
  bool recording_ = false;
  bool follows_ = false;  // it packed what the step before did, so far
  bool fresh_ = true;     // nothing was noted of the latest instant
  std::uint32_t packed_ = 0;
  std::uint64_t kept_values_ = 0;
  std::uint64_t kept_bytes_ = 0;
  Mark now_;
  PeakTimeline timeline_;
  std::vector<Mark> marks_;          // by instant: when it held the most
  std::vector<std::string> labels_;  // by value

  struct PlannedValue {
    std::uint64_t bytes = 0;
    bool moves = false;
  };
  std::vector<PlannedValue> plan_;  // by value; empty before a step taught anything
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_PEAK_WATCH_H_
