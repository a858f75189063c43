// Benchmarks of the clustering kernels, a file for each form.
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
