# shellcheck shell=bash disable=SC2034,SC2154
#
# What scripts/test, scripts/demo and scripts/gpu-check share: steps with a name, their times, and one clear line on failure.
# To be sourced. The caller sets `program`, the name that stands before messages.

steps_started=$SECONDS
current_step="start"

# say TEXT: a line that stands out between the outputs of steps.
say() { printf '\n==> %s\n' "$*"; }

# step NAME COMMAND...: runs the command with its output shown. Ends the script, naming the step, where the command fails.
step() {
  current_step=$1
  shift
  local started=$SECONDS status=0
  say "$current_step"
  "$@" || status=$?
  if [ "$status" -ne 0 ]; then
    current_step_failed "$status"
  fi
  printf -- '--- %s: %d s\n' "$current_step" "$((SECONDS - started))"
}

# Prints the closing line of a failure and leaves.
current_step_failed() {
  trap - EXIT
  printf '%s: step "%s" failed (exit status %d)\n' "$program" "$current_step" "$1" >&2
  exit 1
}

# A failure outside a step, or Ctrl-C, is named too.
trap 'status=$?; [ "$status" -eq 0 ] || current_step_failed "$status"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Processors to build and test with. TIERLIB_JOBS overrides.
jobs=${TIERLIB_JOBS:-$(nproc)}

# What ccache must be told to find the objects of another checkout of the same files, and with precompiled headers.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros,include_file_mtime,include_file_ctime}

# configure PRESET [CMAKE OPTIONS...]: ccache, and LLVM's linker, which takes a fifth of the time of GNU's, are used where they
# are installed, and never required.
configure() {
  local preset=$1
  shift
  local faster=()
  if command -v ccache >/dev/null; then
    faster+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  if command -v ld.lld >/dev/null; then
    faster+=("-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld")
  fi
  cmake --preset "$preset" "${faster[@]}" "$@"
}

# The CUDA compiler, or nothing.
find_nvcc() {
  if [ -n "${CUDACXX:-}" ]; then
    printf '%s\n' "$CUDACXX"
  else
    command -v nvcc || { [ -x /usr/local/cuda/bin/nvcc ] && echo /usr/local/cuda/bin/nvcc; } || true
  fi
}

# Whether this machine has an NVIDIA GPU with its driver.
has_gpu() {
  command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '
}
