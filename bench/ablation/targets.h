// What a row should keep on the host, by the formulas of the paper's table, and how near its gradient should be.
#ifndef TIERLIB_BENCH_ABLATION_TARGETS_H_
#define TIERLIB_BENCH_ABLATION_TARGETS_H_

#include <cstdint>
#include <string>

#include "ablation/learner.h"

namespace tierlib::bench {

// "" where `host_bytes` of one learner are what the row should keep; otherwise what it should.
//
// For T iterations over W [N] with U distinct values and maps of N x k: none 5T + 1 maps and 2T times W, M 2T maps and
// one W, MU one W, 2T tables of U x k and the U values; S shares what has 64 KiB at least between the learners;
// dense nothing, exact_with_w one W of 16 bits, and exact nothing of size N. All of it within 2 % and 8 KiB, and for
// the paper's problem within what its issue names: 1600, 544 and 68 MiB within 1, 1 and 0.5, and at most 97, 12.3, 33
// and 1 MiB.
std::string MissedTarget(const Problem& problem, const Row& row, DType dtype, int learners, std::uint64_t host_bytes);

// "" where `error`, relative to the gradient in float64, is what rounding explains: of chains in bf16, of chains in
// f32, of the exact form.
std::string MissedAccuracy(const Row& row, DType dtype, double error);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ABLATION_TARGETS_H_
