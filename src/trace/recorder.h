// Recorder: writes a trace file. A null Recorder* is a switched-off trace; use trace::Write below, which checks.
//
// Thread-safety: Intern and Write may be called from any thread; a thread's records keep their order. The file's layout
// is described in docs/trace_format.md.
#ifndef TIERLIB_SRC_TRACE_RECORDER_H_
#define TIERLIB_SRC_TRACE_RECORDER_H_

#include <cstdint>
#include <memory>
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
  std::uint64_t limit_bytes = 0;  // stop recording at this file size; 0: none
};

class Recorder {
 public:
  // Creates the file (0600, never through a symbolic link). NotFound, PermissionDenied, AlreadyExists or
  // ResourceExhausted, with a message that names the path, where that fails. A file that an earlier trace left at the
  // path is replaced; anything else that stands there is left alone and named in the error.
  static StatusOr<std::unique_ptr<Recorder>> Open(RecorderOptions options);
  // Ends the file.
  ~Recorder();

  // A number for a text, the same for the same text. Texts are cut at 4 KiB; after 65,536 texts the rest is "(other)".
  std::uint32_t Intern(std::string_view text);

  // Appends a record stamped with the time now (or `time_ns`). Never fails and never blocks on the disk: when the file
  // cannot grow, recording stops with one message on standard error and dropped() counts from there.
  void Write(Event event, Tag tag, std::uint16_t detail, std::uint32_t label, std::uint64_t subject,
             std::uint64_t value);
  void WriteAt(std::int64_t time_ns, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
               std::uint64_t subject, std::uint64_t value);

  std::uint64_t dropped() const;
  const std::string& path() const;

 private:
  struct State;
  explicit Recorder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes where a trace is on.
inline void Write(Recorder* recorder, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
                  std::uint64_t subject, std::uint64_t value) {
  if (recorder != nullptr) recorder->Write(event, tag, detail, label, subject, value);
}

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_RECORDER_H_
