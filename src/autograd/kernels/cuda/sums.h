// Sums of many terms for many results, in a fixed order and in float64. ColumnSums: neighbouring results lie side by
// side, so neighbouring threads take them. TermSums: the terms of one result do. Where there are few results, terms are
// cut into parts whose sums meet in the workspace and are added in order; how many depends on the shape alone.
//
// A Term has kValues, how many values are summed at once, and Add(term, result, sums). A Result has Put(part, result,
// value, sum).
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SUMS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SUMS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "autograd/kernels/cuda/row_kernel.h"

namespace tierlib::autograd::cuda {

// How the sums are cut.
struct SumParts {
  std::int64_t results = 0;
  std::int64_t terms = 0;
  std::int64_t parts = 1;
  std::int64_t part_terms = 0;

  // `wanted` parts, of at least `least` terms each.
  static SumParts Of(std::int64_t results, std::int64_t terms, std::int64_t wanted, std::int64_t least) {
    SumParts p{results, terms, 1, terms};
    p.parts = std::clamp<std::int64_t>(terms / least, 1, std::max<std::int64_t>(1, wanted));
    p.part_terms = (terms + p.parts - 1) / p.parts;
    return p;
  }
  // Enough to have about a thousand blocks, which is more than a device runs at once.
  static SumParts OfColumns(std::int64_t results, std::int64_t terms) {
    return Of(results, terms, 1024 / std::max<std::int64_t>(1, (results + 31) / 32), 64);
  }
  static SumParts OfTerms(std::int64_t results, std::int64_t terms) {
    return Of(results, terms, 1024 / std::max<std::int64_t>(1, results), 4096);
  }
  std::size_t WorkspaceBytes(int values) const {
    return parts == 1 ? 0 : static_cast<std::size_t>(parts * results * values) * sizeof(double);
  }
  TIERLIB_HOST_DEVICE std::int64_t First(std::int64_t part) const {
    return part * part_terms < terms ? part * part_terms : terms;
  }
};

// Sums of parts, and what reads them again: [parts][values][results].
template <int kCount>
struct StoreParts {
  std::int64_t results = 0;
  double* sums = nullptr;
  TIERLIB_HOST_DEVICE void Put(std::int64_t part, std::int64_t result, int value, double sum) const {
    sums[(part * kCount + value) * results + result] = sum;
  }
};
template <int kCount>
struct LoadParts {
  static constexpr int kValues = kCount;
  std::int64_t results = 0;
  const double* parts = nullptr;
  TIERLIB_HOST_DEVICE void Add(std::int64_t term, std::int64_t result, double* sums) const {
    for (int v = 0; v < kCount; ++v) sums[v] += parts[(term * kCount + v) * results + result];
  }
};

// Of a block, 32 threads stand side by side on results, and eight rows of them share out the terms.
template <class Term, class Result>
struct ColumnSums {
  static constexpr int kThreads = PlainKernel::kThreads;
  static constexpr int kStartPhases = 0;
  static constexpr int kRoundPhases = 2;
  static constexpr int kFinishPhases = 0;
  static constexpr int kBeside = 32;
  static constexpr int kLanes = kThreads / kBeside;
  struct Shared {
    double sums[Term::kValues][kThreads];
  };

  Term term;
  Result result;
  SumParts cut;
  int blocks = 0;

  TIERLIB_HOST_DEVICE std::int64_t Tiles() const { return (cut.results + kBeside - 1) / kBeside; }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const {
    const std::int64_t units = Tiles() * cut.parts;
    return units <= block ? 0 : (units - block + blocks - 1) / blocks;
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t unit = block + round * blocks;
    const std::int64_t part = unit / Tiles();
    const std::int64_t at = unit % Tiles() * kBeside + thread % kBeside;
    if (at >= cut.results) return;
    if constexpr (kPhase == 0) {
      double sums[Term::kValues] = {};
      const std::int64_t end = cut.First(part + 1);
      for (std::int64_t t = cut.First(part) + thread / kBeside; t < end; t += kLanes) term.Add(t, at, sums);
      for (int v = 0; v < Term::kValues; ++v) shared->sums[v][thread] = sums[v];
    } else if (thread < kBeside) {
      for (int v = 0; v < Term::kValues; ++v) {
        double sum = 0;
        for (int lane = 0; lane < kLanes; ++lane) sum += shared->sums[v][thread + lane * kBeside];
        result.Put(part, at, v, sum);
      }
    }
  }
};

// A row is a part of the terms of one result.
template <class Term, class Result, int kGroup>
struct TermSums : RowKernel<kGroup> {
  using Base = RowKernel<kGroup>;
  using Shared = typename Base::Shared;
  static constexpr int kRoundPhases = 3;
  static_assert(Term::kValues == 1);

  Term term;
  Result result;
  SumParts cut;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t row = this->RowOf(round, block, thread);
    const std::int64_t part = row / cut.results;
    if constexpr (kPhase == 0) {
      double sum = 0;
      const std::int64_t end = row < this->rows ? cut.First(part + 1) : 0;
      for (std::int64_t t = cut.First(part) + Base::LaneOf(thread); t < end; t += kGroup) {
        term.Add(t, row % cut.results, &sum);
      }
      shared->parts[0][thread] = sum;
    } else if constexpr (kPhase == 1) {
      Base::Fold(shared, 0, thread, AddUp{});
    } else if (row < this->rows && Base::LaneOf(thread) == 0) {
      result.Put(part, row % cut.results, 0, Base::All(shared, 0, thread, AddUp{}));
    }
  }
};

template <class Term, class Result, class Grid>
Status RunColumnKernel(Grid& grid, const Term& term, const Result& result, const SumParts& cut) {
  ColumnSums<Term, Result> kernel{term, result, cut, 0};
  kernel.blocks = BlocksFor(kernel.Tiles() * cut.parts, 1, std::int64_t{grid.limits().processors} * 16);
  return grid.Run(kernel, kernel.blocks);
}

// Adds up what StoreParts left.
template <int kValues, class Result, class Grid>
Status RunFold(Grid& grid, const Result& result, const SumParts& cut, const void* workspace) {
  const LoadParts<kValues> load{cut.results, static_cast<const double*>(workspace)};
  return RunColumnKernel(grid, load, result, SumParts{cut.results, cut.parts, 1, cut.parts});
}

// `workspace`: cut.WorkspaceBytes(Term::kValues).
template <class Term, class Result, class Grid>
Status RunColumnSums(Grid& grid, const Term& term, const Result& result, const SumParts& cut, void* workspace) {
  if (cut.results == 0) return OkStatus();
  if (cut.parts == 1) return RunColumnKernel(grid, term, result, cut);
  const StoreParts<Term::kValues> store{cut.results, static_cast<double*>(workspace)};
  TIERLIB_RETURN_IF_ERROR(RunColumnKernel(grid, term, store, cut));
  return RunFold<Term::kValues>(grid, result, cut, workspace);
}

template <class Term, class Result, class Grid>
Status RunTermKernel(Grid& grid, const Term& term, const Result& result, const SumParts& cut) {
  return WithGroup(cut.part_terms, [&](auto group) {
    TermSums<Term, Result, decltype(group)::value> kernel;
    kernel.term = term;
    kernel.result = result;
    kernel.cut = cut;
    return RunRows(grid, kernel, cut.results * cut.parts);
  });
}

template <class Term, class Result, class Grid>
Status RunTermSums(Grid& grid, const Term& term, const Result& result, const SumParts& cut, void* workspace) {
  if (cut.results == 0) return OkStatus();
  if (cut.parts == 1) return RunTermKernel(grid, term, result, cut);
  TIERLIB_RETURN_IF_ERROR(RunTermKernel(grid, term, StoreParts<1>{cut.results, static_cast<double*>(workspace)}, cut));
  return RunFold<1>(grid, result, cut, workspace);
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SUMS_H_
