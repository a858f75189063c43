// A table of text with aligned columns.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_TEXT_TABLE_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_TEXT_TABLE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace tierlib::trace_viewer {

class TextTable {
 public:
  // Each line begins with `indent` spaces.
  explicit TextTable(std::size_t indent = 0) : indent_(indent) {}

  // Rows may have different numbers of cells.
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Columns are as wide as their widest cell, three spaces apart; no line ends with spaces.
  std::string ToString() const;

 private:
  std::size_t indent_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_TEXT_TABLE_H_
