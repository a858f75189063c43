// Allocators of the malloc kind: glibc's own, and mimalloc, jemalloc and tcmalloc, each loaded beside it where its
// library is installed, so that one process measures them all and none replaces another.
#include <dlfcn.h>
#include <malloc.h>

#include <cstdlib>
#include <iterator>
#include <utility>

#include "alloc_bench/backend.h"
#include "base/check.h"

namespace tierlib::bench {
namespace {

struct Functions {
  void* (*allocate)(std::size_t) = nullptr;
  void (*free)(void*) = nullptr;
  std::function<void()> give_back;  // frees what its caches hold, so that the next case finds the machine's memory free
};

class MallocBackend : public Backend {
 public:
  explicit MallocBackend(Functions functions) : functions_(std::move(functions)) {}
  ~MallocBackend() override {
    if (functions_.give_back) functions_.give_back();
  }
  void* Allocate(std::size_t bytes, int) override {
    void* block = functions_.allocate(bytes);
    TIERLIB_CHECK(block != nullptr, "alloc_bench: malloc is out of memory");
    return block;
  }
  void Free(void* block, int) override { functions_.free(block); }

 private:
  const Functions functions_;
};

BackendKind MallocKind(std::string name, Functions functions) {
  return {.name = std::move(name),
          .make = [functions](int, bool) { return std::make_unique<MallocBackend>(functions); }};
}

struct Library {
  const char* name;
  const char* file;
  const char* allocate;
  const char* free;
  const char* package;  // Debian's
  std::function<void()> (*give_back)(void* library);
};

template <typename Function>
Function* Find(void* library, const char* symbol) {
  return reinterpret_cast<Function*>(dlsym(library, symbol));
}

std::function<void()> MimallocGiveBack(void* library) {
  auto* collect = Find<void(bool)>(library, "mi_collect");
  if (collect == nullptr) return nullptr;
  return [collect] { collect(true); };
}

std::function<void()> JemallocGiveBack(void* library) {
  auto* mallctl = Find<int(const char*, void*, std::size_t*, void*, std::size_t)>(library, "mallctl");
  if (mallctl == nullptr) return nullptr;
  return [mallctl] {
    // 4096 is MALLCTL_ARENAS_ALL.
    (void)mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
    (void)mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  };
}

std::function<void()> TcmallocGiveBack(void* library) {
  auto* release = Find<void()>(library, "MallocExtension_ReleaseFreeMemory");
  if (release == nullptr) return nullptr;
  return [release] { release(); };
}

constexpr Library kLibraries[] = {
    {"mimalloc", "libmimalloc.so.2", "mi_malloc", "mi_free", "libmimalloc2.0", &MimallocGiveBack},
    {"jemalloc", "libjemalloc.so.2", "malloc", "free", "libjemalloc2", &JemallocGiveBack},
    {"tcmalloc", "libtcmalloc_minimal.so.4", "tc_malloc", "tc_free", "libtcmalloc-minimal4", &TcmallocGiveBack},
};

BackendKind Load(const Library& peer) {
  BackendKind kind;
  kind.name = peer.name;
  void* library = dlopen(peer.file, RTLD_NOW | RTLD_LOCAL);  // stays for good: its threads' caches end with the program
  if (library == nullptr) {
    kind.missing = std::string(dlerror()) + " (package " + peer.package + ")";
    return kind;
  }
  Functions functions;
  functions.allocate = Find<void*(std::size_t)>(library, peer.allocate);
  functions.free = Find<void(void*)>(library, peer.free);
  functions.give_back = peer.give_back(library);
  if (functions.allocate == nullptr || functions.free == nullptr) {
    kind.missing = std::string(peer.file) + " has no " + peer.allocate + " or " + peer.free;
    return kind;
  }
  return MallocKind(peer.name, functions);
}

}  // namespace

std::vector<BackendKind> MallocKinds() {
  std::vector<BackendKind> kinds;
  kinds.push_back(MallocKind("glibc", {&std::malloc, &std::free, [] { malloc_trim(0); }}));
  for (const Library& peer : kLibraries) kinds.push_back(Load(peer));
  return kinds;
}

}  // namespace tierlib::bench
