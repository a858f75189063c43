// Runs a program as a user does: arguments, standard input, what it prints, and its exit code.
#ifndef TIERLIB_TESTS_IO_RUN_PROGRAM_H_
#define TIERLIB_TESTS_IO_RUN_PROGRAM_H_

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io/temporary_folder.h"

namespace tierlib {

struct Ran {
  int exit_code = -1;  // negative: the signal that ended it
  std::string out;
  std::string errors;
};

// `output`: where standard output goes instead of `out`.
inline Ran RunProgramAt(const std::string& program, std::vector<std::string> arguments,
                        const std::string& input = "/dev/null", const std::string& output = "") {
  TemporaryFolder folder;
  const std::string out = output.empty() ? folder / "out" : output;
  const std::string errors = folder / "errors";
  arguments.insert(arguments.begin(), program);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t child = 0;
  Ran ran;
  if (posix_spawnp(&child, program.c_str(), &actions, nullptr, pointers.data(), environ) == 0) {
    int status = 0;
    waitpid(child, &status, 0);
    ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (output.empty()) ran.out = ReadWhole(out);
    ran.errors = ReadWhole(errors);
  }
  posix_spawn_file_actions_destroy(&actions);
  return ran;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_IO_RUN_PROGRAM_H_
