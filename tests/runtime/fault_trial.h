// Trial: one run of a small program over the public verbs, while something injects failures into the library. Each call
// that fails is looked at and made again with the injection paused, so every program runs to its end. What a program
// does beside the library never fails.
#ifndef TIERLIB_TESTS_RUNTIME_FAULT_TRIAL_H_
#define TIERLIB_TESTS_RUNTIME_FAULT_TRIAL_H_

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"
#include "tierlib/tierlib.h"

namespace tierlib {

// What makes things fail.
class Injector {
 public:
  virtual ~Injector() = default;
  virtual std::uint64_t failures() const = 0;  // injected so far
  virtual void Pause() = 0;                    // nothing fails and nothing is counted until Resume; nests
  virtual void Resume() = 0;
};

// Within a Trial nothing fails outside such a scope.
class Injecting {
 public:
  explicit Injecting(Injector& injector) : injector_(injector) { injector_.Resume(); }
  ~Injecting() { injector_.Pause(); }
  Injecting(const Injecting&) = delete;
  Injecting& operator=(const Injecting&) = delete;

 private:
  Injector& injector_;
};

// In what the library calls of the program's.
class NotInjecting {
 public:
  explicit NotInjecting(Injector& injector) : injector_(injector) { injector_.Pause(); }
  ~NotInjecting() { injector_.Resume(); }
  NotInjecting(const NotInjecting&) = delete;
  NotInjecting& operator=(const NotInjecting&) = delete;

 private:
  Injector& injector_;
};

class Trial {
 public:
  Trial(Injector& with, Options options) : injector(with), options_(std::move(options)) { injector.Pause(); }
  // Ends the runtime, with failures, where a scenario did not get there.
  ~Trial();

  // Makes the runtime and its two streams.
  void Start(bool with_memory = false);
  // Everything of the scenario is dropped: nothing may be left. Ends the runtime.
  void Finish();

  // `call`, and where it fails: it says so by the codes that tell of failures outside, everything else is as it was,
  // and it works once nothing fails any more.
  template <typename Call>
  auto Try(const char* what, Call call) -> decltype(call()) {
    const std::uint64_t before = injector.failures();
    decltype(call()) result = Status(StatusCode::kInternal);
    try {
      const Injecting injecting(injector);
      result = call();
    } catch (const std::exception& thrown) {
      ADD_FAILURE() << what << " throws " << thrown.what();
    }
    if (!Succeeded(what, StatusOf(result), before)) {
      CheckInvariants();
      result = call();
      Require(what, StatusOf(result));
    }
    return result;
  }
  // Drops what it is given while things fail.
  template <typename T>
  void Drop(T& dropped) {
    const Injecting injecting(injector);
    const T gone = std::move(dropped);
  }

  // --- Verbs
  // ----------------------------------------------------------------------------------------------------------
  Allocation Make(const Bytes& bytes, Holds holds = Holds::kTransient, int stream = 0);
  Adopted AdoptOne(const Bytes& bytes);
  Saved Pack(StorageId id, const Layout& layout, Keepalive keepalive = nullptr, int stream = 0);
  Loaded Unpack(const Saved& saved, int stream = 0);
  // The value that comes back has these elements.
  void ExpectBack(const Saved& saved, const Bytes& storage, int stream = 0);
  void Retire(StorageId id, int stream = 0);
  void Derive(const View& derived, const View& source, Replay replay);
  void Drain();

  // --- What the program does beside the verbs
  // -------------------------------------------------------------------------
  void Write(void* to, Bytes bytes, int stream = 0);
  Bytes Read(const Loaded& loaded, int stream = 0);
  Keepalive TakeMemory(std::size_t bytes);
  // As a framework's own allocator for reloads, over the program's memory.
  std::shared_ptr<DeviceAllocator> Allocator();
  // `later` comes after what the program enqueued on the other streams.
  void Order(int later);

  void CheckInvariants();
  int failed_calls() const { return failed_calls_; }

  Injector& injector;
  std::unique_ptr<ProgramMemory> memory;  // before the runtime, which may give some back when it goes
  std::unique_ptr<Runtime> runtime;
  DeviceBackend* device = nullptr;
  std::vector<Stream> streams;

 private:
  static Status StatusOf(const Status& status) { return status; }
  template <typename T>
  static Status StatusOf(const StatusOr<T>& result) {
    return result.status();
  }
  bool Succeeded(const char* what, const Status& status, std::uint64_t failures_before);
  // Ends the scenario where a call does not work though nothing fails any more.
  void Require(const char* what, const Status& status);

  const Options options_;
  int failed_calls_ = 0;
};

// What Require throws; caught where scenarios are run.
struct TrialEnded {};

struct Scenario {
  const char* name;
  void (*run)(Injector& injector, const Options& base);
  std::uint64_t least_points;  // calls that may fail, of the device and the tiers
};
inline void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

// `base`: options to start from.
const std::vector<Scenario>& FaultScenarios();

}  // namespace tierlib

#endif  // TIERLIB_TESTS_RUNTIME_FAULT_TRIAL_H_
