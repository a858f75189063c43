#include "dkm/cuda_form.h"

#include <cstdint>
#include <utility>

#include "autograd/context.h"
#include "autograd/replay.h"
#include "dkm/cuda_arguments.h"
#include "dkm/kernels/cuda/exact.h"
#include "dkm/kernels/cuda/host_words.h"
#include "dkm/kernels/cuda/palette.h"
#include "dkm/kernels/cuda/tiled.h"

namespace tierlib::dkm {
namespace {

using autograd::Launcher;
using autograd::Tensor;

// Enqueues launch(arguments of the group) for all groups until one fails.
template <typename Arguments, typename Launch>
Status InTurn(const Groups& groups, const Arguments& all, const Launch& launch) {
  for (std::int64_t group = 0; group < groups.count; ++group) {
    TIERLIB_RETURN_IF_ERROR(launch(OfGroup(all, groups, group)));
  }
  return OkStatus();
}

}  // namespace

StatusOr<Tensor> NewCudaTables(const Launcher& launcher, const ExactProblem& problem) {
  const auto each = static_cast<std::int64_t>(cuda::ExactTableBytes(problem.shape));
  return autograd::AllocateTensor(launcher.context(), DType::kU8, {problem.groups.count * each}, Holds::kPersistent,
                                  launcher.label() + ".table", trace::Tag::kActivation);
}

StatusOr<CudaWords> MakeCudaWords(const Launcher& launcher) {
  std::shared_ptr<cuda::HostWords> words;
  TIERLIB_RETURN_IF_ERROR(launcher.LaunchNative({}, [&](Stream) -> Status {
    TIERLIB_ASSIGN_OR_RETURN(words, cuda::MakeHostWords());
    return OkStatus();
  }));
  return CudaWords{{words, &words->first_non_finite}, {words, &words->iterations_run}};
}

Status LaunchExactForwardCuda(const Launcher& launcher, const ExactProblem& problem, const Tensor& weights,
                              const Tensor& trajectories, const Tensor& tables, const Tensor& output, bool nearest) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(cuda::ExactForwardWorkspaceBytes(problem.shape)));
  cuda::ExactForwardArguments all;
  all.shape = problem.shape;
  all.weights = weights.data();
  all.start = static_cast<const float*>(problem.start.data());
  all.trajectory = static_cast<double*>(trajectories.data());
  all.newest = static_cast<float*>(problem.newest.data());
  all.table = tables.data();
  all.output = output.data();
  all.nearest = nearest;
  all.table_type = problem.table;
  all.first_non_finite = cuda::DeviceWord(*problem.non_finite);
  all.iterations_run = cuda::DeviceWord(*problem.iterations_run);
  all.workspace = workspace.data();
  return launcher.LaunchNative({.reads = {&weights, &problem.start},
                                .writes = {&trajectories, &tables, &output, &workspace},
                                .updates = {&problem.newest}},
                               [&](Stream stream) {
                                 return InTurn(problem.groups, all, [&](const cuda::ExactForwardArguments& a) {
                                   return cuda::ExactForward(a, stream);
                                 });
                               });
}

Status LaunchExactBackwardCuda(const Launcher& launcher, const host::ExactShape& shape, const Groups& groups,
                               const Tensor& weights, const Tensor& trajectories, const Tensor& gradient,
                               const Tensor& weight_gradient) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(cuda::ExactBackwardWorkspaceBytes(shape)));
  cuda::ExactBackwardArguments all;
  all.shape = shape;
  all.weights = weights.data();
  all.trajectory = static_cast<double*>(trajectories.data());
  all.gradient = gradient.data();
  all.weight_gradient = weight_gradient.data();
  all.workspace = workspace.data();
  return launcher.LaunchNative(
      {.reads = {&weights, &trajectories, &gradient}, .writes = {&weight_gradient, &workspace}}, [&](Stream stream) {
        return InTurn(groups, all,
                      [&](const cuda::ExactBackwardArguments& a) { return cuda::ExactBackward(a, stream); });
      });
}

namespace {

// As autograd::KernelReplay, for kernels of the device's own, group by group. `arguments` makes all groups' of a source
// and a destination; `kept` is what else they point to.
template <typename MakeArguments, typename Launch>
Replay ReplayOfGroups(autograd::Context& context, const char* name, const Groups& groups, const Tensor& kept,
                      MakeArguments arguments, Launch launch) {
  DeviceBackend* const backend = context.state().backend;
  const Stream home = context.state().stream;
  return Replay::Call(name, [=](const ReplayArguments& a) -> Status {
    TIERLIB_RETURN_IF_ERROR(autograd::CheckHome(name, a.stream, home));
    const auto bytes = [](const Layout& layout) { return static_cast<std::int64_t>(layout.offset_bytes); };
    const auto all = arguments(kept, BytesBehind(a.source, bytes(a.source_layout)),
                               BytesBehind(a.destination, bytes(a.destination_layout)));
    return backend->EnqueueNative(
        [&] { return InTurn(groups, all, [&](const auto& of_group) { return launch(of_group, a.stream); }); });
  });
}

template <typename T>
Replay TiledReplayOf(autograd::Context& context, const TiledProblem& problem, const Tensor& trajectories) {
  return ReplayOfGroups(
      context, "dkm tiled", problem.groups, trajectories,
      [shape = problem.shape](const Tensor& kept, const void* weights, void* output) {
        return cuda::TiledReplayArguments<T>{shape, static_cast<const T*>(weights), static_cast<T*>(kept.data()),
                                             static_cast<T*>(output)};
      },
      [](const cuda::TiledReplayArguments<T>& a, Stream stream) { return cuda::TiledReplay(a, stream); });
}

}  // namespace

Replay ExactReplayCuda(autograd::Context& context, const ExactProblem& problem, const Tensor& tables) {
  return ReplayOfGroups(
      context, "dkm exact", problem.groups, tables,
      [shape = problem.shape](const Tensor& kept, const void* weights, void* output) {
        return cuda::ExactReplayArguments{shape, weights, kept.data(), output};
      },
      [](const cuda::ExactReplayArguments& a, Stream stream) { return cuda::ExactReplay(a, stream); });
}

Replay TiledReplayCuda(autograd::Context& context, const TiledProblem& problem, DType dtype,
                       const Tensor& trajectories) {
  return dtype == DType::kF64 ? TiledReplayOf<double>(context, problem, trajectories)
                              : TiledReplayOf<float>(context, problem, trajectories);
}

namespace {

template <typename T>
Status TiledForwardOf(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                      const Tensor& trajectories, const Tensor& output, bool rounds) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(cuda::TiledWorkspaceBytes<T>(problem.shape)));
  cuda::TiledForwardArguments<T> all;
  all.shape = problem.shape;
  all.weights = static_cast<const T*>(weights.data());
  all.start = static_cast<const float*>(problem.start.data());
  all.trajectory = static_cast<T*>(trajectories.data());
  all.newest = static_cast<float*>(problem.newest.data());
  all.output = static_cast<T*>(autograd::AddressOrNull(output));
  all.rounds = rounds;
  all.table = problem.table;
  all.iterations_run = cuda::DeviceWord(*problem.iterations_run);
  all.workspace = workspace.data();
  return launcher.LaunchNative(
      {.reads = {&weights, &problem.start}, .writes = {&trajectories, &workspace}, .updates = {&problem.newest}},
      [&](Stream stream) {
        return InTurn(problem.groups, all,
                      [&](const cuda::TiledForwardArguments<T>& a) { return cuda::TiledForward(a, stream); });
      });
}

template <typename T>
Status TiledBackwardOf(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                       const Tensor& trajectories, const Tensor& gradient, const Tensor& weight_gradient) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(cuda::TiledWorkspaceBytes<T>(problem.shape)));
  cuda::TiledBackwardArguments<T> all;
  all.shape = problem.shape;
  all.weights = static_cast<const T*>(weights.data());
  all.trajectory = static_cast<T*>(trajectories.data());
  all.gradient = static_cast<const T*>(gradient.data());
  all.weight_gradient = static_cast<T*>(weight_gradient.data());
  all.workspace = workspace.data();
  return launcher.LaunchNative(
      {.reads = {&weights, &trajectories, &gradient}, .writes = {&weight_gradient, &workspace}}, [&](Stream stream) {
        return InTurn(problem.groups, all,
                      [&](const cuda::TiledBackwardArguments<T>& a) { return cuda::TiledBackward(a, stream); });
      });
}

template <typename T>
Status PalettizeOf(const Launcher& launcher, const TiledProblem& problem, const Tensor& weight,
                   const Tensor& trajectories, const Tensor& output) {
  cuda::PalettizeArguments<T> all;
  all.dtype = weight.dtype();
  all.weights = weight.data();
  all.output = output.data();
  const auto* const centroids = static_cast<const T*>(trajectories.data());
  return launcher.LaunchNative({.reads = {&weight, &trajectories}, .writes = {&output}}, [&](Stream stream) -> Status {
    for (std::int64_t group = 0; group < problem.groups.count; ++group) {
      TIERLIB_RETURN_IF_ERROR(cuda::Palettize(OfGroup(all, problem.shape, centroids, problem.groups, group), stream));
    }
    return OkStatus();
  });
}

}  // namespace

Status LaunchTiledForwardCuda(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                              const Tensor& trajectories, const Tensor& output, bool rounds) {
  return weights.dtype() == DType::kF64
             ? TiledForwardOf<double>(launcher, problem, weights, trajectories, output, rounds)
             : TiledForwardOf<float>(launcher, problem, weights, trajectories, output, rounds);
}

Status LaunchTiledBackwardCuda(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                               const Tensor& trajectories, const Tensor& gradient, const Tensor& weight_gradient) {
  return weights.dtype() == DType::kF64
             ? TiledBackwardOf<double>(launcher, problem, weights, trajectories, gradient, weight_gradient)
             : TiledBackwardOf<float>(launcher, problem, weights, trajectories, gradient, weight_gradient);
}

Status LaunchPalettizeCuda(const Launcher& launcher, const TiledProblem& problem, const Tensor& weight,
                           const Tensor& trajectories, const Tensor& output) {
  return weight.dtype() == DType::kF64 ? PalettizeOf<double>(launcher, problem, weight, trajectories, output)
                                       : PalettizeOf<float>(launcher, problem, weight, trajectories, output);
}

Status LaunchFindNonFiniteCuda(const Launcher& launcher, const Tensor& values, host::FirstNonFinite& seen) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(sizeof(std::int64_t)));
  cuda::FindNonFiniteArguments a;
  a.dtype = values.dtype();
  a.values = values.data();
  a.count = values.elements();
  a.found = static_cast<std::int64_t*>(workspace.data());
  a.first = cuda::DeviceWord(seen);
  return launcher.LaunchNative({.reads = {&values}, .writes = {&workspace}},
                               [&](Stream stream) { return cuda::FindNonFinite(a, stream); });
}

}  // namespace tierlib::dkm
