// NcclLibrary: NVIDIA's NCCL, looked up when it is wanted, so that one binary runs with and without it. What is
// declared here of it has not changed since NCCL 2.14, the oldest that is taken (it was the first whose calls do not
// block).
//
// Thread-safety: after Load, its functions'.
#ifndef TIERLIB_SRC_COMM_NCCL_LIBRARY_H_
#define TIERLIB_SRC_COMM_NCCL_LIBRARY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "tierlib/status.h"

namespace tierlib::comm {

using NcclComm = void*;
using NcclResult = int;
inline constexpr NcclResult kNcclSuccess = 0;
inline constexpr NcclResult kNcclInProgress = 7;
inline constexpr int kNcclUint8 = 1;  // a data type

struct NcclUniqueId {
  char internal[128];
};

// As of 2.14: NCCL takes shorter structs of older versions.
struct NcclConfig {
  std::size_t size = sizeof(NcclConfig);
  unsigned magic = 0xcafebeef;
  unsigned version = 21400;
  int blocking = 0;  // calls return before they are done; ncclCommGetAsyncError says when they are
};

struct NcclLibrary {
  // Unimplemented, with what the system says, where there is no such library, one of its functions is missing, or it is
  // too old. The library stays loaded.
  static StatusOr<std::shared_ptr<const NcclLibrary>> Load(const std::string& file);

  NcclResult (*GetVersion)(int* version) = nullptr;
  NcclResult (*GetUniqueId)(NcclUniqueId* id) = nullptr;
  NcclResult (*CommInitRankConfig)(NcclComm* comm, int size, NcclUniqueId id, int rank, NcclConfig* config) = nullptr;
  NcclResult (*CommAbort)(NcclComm comm) = nullptr;
  NcclResult (*CommGetAsyncError)(NcclComm comm, NcclResult* error) = nullptr;
  NcclResult (*GroupStart)() = nullptr;
  NcclResult (*GroupEnd)() = nullptr;
  NcclResult (*Send)(const void* from, std::size_t count, int type, int peer, NcclComm comm, void* stream) = nullptr;
  NcclResult (*Recv)(void* to, std::size_t count, int type, int peer, NcclComm comm, void* stream) = nullptr;
  const char* (*GetErrorString)(NcclResult result) = nullptr;

  // OK, or Unavailable with NCCL's words for what `what` was told. What is in progress is OK.
  Status StatusOf(NcclResult result, const char* what) const;
};

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_NCCL_LIBRARY_H_
