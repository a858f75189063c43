// Runs a test's body in a process of its own.
#ifndef TIERLIB_TESTS_IO_IN_CHILD_H_
#define TIERLIB_TESTS_IO_IN_CHILD_H_

#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace tierlib {

// Runs `body` in a process of its own, which may change its limits and its user; true where it returned true.
inline bool InChild(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_IO_IN_CHILD_H_
