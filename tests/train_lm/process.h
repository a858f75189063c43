// Runs train_lm as a process, as a user would.
#ifndef TIERLIB_TESTS_TRAIN_LM_PROCESS_H_
#define TIERLIB_TESTS_TRAIN_LM_PROCESS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace train_lm {

struct ProcessResult {
  int exit_code = -1;  // 128 + the signal where one ended it
  std::string out;
  std::string err;
};

struct ProcessLimits {
  std::uint64_t file_bytes = 0;  // RLIMIT_FSIZE; 0: none
  bool as_nobody = false;        // drops root, which may write anywhere
  std::string terminate_at;      // SIGTERM as soon as this file exists; "": never
  int processes = 0;             // that mpirun starts, with --mpi; 0: the program by itself
};

// Runs the program with these arguments in a fresh environment without TIERLIB_TRACE, and waits for it.
ProcessResult RunTrainLm(const std::vector<std::string>& arguments, const ProcessLimits& limits = {});

// Runs it with "--report" into `folder`, expects success and returns the report.
nlohmann::json ReportOf(const std::string& folder, std::vector<std::string> arguments,
                        const ProcessLimits& limits = {});

// Expects this exit code and one line on stderr that begins with "train_lm: "; returns the line.
std::string OneLineOf(const ProcessResult& result, int exit_code);

}  // namespace train_lm

#endif  // TIERLIB_TESTS_TRAIN_LM_PROCESS_H_
