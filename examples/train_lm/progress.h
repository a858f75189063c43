// What the user sees while train_lm works: on a terminal a bar that is drawn over itself, elsewhere plain lines now and
// then. On the standard error stream, so that results stay apart.
#ifndef TRAIN_LM_PROGRESS_H_
#define TRAIN_LM_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "tierlib/tierlib.h"

namespace train_lm {

// Thread-safety: one thread at a time.
class Progress {
 public:
  // REQUIRES: the runtime outlives it.
  explicit Progress(const tierlib::Runtime& runtime);
  // Ends the bar's line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // A line of its own.
  void Note(const std::string& text);
  // `done` of `total` windows are evaluated.
  void Evaluated(std::int64_t done, std::int64_t total);
  // `done` of `total` steps are taken; the last had this loss; `tokens_per_s` over the run so far.
  void Stepped(std::int64_t done, std::int64_t total, double loss, double tokens_per_s);

 private:
  void Draw(const char* what, std::int64_t done, std::int64_t total, const std::string& details);
  bool Due(std::int64_t done, std::int64_t total);
  std::string Tiers() const;

  const tierlib::Runtime& runtime_;
  const bool terminal_;
  const bool color_;
  std::size_t drawn_ = 0;  // width of the bar's line now on the screen
  std::chrono::steady_clock::time_point last_;
};

}  // namespace train_lm

#endif  // TRAIN_LM_PROGRESS_H_
