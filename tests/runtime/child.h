// InChild: a test's code in a child made by fork.
#ifndef TIERLIB_TESTS_RUNTIME_CHILD_H_
#define TIERLIB_TESTS_RUNTIME_CHILD_H_

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace tierlib {

inline constexpr const char* kNoForkHere =
    "ThreadSanitizer ends a child that makes threads, where the parent has any (die_after_fork)";
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kMayFork = false;
#else
inline constexpr bool kMayFork = true;
#endif

// What `body` says in the child: "" where all is as it should be. A child that hangs is ended by an alarm, which is
// told.
inline std::string InChild(const std::function<std::string()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    close(ends[0]);
    const std::string said = body();
    const bool written = write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string said;
  char part[512];
  for (ssize_t count; (count = read(ends[0], part, sizeof part)) > 0;)
    said.append(part, static_cast<std::size_t>(count));
  close(ends[0]);
  int ended = 0;
  waitpid(child, &ended, 0);
  if (WIFSIGNALED(ended)) said += "; ended by signal " + std::to_string(WTERMSIG(ended));
  if (WIFEXITED(ended) && WEXITSTATUS(ended) != 0) said += "; exit status " + std::to_string(WEXITSTATUS(ended));
  return said;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_RUNTIME_CHILD_H_
