#include "comm/nccl_library.h"

#include <dlfcn.h>

namespace tierlib::comm {
namespace {

constexpr int kOldest = 21400;

std::string VersionText(int version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

template <typename Function>
Status Find(void* library, const std::string& file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function != nullptr) return OkStatus();
  return UnimplementedError("NCCL: " + file + " has no function " + name + ": it takes NCCL " + VersionText(kOldest) +
                            " or newer");
}

}  // namespace

StatusOr<std::shared_ptr<const NcclLibrary>> NcclLibrary::Load(const std::string& file) {
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const words = ::dlerror();
    return UnimplementedError("NCCL cannot be loaded: " + std::string(words == nullptr ? file.c_str() : words) +
                              ": install it, or name its library");
  }
  auto library = std::make_shared<NcclLibrary>();
  NcclLibrary& n = *library;
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclGetVersion", n.GetVersion));
  int version = 0;
  if (n.GetVersion(&version) != kNcclSuccess || version < kOldest) {
    return UnimplementedError("NCCL " + VersionText(version) + " is too old: it takes " + VersionText(kOldest) +
                              " or newer");
  }
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclGetUniqueId", n.GetUniqueId));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclCommInitRankConfig", n.CommInitRankConfig));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclCommAbort", n.CommAbort));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclCommGetAsyncError", n.CommGetAsyncError));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclGroupStart", n.GroupStart));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclGroupEnd", n.GroupEnd));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclSend", n.Send));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclRecv", n.Recv));
  TIERLIB_RETURN_IF_ERROR(Find(handle, file, "ncclGetErrorString", n.GetErrorString));
  return std::shared_ptr<const NcclLibrary>(std::move(library));
}

Status NcclLibrary::StatusOf(NcclResult result, const char* what) const {
  if (result == kNcclSuccess || result == kNcclInProgress) return OkStatus();
  const char* const words = GetErrorString(result);
  return UnavailableError(std::string("NCCL: ") + what + ": " + (words == nullptr ? "unknown error" : words));
}

}  // namespace tierlib::comm
