#include "base/fork_mark.h"

#include <pthread.h>
#include <unistd.h>

#include <new>
#include <string>

namespace tierlib {
namespace {

constinit std::atomic<internal::LeftBehind*> newest_left{nullptr};

// No handler takes a lock: before the fork it might wait for a thread of the program for as long as that pleases.
bool Register() {
  const auto in_child = [] { internal::fork_generation.fetch_add(1, std::memory_order_relaxed); };
  if (pthread_atfork(nullptr, nullptr, in_child) != 0) throw std::bad_alloc();
  return true;
}

std::uint64_t RegisteredGeneration() {
  [[maybe_unused]] static const bool registered = Register();
  return internal::fork_generation.load(std::memory_order_relaxed);
}

}  // namespace

void internal::Keep(LeftBehind* left) {
  left->next = newest_left.load(std::memory_order_relaxed);
  while (!newest_left.compare_exchange_weak(left->next, left)) {
  }
}

ForkMark::ForkMark() : generation_(RegisteredGeneration()), process_(getpid()) {}

Status ForkMark::Refused() const {
  return FailedPreconditionError("this runtime belongs to process " + std::to_string(process_) +
                                 "; after fork() make a new one");
}

}  // namespace tierlib
