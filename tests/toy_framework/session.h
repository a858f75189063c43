// Session: the toy framework's face. It makes tensors out of its own memory, runs its own kernels on its own streams,
// records a tape, and hands what backward needs to tierlib through the public verbs alone: Register, Retire,
// BeginWrite, Derive, Pack with a keepalive, Unpack, UsedOn, Reclaim and the steps. Reloads come from its own
// allocator.
//
// Thread-safety: none, but tierlib may drop references from any thread that calls it.
#ifndef TIERLIB_TESTS_TOY_FRAMEWORK_SESSION_H_
#define TIERLIB_TESTS_TOY_FRAMEWORK_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/device_backend.h"
#include "tierlib/tierlib.h"
#include "toy_framework/memory.h"
#include "toy_framework/tensor.h"

namespace toy {

// A value that backward needs: with tierlib, or simply the tensor.
struct Kept {
  tierlib::Saved saved;
  Tensor tensor;
};

// What a kernel sees of a tensor or of a value that came back.
struct Matrix {
  char* base = nullptr;  // byte 0 of the storage
  tierlib::Layout layout;
  tierlib::Loaded lease;

  float& at(std::int64_t i, std::int64_t j) const {
    return *reinterpret_cast<float*>(base + layout.offset_bytes + (i * layout.strides[0] + j * layout.strides[1]) * 4);
  }
  std::uint8_t& flag(std::int64_t i, std::int64_t j) const {
    return *reinterpret_cast<std::uint8_t*>(base + layout.offset_bytes + i * layout.strides[0] + j * layout.strides[1]);
  }
};

using Values = std::shared_ptr<std::vector<float>>;  // there once the device is synchronised

class Session {
 public:
  // `save_through_tierlib`: false keeps saved tensors as they are, which is what tierlib's modes must equal.
  Session(tierlib::Options options, std::size_t memory_bytes, bool save_through_tierlib);
  // REQUIRES: every tensor is gone.
  ~Session();

  // While it lives, what operators save goes through tierlib, or stays as it is. The innermost one counts, for values
  // that are saved meanwhile alone: they come back as they were saved, whatever is in force then.
  class SavingScope {
   public:
    SavingScope(Session& session, bool through_tierlib)
        : session_(session), before_(std::exchange(session.save_through_tierlib_, through_tierlib)) {}
    ~SavingScope() { session_.save_through_tierlib_ = before_; }
    SavingScope(const SavingScope&) = delete;
    SavingScope& operator=(const SavingScope&) = delete;

   private:
    Session& session_;
    const bool before_;
  };

  tierlib::Runtime& runtime() { return *runtime_; }
  Memory& memory() { return *memory_; }
  tierlib::Stream compute() const { return compute_; }

  // --- Tensors
  // --------------------------------------------------------------------------------------------------------
  // ResourceExhausted where the memory is full, also after Reclaim.
  tierlib::StatusOr<Tensor> Empty(tierlib::DType dtype, std::int64_t rows, std::int64_t columns, tierlib::Stream stream,
                                  const std::string& label, tierlib::Holds holds = tierlib::Holds::kTransient);
  tierlib::StatusOr<Tensor> FromHost(std::vector<float> values, std::int64_t rows, std::int64_t columns,
                                     const std::string& label, tierlib::Holds holds = tierlib::Holds::kTransient);
  Values ToHost(const Tensor& tensor);

  // --- Operators: forward, and backward onto the tape
  // ------------------------------------------------------------------
  tierlib::StatusOr<Tensor> Contiguous(const Tensor& view);                    // a copy, derived from its source
  tierlib::StatusOr<Tensor> Linear(const Tensor& x, const std::string& name);  // x W^T, W of the parameters
  tierlib::StatusOr<Tensor> Tanh(const Tensor& x);
  tierlib::StatusOr<Tensor> Square(const Tensor& x);
  tierlib::StatusOr<Tensor> Relu(const Tensor& x);
  tierlib::StatusOr<Tensor> SquaredLoss(const Tensor& x, const Tensor& target);

  // Runs the tape backwards; fills gradients().
  tierlib::Status Backward();
  // p -= rate * gradient, in place.
  tierlib::Status Descend(float rate);

  std::map<std::string, Tensor>& parameters() { return parameters_; }
  std::map<std::string, Tensor>& gradients() { return gradients_; }
  int keepalives() const { return keepalives_.load(); }  // that tierlib holds now
  int keepalives_made() const { return keepalives_made_.load(); }
  int reclaims() const { return reclaims_; }
  int reloads() const { return reloads_; }

 private:
  using Kernel = std::function<void()>;
  using Backwards = std::function<tierlib::StatusOr<Tensor>(Tensor)>;

  tierlib::StatusOr<void*> TakeMemory(std::size_t bytes, tierlib::Stream stream);
  tierlib::Status Launch(const char* name, tierlib::Stream stream, Kernel kernel);
  // Later work of `later` starts after the work of `earlier` so far.
  tierlib::Status Order(tierlib::Stream earlier, tierlib::Stream later);
  tierlib::StatusOr<Kept> Keep(const Tensor& tensor, const std::string& label);
  tierlib::StatusOr<Matrix> Back(const Kept& kept);
  static Matrix Of(const Tensor& tensor);
  // out[i, j] = function(x[i, j], value[i, j]): the backward of an elementwise operator that kept `value`.
  tierlib::StatusOr<Tensor> Elementwise(const Tensor& gradient, const Kept& kept,
                                        std::function<float(float, float)> function);

  std::unique_ptr<Memory> memory_;  // before the runtime, which gives some back when it goes
  std::unique_ptr<tierlib::Runtime> runtime_;
  tierlib::DeviceBackend* device_ = nullptr;
  bool save_through_tierlib_;
  tierlib::Stream compute_, side_;
  std::vector<Backwards> tape_;
  std::map<std::string, Tensor> parameters_;
  std::map<std::string, Tensor> gradients_;
  std::atomic<int> keepalives_{0};
  std::atomic<int> keepalives_made_{0};
  int reclaims_ = 0;
  int reloads_ = 0;
};

}  // namespace toy

#endif  // TIERLIB_TESTS_TOY_FRAMEWORK_SESSION_H_
