#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "tierlib/bytes.h"
#include "trace_viewer/numbers.h"

namespace tierlib::palettize {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr std::size_t kBar = 24;
constexpr char kClearLine[] = "\r\033[K";

std::size_t Columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::uint64_t total_bytes)
    : total_(total_bytes), terminal_(isatty(STDERR_FILENO) != 0), start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (terminal_) std::fputs(kClearLine, stderr);
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::Advance(std::uint64_t bytes, const std::string& next) {
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - drawn_ < kRedraw) return;
  drawn_ = now;
  Draw(next);
}

void Progress::Draw(const std::string& next) {
  const double part = total_ == 0 ? 1 : static_cast<double>(done_) / static_cast<double>(total_);
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(kBar));
  std::string line = "[" + std::string(filled, '#') + std::string(kBar - filled, '.') + "] " +
                     trace_viewer::FormatPercent(done_, total_) + " of " + FormatBytes(total_) + "  " +
                     trace_viewer::FormatRate(static_cast<double>(done_) / seconds()) + "  " +
                     trace_viewer::Printable(next);
  line.resize(std::min(line.size(), Columns() - 1));  // what wraps cannot be drawn over
  std::fprintf(stderr, "%s%s", kClearLine, line.c_str());
  std::fflush(stderr);
}

}  // namespace tierlib::palettize
