// What a job needs, computed before it runs: the trainer's own code on a device without bytes
// (EmulatedSchedule::kShapeOnly), where a step takes milliseconds and every allocation is made as in the true run.
#ifndef TRAIN_LM_MEMORY_PLAN_H_
#define TRAIN_LM_MEMORY_PLAN_H_

#include <cstdint>
#include <string>

#include "tierlib/tierlib.h"
#include "train_lm/trainer.h"

namespace train_lm {

// The runtime that the options ask for, without a plan for its peak.
tierlib::Options RuntimeOptions(const Options& options);

// With --device cuda: what is missing for that, or OK. The device is opened for a moment.
tierlib::Status CheckDevice(const Options& options);

// ResourceExhausted where the address space of this process does not hold --device-memory and --host-memory.
tierlib::Status CheckAddressSpace(const Options& options);

// ResourceExhausted where --device-memory does not even hold what no offload can move, and that is so much that making
// it on the host, as CheckMemory needs it, would take minutes or all memory.
tierlib::Status CheckLeastMemory(const Options& options, const ModelShape& shape);

// OK where the job fits into --device-memory (with --device cuda: less some room for workspaces) and --host-memory.
// ResourceExhausted is one line for the user, with the figures that would suffice: given as --device-memory they do,
// and 3 % less does not.
tierlib::Status CheckMemory(const Job& job);

// Device bytes that the job needs with --offload off.
tierlib::StatusOr<std::uint64_t> DeviceBytesWithoutOffload(const Job& job);

// What the device is to hold at most in the job's steps, so that memory runs short in the fewest of them; 0 where
// nothing is to be planned: there is enough, or no plan was found with which the job fits. --target-peak where that is
// given.
tierlib::StatusOr<std::uint64_t> ChooseTargetPeak(const Job& job);

// The smallest size of three digits that is at least `bytes`, as --device-memory reads it: "131 MiB".
std::string FormatEnough(std::uint64_t bytes);

}  // namespace train_lm

#endif  // TRAIN_LM_MEMORY_PLAN_H_
