// Completions: the command line of a program as a script that completes it in bash, zsh or fish.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_COMPLETIONS_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_COMPLETIONS_H_

#include <string>
#include <vector>

namespace tierlib::trace_viewer {

struct CompletedOption {
  std::vector<std::string> names;  // "-o", "--output"
  std::string help;                // one line
  bool takes_value = false;
  std::vector<std::string> choices;  // of the value; none: a file, where `names_file`
  bool names_file = false;
};

struct CompletedCommand {
  std::string name;
  std::string help;
  std::vector<CompletedOption> options;
  std::vector<std::string> choices;  // of its argument; none: files
};

// The script for `shell`: "bash", "zsh" or "fish".
std::string CompletionScript(const std::string& shell, const std::string& program,
                             const std::vector<CompletedCommand>& commands);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_COMPLETIONS_H_
