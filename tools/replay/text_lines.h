// Lines and numbers of text logs. Views into the text: nothing is copied, however long a line is.
#ifndef TIERLIB_TOOLS_REPLAY_TEXT_LINES_H_
#define TIERLIB_TOOLS_REPLAY_TEXT_LINES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "tierlib/status.h"

namespace tierlib::trace_replay {

class TextLines {
 public:
  explicit TextLines(std::string_view text);

  // The next line, without its end ("\n" or "\r\n"). False at the end of the text.
  bool Next(std::string_view* line);
  std::uint64_t number() const { return number_; }  // of the line last taken, from 1
  // The line last taken had no end: the file may be cut there.
  bool unended() const { return unended_; }

 private:
  std::string_view rest_;
  std::uint64_t number_ = 0;
  bool unended_ = false;
};

// The text up to `separator`, which is taken off `rest` with it.
std::string_view TakeField(std::string_view* rest, char separator);

// "4096". False for anything else, also beyond 64 bits.
bool ParseDecimal(std::string_view text, std::uint64_t* value);
// "0x7f00", "7F00", and what libraries print for a null pointer: "(nil)".
bool ParseHexadecimal(std::string_view text, std::uint64_t* value);

// 'line 7: size "12x" should be a number of bytes, as 4096'.
Status WrongField(std::uint64_t line, std::string_view field, std::string_view text, std::string_view right);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_TEXT_LINES_H_
