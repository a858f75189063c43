#include "top_command.h"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "read_trace.h"
#include "terminal.h"
#include "trace/format.h"
#include "trace/trace_follower.h"

namespace tierlib::trace_viewer {
namespace {

bool BeginsAsTrace(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  char magic[sizeof trace::kMagic] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic, sizeof magic) && memcmp(magic, trace::kMagic, sizeof magic) == 0;
}

// The trace that the process has open. It may be in a folder that only the process sees, so its own link is used.
std::optional<std::string> TraceOfProcess(const std::string& process_id) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + process_id + "/fd", error)) {
    if (!BeginsAsTrace(entry.path())) continue;
    const std::filesystem::path target = std::filesystem::read_symlink(entry.path(), error);
    return BeginsAsTrace(target) ? target.string() : entry.path().string();
  }
  return std::nullopt;
}

// The file that the argument means; none after a message.
std::optional<std::string> FileOf(const std::string& target) {
  std::error_code error;
  const bool number =
      !target.empty() && std::all_of(target.begin(), target.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number || std::filesystem::exists(target, error)) return target;
  if (!std::filesystem::exists("/proc/" + target, error)) {
    std::fprintf(stderr, "tierlib-trace: there is neither a file nor a process %s\n", target.c_str());
    return std::nullopt;
  }
  std::optional<std::string> file = TraceOfProcess(target);
  if (!file.has_value()) {
    std::fprintf(stderr, "tierlib-trace: process %s has no trace open: run it with TIERLIB_TRACE=FILE\n",
                 target.c_str());
  }
  return file;
}

// The trace of a file as it is at each call. A program's is followed; one rank of several is read anew.
class Watched {
 public:
  Watched(const std::string& file, std::optional<int> rank) : file_(file), rank_(rank) {
    if (!rank.has_value() && BeginsAsTrace(file)) follower_.emplace(file);
  }

  // Null after a message; then `exit_code` is what to leave with. Valid until the next call.
  const trace::Trace* Read(int* exit_code) {
    if (follower_.has_value()) {
      const Status status = follower_->Refresh();
      if (status.ok()) return &follower_->trace();
      TellUnreadable(file_, status);
      *exit_code = kUnreadable;
      return nullptr;
    }
    StatusOr<trace::Trace> trace = ReadTraceArgument(file_, rank_);
    *exit_code = trace.status().code() == StatusCode::kInvalidArgument ? kUsage : kUnreadable;
    if (!trace.ok()) return nullptr;
    whole_ = *std::move(trace);
    return &whole_;
  }

 private:
  const std::string file_;
  const std::optional<int> rank_;
  std::optional<trace::TraceFollower> follower_;
  trace::Trace whole_;
};

}  // namespace

int RunTop(const TopOptions& options) {
  if (!(options.interval_s > 0 && options.interval_s <= 3600 && options.window_s > 0 && options.window_s <= 86400)) {
    std::fprintf(stderr, "tierlib-trace: --interval is more than 0 and at most 3600 s, --window at most 86400 s\n");
    return kUsage;
  }
  if (options.target == "-") {
    std::fprintf(stderr, "tierlib-trace: top reads a file again and again: standard input cannot be\n");
    return kUsage;
  }
  const std::optional<std::string> file = FileOf(options.target);
  if (!file.has_value()) return kUnreadable;
  const auto window_ns = static_cast<std::uint64_t>(options.window_s * 1e9);
  Watched watched(*file, options.rank);
  std::optional<Terminal> terminal;  // once there is something to show: messages belong on the first screen
  for (std::uint64_t shown = 0;;) {
    const auto begin = std::chrono::steady_clock::now();
    const bool written = IsBeingWritten(*file);  // before it is read: what ends meanwhile is seen next time
    int exit_code = kOk;
    const trace::Trace* const trace = watched.Read(&exit_code);
    if (trace == nullptr) return exit_code;
    const TopState state = trace->closed ? TopState::kEnded : written ? TopState::kRunning : TopState::kEndedEarly;
    std::string picture = options.json ? TopJson(*file, *trace, window_ns, state)
                                       : TopText(TraceName(*file), *trace, window_ns, state, MayColour(STDOUT_FILENO));
    if (!terminal.has_value()) terminal.emplace(options.json ? Terminal::Draws::kLines : Terminal::Draws::kPictures);
    if (terminal->is_screen()) picture += "q leaves\n";
    if (!terminal->Draw(picture)) {
      std::fprintf(stderr, "tierlib-trace: cannot write to standard output\n");
      return kNotWritten;
    }
    const bool last = ++shown == options.count || state != TopState::kRunning;
    // A screen stays until it is left, so that the last picture can be read.
    if (last && !(terminal->is_screen() && options.count == 0)) {
      return state == TopState::kEndedEarly ? kTruncated : kOk;
    }
    const std::int64_t took_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
    const auto wait_ms = static_cast<int>(std::max<std::int64_t>(static_cast<std::int64_t>(options.interval_s * 1e3),
                                                                 std::min<std::int64_t>(9 * took_ms, 3'600'000)));
    if (terminal->Wait(wait_ms)) return state == TopState::kEndedEarly ? kTruncated : kOk;
  }
}

}  // namespace tierlib::trace_viewer
