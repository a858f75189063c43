// CuptiCorrelation: tells CUPTI which step and op the calling thread is in, as external correlation ids. A profiler
// that asks CUPTI for them (CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION) has a record for each kernel and copy that was
// launched meanwhile: its correlationId, and as externalId the subject of the trace's OpBegin or StepBegin.
//
// CUPTI is the profiler's: it is looked up where one has loaded it before, and never loaded here. Without one, and
// where it has no such functions, calls do nothing.
//
// Thread-safety: any thread; a Push and its Pop on one thread.
#ifndef TIERLIB_SRC_TRACE_CUDA_CUPTI_CORRELATION_H_
#define TIERLIB_SRC_TRACE_CUDA_CUPTI_CORRELATION_H_

#include <cstdint>

namespace tierlib::trace {

class CuptiCorrelation {
 public:
  // Kinds of CUPTI's that are free for programs, so that numbers of steps and ops are told apart.
  enum class Kind { kStep, kOp };  // CUSTOM0, CUSTOM1

  CuptiCorrelation();
  CuptiCorrelation(const CuptiCorrelation&) = delete;
  CuptiCorrelation& operator=(const CuptiCorrelation&) = delete;
  ~CuptiCorrelation();

  bool is_there() const { return push_ != nullptr && pop_ != nullptr; }
  void Push(Kind kind, std::uint64_t id) const;
  void Pop(Kind kind) const;

 private:
  // As cupti.h has them, with its enums as the ints that they are.
  using PushFunction = int (*)(int kind, std::uint64_t id);
  using PopFunction = int (*)(int kind, std::uint64_t* last);

  void* library_ = nullptr;  // null: in the program itself, or nowhere
  PushFunction push_ = nullptr;
  PopFunction pop_ = nullptr;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CUDA_CUPTI_CORRELATION_H_
