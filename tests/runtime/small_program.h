// SmallPrograms: tiny random programs over the verbs, one after the other on one runtime, against a model of bytes. A
// few storages of at most 512 bytes, owned and adopted, on two streams: views, transposes, slices, expands and windows
// of them, copies told by Derive, writes through any alias, pack, unpack, drop, and a backward pass in any order.
//
// The program orders its own kernels and no more: by events, only where they use the same bytes. Everything else is
// tierlib's part. Kernels compare what they read with the model, so that poison and bytes of others show; the device
// tells races; the runtime's answers must be those that the model has.
#ifndef TIERLIB_TESTS_RUNTIME_SMALL_PROGRAM_H_
#define TIERLIB_TESTS_RUNTIME_SMALL_PROGRAM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/program.h"

namespace tierlib {

class SmallPrograms {
 public:
  static constexpr std::size_t kOwnMemory = KiB(8);  // of the device, for adopted storages
  static constexpr std::uint64_t kMostBytes = 512;   // of a storage

  // `may_be_full`: the device may have no room, which is an answer then.
  SmallPrograms(const Options& options, bool may_be_full);

  // Runs the program that `seed` gives, from nothing to nothing; copies of it may still be under way at the end. What
  // goes wrong is a failure of the test.
  void Run(std::uint64_t seed);
  // Waits for all work; nothing may be held any more, and the ledger must add up.
  void ExpectNothingHeld();
  // What is wrong so far; "" for nothing.
  std::string Wrong() const;

  std::uint64_t unpacked = 0;  // values that came back and were compared
  std::uint64_t refused = 0;   // values that were asked for in vain: written since

 private:
  // What all values of a storage between two writes share.
  struct Content {
    std::uint8_t bytes[kMostBytes];
    const void* data = nullptr;  // of the storage
    EventId used[2] = {};        // per stream, after the last kernel of the program that used the storage's own bytes
    std::size_t writer = 0;      // the stream of the kernel that wrote them
    bool saved = false;          // it was packed, or is a source: a copy or a replay may read it
    bool written = false;        // and is not there any more
  };
  struct Tensor {
    StorageId storage;
    std::uint64_t bytes = 0;
    std::uint8_t* data = nullptr;
    Keepalive memory;  // of an adopted one
    std::shared_ptr<Content> content;
  };
  struct SavedOne {
    Saved saved;
    Layout layout;
    std::shared_ptr<Content> content;
  };
  struct LoadedOne {
    Loaded loaded;
    std::size_t stream = 0;
    std::shared_ptr<Content> content;
  };

  bool OneIn(std::uint64_t n) { return random_.UniformInt(n) == 0; }
  std::size_t AnyStream() { return random_.UniformInt(p_.streams.size()); }
  template <typename T>
  T& Any(std::vector<T>& from) {
    return from[random_.UniformInt(from.size())];
  }
  Layout AnyLayout(std::uint64_t bytes);

  void Step();
  bool NewTensor(std::uint64_t bytes, std::size_t stream, Tensor* tensor);
  void MakeOne();
  void DeriveOne();
  void WriteOne();
  void PackOne();
  void UnpackOne(const SavedOne& saved);
  void DropLoaded(std::size_t index);
  void RetireOne(std::size_t index);
  void UseStaleId();
  void Backward();

  std::shared_ptr<Content> NewContent();
  // Notes the last kernel of `stream` as one that uses the content.
  void Used(Content& content, std::size_t stream);
  // The next work of `stream` comes after the kernel that wrote the content / after all that used it.
  void AfterWriter(const Content& content, std::size_t stream);
  void AfterUsers(const Content& content, std::size_t stream);
  void Launch(std::size_t stream, std::vector<Access> accesses, std::function<void()> run);
  void ReadOne(LoadedOne& loaded);
  Status Xor(const ReplayArguments& arguments);

  const bool may_be_full_;
  Random random_{0};
  std::vector<std::string> wrong_;  // that kernels found
  std::vector<EventId> spare_;      // events of contents that are gone
  Program p_;
  std::vector<Tensor> tensors_;
  std::vector<SavedOne> saved_;
  std::vector<LoadedOne> loaded_;
  std::vector<StorageId> stale_;
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_RUNTIME_SMALL_PROGRAM_H_
