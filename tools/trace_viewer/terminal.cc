#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace tierlib::trace_viewer {
namespace {

volatile sig_atomic_t signalled = 0;
void NoteSignal(int) { signalled = 1; }

// The picture cut to the screen: escape sequences take no room, and each UTF-8 character one column.
std::string Fit(const std::string& picture, int rows, int columns) {
  std::string fit;
  int row = 0;
  int column = 0;
  for (std::size_t i = 0; i < picture.size() && row < rows; ++i) {
    const char c = picture[i];
    if (c == '\x1b') {  // up to its letter
      do {
        fit += picture[i];
      } while (!((picture[i] >= 'a' && picture[i] <= 'z') || (picture[i] >= 'A' && picture[i] <= 'Z')) &&
               ++i < picture.size());
      continue;
    }
    if (c == '\n') {
      ++row;
      column = 0;
      fit += row < rows ? "\x1b[K\r\n" : "\x1b[K";
      continue;
    }
    const bool starts_character = (c & 0xC0) != 0x80;
    if (starts_character) ++column;
    if (column <= columns) fit += c;
  }
  return fit;
}

}  // namespace

Terminal::Terminal(Draws draws) : draws_(draws) {
  struct sigaction action = {};
  action.sa_handler = NoteSignal;  // without SA_RESTART: poll returns
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  is_screen_ = draws == Draws::kPictures && isatty(STDOUT_FILENO) == 1;
  has_keys_ = is_screen_ && isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before_) == 0;
  if (has_keys_) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    is_raw_ = true;
  }
  if (is_screen_) std::fputs("\x1b[?1049h\x1b[?25l", stdout);  // the second screen, without a cursor
}

Terminal::~Terminal() {
  if (is_screen_) std::fputs("\x1b[?25h\x1b[?1049l", stdout);
  std::fflush(stdout);
  if (is_raw_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

bool Terminal::Draw(const std::string& picture) {
  if (is_screen_) {
    winsize size = {};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    std::fputs("\x1b[H", stdout);
    std::fputs(Fit(picture, known ? size.ws_row : 24, known ? size.ws_col : 80).c_str(), stdout);
    std::fputs("\x1b[J", stdout);
  } else {
    if (drawn_ && draws_ == Draws::kPictures) std::fputc('\n', stdout);
    std::fputs(picture.c_str(), stdout);
  }
  drawn_ = true;
  return std::fflush(stdout) == 0;
}

bool Terminal::Wait(int ms) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(ms);
  for (;;) {
    if (signalled != 0) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&input, has_keys_ ? 1 : 0, static_cast<int>(left.count()));
    if (ready <= 0) continue;  // the time is up, or a signal came
    char key = 0;
    const ssize_t count = read(STDIN_FILENO, &key, 1);
    if (count == 1 && (key == 'q' || key == 'Q' || key == 3)) return true;
    if (count == 0 || (count < 0 && errno != EINTR)) has_keys_ = false;  // nobody is there any more
  }
}

}  // namespace tierlib::trace_viewer
