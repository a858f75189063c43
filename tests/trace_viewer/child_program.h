// ChildProgram: a program that runs beside the test, with pipes to its standard input and output.
#ifndef TIERLIB_TESTS_TRACE_VIEWER_CHILD_PROGRAM_H_
#define TIERLIB_TESTS_TRACE_VIEWER_CHILD_PROGRAM_H_

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace tierlib::trace_viewer {

class ChildProgram {
 public:
  // The first of the arguments is the program; `environment` is set for it, as "NAME=value".
  explicit ChildProgram(std::vector<std::string> arguments, const std::vector<std::string>& environment = {}) {
    int input[2];
    int output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) std::abort();
    std::vector<std::string> all = environment;
    for (char** variable = environ; *variable != nullptr; ++variable) all.emplace_back(*variable);
    std::vector<char*> variables;
    for (std::string& variable : all) variables.push_back(variable.data());
    variables.push_back(nullptr);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], 0);
    posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    if (posix_spawnp(&id_, pointers[0], &actions, nullptr, pointers.data(), variables.data()) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
    close(input[0]);
    close(output[1]);
    input_ = input[1];
    output_ = output[0];
  }
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;
  ~ChildProgram() {
    if (id_ > 0) kill(id_, SIGKILL);
    (void)Wait();
    close(output_);
  }

  pid_t id() const { return id_; }
  // Reads up to and without the next '\n'; what there is where output ends first.
  std::string ReadLine() {
    std::string line;
    for (char c = 0; read(output_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  void Signal(int signal) const { kill(id_, signal); }
  void EndInput() {
    if (input_ >= 0) close(input_);
    input_ = -1;
  }
  // Its exit code; negative: the signal that ended it.
  int Wait() {
    EndInput();
    if (id_ <= 0) return code_;
    int status = 0;
    waitpid(id_, &status, 0);
    id_ = -1;
    return code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t id_ = -1;
  int input_ = -1;
  int output_ = -1;
  int code_ = -1;
};

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TESTS_TRACE_VIEWER_CHILD_PROGRAM_H_
