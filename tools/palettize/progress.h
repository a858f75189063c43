// A bar on the standard error stream, where that is a terminal; nothing elsewhere.
#ifndef TIERLIB_TOOLS_PALETTIZE_PROGRESS_H_
#define TIERLIB_TOOLS_PALETTIZE_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace tierlib::palettize {

// Thread-safety: one thread at a time.
class Progress {
 public:
  // `total_bytes`: of all that is to be done.
  explicit Progress(std::uint64_t total_bytes);
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `bytes` more are done, and `next` is worked on.
  void Advance(std::uint64_t bytes, const std::string& next);
  // Since it was made.
  double seconds() const;

 private:
  void Draw(const std::string& next);

  const std::uint64_t total_;
  const bool terminal_;
  std::uint64_t done_ = 0;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace tierlib::palettize

#endif  // TIERLIB_TOOLS_PALETTIZE_PROGRESS_H_
