// Terminal: the screen and keys of a command that draws until it is left. Puts everything back as it was.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_TERMINAL_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_TERMINAL_H_

#include <termios.h>

#include <string>

namespace tierlib::trace_viewer {

class Terminal {
 public:
  // As pictures: where standard output is a terminal, takes its second screen, and keys one by one where standard input
  // is one too. Elsewhere Draw prints one picture after the other with a line between them, and there are no keys; as
  // lines everywhere, and without that line. SIGINT and SIGTERM end Wait as a key does.
  enum class Draws { kPictures, kLines };
  explicit Terminal(Draws draws);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool is_screen() const { return is_screen_; }

  // Shows the picture: lines that end with '\n'. What does not fit on the screen is cut. False where it cannot be
  // written.
  bool Draw(const std::string& picture);

  // Waits for at most `ms`. True where the user wants to leave: 'q', or a signal.
  bool Wait(int ms);

 private:
  const Draws draws_;
  bool is_screen_ = false;
  bool has_keys_ = false;  // somebody may press one
  bool is_raw_ = false;    // until it goes
  bool drawn_ = false;
  termios before_ = {};
};

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_TERMINAL_H_
