// Which kernels make up the tiled form and the table domain, in which order. `Grid` is CudaGrid or SequentialGrid.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_TILED_LAUNCHES_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_TILED_LAUNCHES_H_

#include <string>

#include "base/cuda/kernel_set.h"
#include "dkm/kernels/cuda/accumulate.h"
#include "dkm/kernels/cuda/carver.h"
#include "dkm/kernels/cuda/differentiate.h"
#include "dkm/kernels/cuda/tiled.h"

namespace tierlib::dkm::cuda {

inline Status CheckTiledShape(const TiledShape& shape) {
  if (shape.vectors >= 1 && shape.dim >= 1 && shape.dim <= 256 && shape.clusters >= 1 && shape.clusters <= 256 &&
      shape.iterations >= 1 && shape.tau > 0) {
    return OkStatus();
  }
  return InvalidArgumentError("dkm on a CUDA device: " + std::to_string(shape.vectors) + " vectors of " +
                              std::to_string(shape.dim) + " for " + std::to_string(shape.clusters) + " clusters and " +
                              std::to_string(shape.iterations) +
                              " iterations: 1 to 256 of each, and one vector, are possible");
}

// A pass over `rows`.
template <class Pass, typename T>
Pass PassOver(const Path<T>& path, const Rows<T>& rows, const TileWorkspace<T>& work) {
  Pass pass;
  pass.shape = path.shape;
  pass.rows = rows;
  pass.work = work;
  pass.blocks = TileBlocks(path.shape, rows.most);
  pass.path = path;
  return pass;
}

// The kernels that make C_0 .. C_T and what else is in a trajectory.
template <typename T>
struct IterationKernels {
  BeginPath<T> begin;
  Accumulate<T> iterate;
  EndPath<T> end;
};
// `end` has what EndPath is to do besides.
template <typename T>
IterationKernels<T> IterationsOf(const Path<T>& path, const Rows<T>& rows, const TileWorkspace<T>& work,
                                 const float* start, const EndPath<T>& end) {
  IterationKernels<T> kernels;
  kernels.begin.path = path;
  kernels.begin.start = start;
  kernels.begin.blocks = BlocksFor(path.values(), BeginPath<T>::kThreads, 256);
  kernels.iterate = PassOver<Accumulate<T>>(path, rows, work);
  kernels.end = end;
  kernels.end.path = path;
  kernels.end.state = work.state;
  return kernels;
}

// `Launch`: base/cuda/kernel_set.h, of sets that derive from IterationKernels. REQUIRES: the pass's state is zero.
template <typename T, class Launch>
Status Iterate(const Launch& launch) {
  using Kernels = IterationKernels<T>;
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::begin));
  const int steps = launch.Most([](const Kernels& kernels) { return kernels.iterate.shape.iterations; });
  for (int step = 0; step < steps; ++step) TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::iterate, step));
  return launch.Run(&Kernels::end);
}

// From P_T in work.adjoint and u_T through all iterations, by `member`, a Differentiate of kIteration.
template <class Launch, typename T, class Set>
Status IterateBack(const Launch& launch, Differentiate<T> Set::*member) {
  const int steps = launch.Most([member](const Set& kernels) { return (kernels.*member).shape.iterations; });
  for (int step = 0; step < steps; ++step) TIERLIB_RETURN_IF_ERROR(launch.Run(member, step));
  return OkStatus();
}

template <typename T>
struct TiledMemory {
  TiledMemory(const TiledShape& shape, void* workspace) : carver(workspace) {
    work = TakeTileWorkspace<T>(shape, TileBlocks(shape, shape.vectors), carver);
  }
  Carver carver;
  TileWorkspace<T> work;
};

template <typename T, class Grid>
Status RunTiledReplay(Grid& grid, const TiledReplayArguments<T>& a) {
  TIERLIB_RETURN_IF_ERROR(CheckTiledShape(a.shape));
  const Path<T> path{a.shape, a.trajectory};
  auto attend = PassOver<Attend<T>>(path, Rows<T>{a.weights, nullptr, nullptr, a.shape.vectors}, TileWorkspace<T>());
  attend.output = a.output;
  return grid.Run(attend, attend.blocks);
}

template <typename T, class Grid>
Status RunTiledForward(Grid& grid, const TiledForwardArguments<T>& a) {
  TIERLIB_RETURN_IF_ERROR(CheckTiledShape(a.shape));
  const TileWorkspace<T> work = TiledMemory<T>(a.shape, a.workspace).work;
  const Path<T> path{a.shape, a.trajectory};
  const Rows<T> rows{a.weights, nullptr, nullptr, a.shape.vectors};
  EndPath<T> end;
  end.rounds = a.rounds;
  end.table = a.table;
  end.newest = a.newest;
  end.iterations_run = a.iterations_run;
  end.tells_most = a.tells_most;
  TIERLIB_RETURN_IF_ERROR(grid.Clear(work.state, sizeof(PassState)));
  const IterationKernels<T> iterations = IterationsOf(path, rows, work, a.start, end);
  TIERLIB_RETURN_IF_ERROR(Iterate<T>(OneSet(grid, iterations)));
  if (a.output == nullptr) return OkStatus();
  return RunTiledReplay(grid, TiledReplayArguments<T>{a.shape, a.weights, a.trajectory, a.output});
}

template <typename T, class Grid>
Status RunTiledBackward(Grid& grid, const TiledBackwardArguments<T>& a) {
  TIERLIB_RETURN_IF_ERROR(CheckTiledShape(a.shape));
  const TileWorkspace<T> work = TiledMemory<T>(a.shape, a.workspace).work;
  const Path<T> path{a.shape, a.trajectory};
  const Rows<T> rows{a.weights, nullptr, nullptr, a.shape.vectors};
  const bool recomputed = a.shape.attention == Attention::kRecomputed;
  TIERLIB_RETURN_IF_ERROR(grid.Clear(work.state, sizeof(PassState)));
  auto pass = PassOver<Differentiate<T>>(path, rows, work);
  pass.gradient = a.gradient;
  pass.weight_gradient = a.weight_gradient;
  pass.start_gradient = a.start_gradient;
  if (recomputed) {
    pass.way = Way::kOutput;
    pass.collects = true;
    TIERLIB_RETURN_IF_ERROR(grid.Run(pass, pass.blocks));
    pass.collects = false;
    pass.gradient = nullptr;
  } else {
    auto collect = PassOver<Collect<T>>(path, rows, work);
    collect.gradient = a.gradient;
    TIERLIB_RETURN_IF_ERROR(grid.Run(collect, collect.blocks));
    pass.overwrites = true;
  }
  pass.way = Way::kIteration;
  for (int step = 0; pass.SetStep(step); ++step) TIERLIB_RETURN_IF_ERROR(grid.Run(pass, pass.blocks));
  return OkStatus();
}

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_TILED_LAUNCHES_H_
