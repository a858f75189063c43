// What a benchmark says of where and when it ran.
#ifndef TIERLIB_BENCH_MACHINE_H_
#define TIERLIB_BENCH_MACHINE_H_

#include <string>

namespace tierlib::bench {

std::string Machine();  // "AMD EPYC, 2 processors"
std::string Date();     // "2026-11-29T13:40:02Z"

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_MACHINE_H_
