// What a row should keep on the host, by the formulas of the paper's table.
#ifndef TIERLIB_BENCH_ABLATION_TARGETS_H_
#define TIERLIB_BENCH_ABLATION_TARGETS_H_

#include <cstdint>
#include <string>

#include "ablation/learner.h"

namespace tierlib::bench {

// "" where `host_bytes` of one learner are what the row should keep; otherwise what it should.
//
// For T iterations over W [N], with maps of N x k: none 5T + 1 maps and 2T times W, M 2T maps and one W, MS that by
// learner; MU at most one W, 2T lists of 16-bit indices and 1 MiB of tables, MUS that by learner; exact_with_w one W
// of 16 bits, and exact at most 1 MiB. For the paper's problem: 1600, 544, 68, 97, 12.3, 33 and 1 MiB.
std::string MissedTarget(const Problem& problem, const Row& row, DType dtype, int learners, std::uint64_t host_bytes);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ABLATION_TARGETS_H_
