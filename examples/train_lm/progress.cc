#include "train_lm/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace train_lm {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr std::int64_t kLines = 20;  // at most this many plain lines for the steps of a run
constexpr std::size_t kShortestBar = 8;
constexpr std::size_t kLongestBar = 24;

// https://no-color.org: present and not empty.
bool ColorWanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

// Of the terminal; 80 where it does not tell.
std::size_t Columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string Printed(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

Progress::Progress(const tierlib::Runtime& runtime)
    : runtime_(runtime), terminal_(isatty(STDERR_FILENO) != 0), color_(terminal_ && ColorWanted()) {}

Progress::~Progress() {
  if (drawn_ > 0) std::fputc('\n', stderr);
}

void Progress::Note(const std::string& text) {
  if (drawn_ > 0) std::fprintf(stderr, "\r%*s\r", static_cast<int>(drawn_), "");
  drawn_ = 0;
  std::fprintf(stderr, "%s\n", text.c_str());
}

void Progress::Evaluated(std::int64_t done, std::int64_t total) {
  if (terminal_ && Due(done, total)) Draw("evaluating", done, total, "");
}

void Progress::Stepped(std::int64_t done, std::int64_t total, double loss, double tokens_per_s) {
  if (!Due(done, total)) return;
  const std::string details =
      "loss " + Printed("%.4f", loss) + "  " + Printed("%.0f", tokens_per_s) + " tok/s" + Tiers();
  if (terminal_) {
    Draw("training", done, total, details);
  } else {
    Note("step " + std::to_string(done) + "/" + std::to_string(total) + "  " + details);
  }
}

bool Progress::Due(std::int64_t done, std::int64_t total) {
  if (done == total) return true;
  if (!terminal_) return done % ((total + kLines - 1) / kLines) == 0;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < kRedraw) return false;
  last_ = now;
  return true;
}

std::string Progress::Tiers() const {
  const tierlib::Statistics statistics = runtime_.statistics();
  return "  peak device " + tierlib::FormatBytes(statistics.device.live_peak) + ", host " +
         tierlib::FormatBytes(statistics.pinned.live_peak + statistics.pageable.live_peak);
}

void Progress::Draw(const char* what, std::int64_t done, std::int64_t total, const std::string& details) {
  const std::string head = std::string(what) + " [";
  std::string tail = "] " + std::to_string(done) + "/" + std::to_string(total) + "  " + details;
  // On one line: what wraps cannot be drawn over. The bar gives way first, then the end of the details.
  const std::size_t columns = Columns() - 1;
  const std::size_t text = head.size() + tail.size();
  const std::size_t length = std::clamp(columns > text ? columns - text : 0, kShortestBar, kLongestBar);
  if (text + length > columns) tail.resize(columns > head.size() + length ? columns - head.size() - length : 0);
  const auto filled = static_cast<std::size_t>(done) * length / static_cast<std::size_t>(total > 0 ? total : 1);
  const std::string bar = std::string(filled, '#') + std::string(length - filled, '.');
  const std::size_t width = head.size() + length + tail.size();
  const std::string erase(drawn_ > width ? drawn_ - width : 0, ' ');  // what was drawn before may be longer
  std::fprintf(stderr, "\r%s%s%s%s%s%s", head.c_str(), color_ ? "\033[32m" : "", bar.c_str(), color_ ? "\033[0m" : "",
               tail.c_str(), erase.c_str());
  std::fflush(stderr);
  drawn_ = width;
}

}  // namespace train_lm
