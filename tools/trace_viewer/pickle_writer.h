// PickleWriter: writes plain values as a Python pickle of protocol 2, with the opcodes that both Python and the reader
// inside PyTorch's memory_viz page know.
//
// Values are written in the order in which they stand. In a list call Item() before each value; in a dict write keys
// and values in turns.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_PICKLE_WRITER_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_PICKLE_WRITER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tierlib::trace_viewer {

class PickleWriter {
 public:
  PickleWriter();

  void Integer(std::int64_t value);
  void Bool(bool value);
  void Text(std::string_view text);  // UTF-8. Written once, then by number

  void BeginDict();
  void EndDict();
  void BeginList();
  void Item();
  void EndList();
  void EndTuple2();  // makes the two values before it a tuple

  // Remembers the value written last. Again(number) stands for it from then on: the same object, as a reader sees it.
  std::uint32_t Remember();
  void Again(std::uint32_t number);

  // The whole pickle. REQUIRES: one value was written, and what was begun has ended.
  std::string Finish() &&;

 private:
  void Byte(char byte) { bytes_ += byte; }
  void LittleEndian(std::uint64_t value, int bytes);

  std::string bytes_;
  std::uint32_t remembered_ = 0;
  std::map<std::string, std::uint32_t, std::less<>> texts_;
  std::vector<int> items_;  // of the lists that are open, since they were last put in
};

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_PICKLE_WRITER_H_
