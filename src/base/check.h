// TIERLIB_CHECK: always on, for our own state being provably corrupt. TIERLIB_DCHECK: debug builds, for costly checks.
// Anything a user or the machine can cause is a Status instead.
#ifndef TIERLIB_SRC_BASE_CHECK_H_
#define TIERLIB_SRC_BASE_CHECK_H_

namespace tierlib::internal {
// Prints "file:line: check failed: condition: message" and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const char* message) noexcept;
}  // namespace tierlib::internal

#define TIERLIB_CHECK(condition, message)                                                        \
  do {                                                                                           \
    if (!(condition)) ::tierlib::internal::CheckFailed(__FILE__, __LINE__, #condition, message); \
  } while (false)

#ifndef NDEBUG
#define TIERLIB_DCHECK(condition, message) TIERLIB_CHECK(condition, message)
#else
#define TIERLIB_DCHECK(condition, message) \
  do {                                     \
    if (false && (condition)) {            \
    }                                      \
  } while (false)
#endif

#endif  // TIERLIB_SRC_BASE_CHECK_H_
