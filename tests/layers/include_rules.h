// Who may include whom: the one-way flow of docs/design.md as a table and a function.
#ifndef TIERLIB_TESTS_LAYERS_INCLUDE_RULES_H_
#define TIERLIB_TESTS_LAYERS_INCLUDE_RULES_H_

#include <string>
#include <vector>

namespace tierlib {

struct Include {
  std::string file;  // relative to the repository, as src/graph/lineage.cc
  int line = 0;
  std::string target;  // what stands between the quotes or brackets
  bool quoted = false;
};

// The includes of a file's text.
std::vector<Include> FindIncludes(const std::string& file, const std::string& text);

// Empty where the include is allowed; otherwise why it is not.
std::string WhyForbidden(const Include& include);

}  // namespace tierlib

#endif  // TIERLIB_TESTS_LAYERS_INCLUDE_RULES_H_
