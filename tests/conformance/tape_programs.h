// TapePrograms: what a training program may do with a tape, each a function that notes the bits of all its gradients.
// The same bits are asked for without offload, in every setting, and by two threads at once.
#ifndef TIERLIB_TESTS_CONFORMANCE_TAPE_PROGRAMS_H_
#define TIERLIB_TESTS_CONFORMANCE_TAPE_PROGRAMS_H_

#include <ostream>
#include <vector>

#include "conformance/tape_client.h"

namespace tierlib::autograd {

struct TapeProgram {
  const char* name;
  const char* demands;  // numbers of README.md
  void (*run)(TapeClient& client);
};
inline void PrintTo(const TapeProgram& program, std::ostream* out) { *out << program.name; }

const std::vector<TapeProgram>& TapePrograms();

}  // namespace tierlib::autograd

#endif  // TIERLIB_TESTS_CONFORMANCE_TAPE_PROGRAMS_H_
