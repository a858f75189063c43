// Recorder: writes a trace file. A null Recorder* is a switched-off trace; use trace::Write below, which checks.
//
// Thread-safety: Intern and Write may be called from any thread; a thread's records keep their order. The file's layout
// is described in docs/trace_format.md.
#ifndef TIERLIB_SRC_TRACE_RECORDER_H_
#define TIERLIB_SRC_TRACE_RECORDER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tierlib/status.h"
#include "trace/event.h"

namespace tierlib::trace {

struct RecorderOptions {
  std::string path;  // %p is replaced by the process id, %r by the rank
  int rank = 0;
  std::string device;  // name of the device, for the header
  std::uint64_t device_capacity = 0;
  std::uint64_t pinned_capacity = 0;
  std::array<std::uint64_t, 2> ceiling_bytes_per_s = {};  // of the link, out and in, for the header; 0: not known
  std::optional<CopyLimits> copy_limits;                  // for the header; none: not known
  std::uint64_t limit_bytes = 0;                          // stop recording at this file size; 0: none
  // A flight recorder: of what was recorded the newest `last_bytes` of the file are kept (1 MiB at least; texts, and
  // what is not sealed yet, at most 4 MiB and 64 KiB a thread, come on top), and older blocks are overwritten. 0: all.
  std::uint64_t last_bytes = 0;
  // A step that takes longer than this times the median of those before has the flight recorder's file copied to
  // "<path>.1", "<path>.2" and so on, up to 8; more than 1. 0: none. While a copy is made nothing is sealed: a thread
  // that finds 4 MiB of unsealed records then waits until the disk has taken the copy.
  double slow_step_ratio = 0;
  // Where each storage, pool block and packed value came from: a record CallStack before it. Some microseconds each.
  bool stacks = false;
  // Steps and operators as ranges of NVTX, and their numbers as external correlation ids of CUPTI, for NVIDIA's
  // profilers. Nothing where tierlib was built without CUDA.
  bool nvtx = false;
};

class RecorderState;

class Recorder {
 public:
  // Creates the file (0600, never through a symbolic link). NotFound, PermissionDenied, AlreadyExists or
  // ResourceExhausted, with a message that names the path, where that fails. A file that an earlier trace left at the
  // path is replaced; anything else that stands there is left alone and named in the error.
  static StatusOr<std::unique_ptr<Recorder>> Open(RecorderOptions options);
  // Ends the file: what is not in blocks yet is sealed, so this takes some milliseconds. Nobody records any more.
  ~Recorder();

  // A number for a text, the same for the same text. Texts are cut at 4 KiB; after 65,536 texts the rest is "(other)".
  std::uint32_t Intern(std::string_view text);

  // Appends a record stamped with the time now (or `time_ns`, of CLOCK_MONOTONIC). Never fails, and never blocks on the
  // disk but for RecorderOptions::slow_step_ratio: when the file cannot grow, recording stops with one message on
  // standard error and dropped() counts from there.
  [[gnu::noinline]] void Write(Event event, Tag tag, std::uint16_t detail, std::uint32_t label, std::uint64_t subject,
                               std::uint64_t value);
  [[gnu::noinline]] void WriteAt(std::int64_t time_ns, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
                                 std::uint64_t subject, std::uint64_t value);

  std::uint64_t dropped() const;
  const std::string& path() const;

 private:
  explicit Recorder(std::unique_ptr<RecorderState> state);
  void Append(std::uint64_t time, std::uint64_t word, std::uint64_t subject, std::uint64_t value);
  void WriteNs(std::int64_t time_ns, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
               std::uint64_t subject, std::uint64_t value, const void* caller);
  void WriteStack(std::int64_t time_ns, Event event, Tag tag, std::uint64_t subject, const void* caller);

  std::unique_ptr<RecorderState> state_;
};

// Writes where a trace is on.
inline void Write(Recorder* recorder, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
                  std::uint64_t subject, std::uint64_t value) {
  if (recorder != nullptr) recorder->Write(event, tag, detail, label, subject, value);
}

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_RECORDER_H_
