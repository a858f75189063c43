// Status and StatusOr<T>: how tierlib reports events such as "the tier is full".
//
// Nothing in tierlib throws. Codes and their numbers are Abseil's, so that a program which uses Abseil can convert
// with a cast. A Status made from a code alone allocates nothing; a message costs one shared string.
//
// Thread-safety: values; distinct objects may be used from distinct threads.
#ifndef TIERLIB_STATUS_H_
#define TIERLIB_STATUS_H_

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace tierlib {

enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,   // a size, stride, option or file content that can never be right
  kDeadlineExceeded = 4,  // shutting down took longer than allowed
  kNotFound = 5,          // a file, tensor name or stream that is not there
  kAlreadyExists = 6,
  kPermissionDenied = 7,    // the operating system refused
  kResourceExhausted = 8,   // a tier is full: a normal signal
  kFailedPrecondition = 9,  // freed or never owned; written while a copy is in flight
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,  // this build or machine cannot do it (no driver, no kernel)
  kInternal = 13,
  kUnavailable = 14,  // the device is lost
  kDataLoss = 15,     // bytes are known to be wrong: a bad checksum, a failed copy
};

// The name of a code as Abseil prints it, for example "RESOURCE_EXHAUSTED".
const char* StatusCodeName(StatusCode code) noexcept;

class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  explicit Status(StatusCode code) noexcept : code_(code) {}
  // A message is one line that names the thing and what would be right. Where memory for it is missing, the code stays.
  Status(StatusCode code, std::string_view message) noexcept : code_(code) {
    if (code == StatusCode::kOk) return;
    try {
      message_ = std::make_shared<const std::string>(message);
    } catch (const std::bad_alloc&) {
    }
  }

  bool ok() const noexcept { return code_ == StatusCode::kOk; }
  StatusCode code() const noexcept { return code_; }
  std::string_view message() const noexcept { return message_ ? std::string_view(*message_) : std::string_view(); }
  // "OK" or "CODE: message".
  std::string ToString() const;

  friend bool operator==(const Status& a, const Status& b) noexcept {
    return a.code_ == b.code_ && a.message() == b.message();
  }
  friend bool operator!=(const Status& a, const Status& b) noexcept { return !(a == b); }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::shared_ptr<const std::string> message_;
};

inline Status OkStatus() noexcept { return Status(); }
inline Status InvalidArgumentError(std::string_view m) noexcept { return Status(StatusCode::kInvalidArgument, m); }
inline Status NotFoundError(std::string_view m) noexcept { return Status(StatusCode::kNotFound, m); }
inline Status ResourceExhaustedError(std::string_view m) noexcept { return Status(StatusCode::kResourceExhausted, m); }
inline Status FailedPreconditionError(std::string_view m) noexcept {
  return Status(StatusCode::kFailedPrecondition, m);
}
inline Status UnimplementedError(std::string_view m) noexcept { return Status(StatusCode::kUnimplemented, m); }
inline Status InternalError(std::string_view m) noexcept { return Status(StatusCode::kInternal, m); }
inline Status UnavailableError(std::string_view m) noexcept { return Status(StatusCode::kUnavailable, m); }
inline Status DataLossError(std::string_view m) noexcept { return Status(StatusCode::kDataLoss, m); }

inline std::ostream& operator<<(std::ostream& out, const Status& status) { return out << status.ToString(); }

// A T or the Status that says why there is none. REQUIRES: not constructed from an OK status.
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  using value_type = T;

  StatusOr(Status status) noexcept : status_(std::move(status)) {  // NOLINT: implicit, as in Abseil
    if (status_.ok()) static_cast<void>(status_ = InternalError("StatusOr made from an OK status"));
  }
  template <typename U = T,
            typename = std::enable_if_t<std::is_constructible_v<T, U&&> && !std::is_same_v<std::decay_t<U>, Status> &&
                                        !std::is_same_v<std::decay_t<U>, StatusOr>>>
  StatusOr(U&& value) : value_(std::forward<U>(value)) {}  // NOLINT: implicit, as in Abseil

  bool ok() const noexcept { return value_.has_value(); }
  const Status& status() const& noexcept { return status_; }
  Status status() && noexcept { return std::move(status_); }

  // Checked access: prints the status and aborts where there is no value.
  T& value() & {
    Require();
    return *value_;
  }
  const T& value() const& {
    Require();
    return *value_;
  }
  T&& value() && {
    Require();
    return *std::move(value_);
  }

  // Unchecked access. REQUIRES: ok().
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  void Require() const {
    if (ok()) return;
    std::fprintf(stderr, "tierlib: value() of a failed StatusOr: %s\n", status_.ToString().c_str());
    std::abort();
  }

  Status status_;
  std::optional<T> value_;
};

}  // namespace tierlib

// Leaves the function with the status of `expr` where that is not OK.
#define TIERLIB_RETURN_IF_ERROR(expr)                  \
  do {                                                 \
    ::tierlib::Status tierlib_status_ = (expr);        \
    if (!tierlib_status_.ok()) return tierlib_status_; \
  } while (false)

#define TIERLIB_CONCAT_INNER_(a, b) a##b
#define TIERLIB_CONCAT_(a, b) TIERLIB_CONCAT_INNER_(a, b)

// Declares or assigns `lhs` from a StatusOr, or leaves the function with its status.
#define TIERLIB_ASSIGN_OR_RETURN(lhs, expr) \
  TIERLIB_ASSIGN_OR_RETURN_IMPL_(TIERLIB_CONCAT_(tierlib_status_or_, __LINE__), lhs, expr)
#define TIERLIB_ASSIGN_OR_RETURN_IMPL_(temporary, lhs, expr) \
  auto temporary = (expr);                                   \
  if (!temporary.ok()) return std::move(temporary).status(); \
  lhs = *std::move(temporary)

#endif  // TIERLIB_STATUS_H_
