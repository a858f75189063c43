#include "toy_framework/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "runtime/core.h"

namespace toy {

using tierlib::DType;
using tierlib::Holds;
using tierlib::Layout;
using tierlib::OkStatus;
using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;
using tierlib::Stream;

Session::Session(tierlib::Options options, std::size_t memory_bytes, bool save_through_tierlib)
    : save_through_tierlib_(save_through_tierlib) {
  auto allocator = std::make_shared<tierlib::DeviceAllocator>();
  allocator->allocate = [this](std::size_t bytes, Stream stream) -> void* {
    const StatusOr<void*> data = TakeMemory(bytes, stream);
    if (!data.ok()) return nullptr;
    ++reloads_;
    return *data;
  };
  allocator->deallocate = [this](void* data, std::size_t, Stream stream) { memory_->Give(data, {stream}); };
  options.devices[0].allocator = std::move(allocator);
  runtime_ = tierlib::Runtime::Create(std::move(options)).value();
  device_ = &runtime_->core()->backend(0);
  memory_ = std::make_unique<Memory>(*device_, memory_bytes);
  compute_ = runtime_->CreateStream(0, "compute").value();
  side_ = runtime_->CreateStream(0, "side").value();
}

Session::~Session() {
  tape_.clear();
  gradients_.clear();
  parameters_.clear();
  TIERLIB_CHECK(runtime_->Synchronize(compute_).ok() && runtime_->Synchronize(side_).ok(), "toy session");
  TIERLIB_CHECK(runtime_->Drain().ok(), "toy session");
  memory_.reset();
}

// --- memory and kernels
// -----------------------------------------------------------------------------------------------

StatusOr<void*> Session::TakeMemory(std::size_t bytes, Stream stream) {
  for (;;) {
    if (void* data = memory_->Take(bytes, stream)) return data;
    ++reclaims_;
    TIERLIB_ASSIGN_OR_RETURN(const std::uint64_t freed, runtime_->Reclaim(0, bytes));
    TIERLIB_RETURN_IF_ERROR(runtime_->Drain());  // the copies end, and our references come back
    if (void* data = memory_->Take(bytes, stream)) return data;
    if (freed == 0) return Status(StatusCode::kResourceExhausted, "toy memory is full");
  }
}

Status Session::Launch(const char* name, Stream stream, Kernel kernel) {
  tierlib::HostKernel host;
  host.name = name;
  host.run = [kernel = std::move(kernel)](tierlib::KernelContext&) { kernel(); };
  return device_->Launch(stream, std::move(host));
}

Status Session::Order(Stream earlier, Stream later) {
  TIERLIB_ASSIGN_OR_RETURN(const tierlib::EventId event, device_->CreateEvent());
  TIERLIB_RETURN_IF_ERROR(device_->RecordEvent(event, earlier));
  TIERLIB_RETURN_IF_ERROR(device_->WaitEvent(later, event));
  device_->DestroyEvent(event);
  return OkStatus();
}

// --- tensors
// ----------------------------------------------------------------------------------------------------------

StatusOr<Tensor> Session::Empty(DType dtype, std::int64_t rows, std::int64_t columns, Stream stream,
                                const std::string& label, Holds holds) {
  const Layout layout = Layout::Contiguous(dtype, {rows, columns});
  const auto bytes = static_cast<std::size_t>(layout.logical_bytes());
  TIERLIB_ASSIGN_OR_RETURN(void* data, TakeMemory(bytes, stream));
  TIERLIB_ASSIGN_OR_RETURN(const tierlib::StorageId id, runtime_->Register(data, bytes, 0, holds, label));
  return Tensor(new Storage(*this, data, id, stream), layout);
}

StatusOr<Tensor> Session::FromHost(std::vector<float> values, std::int64_t rows, std::int64_t columns,
                                   const std::string& label, Holds holds) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor tensor, Empty(DType::kF32, rows, columns, compute_, label, holds));
  TIERLIB_RETURN_IF_ERROR(Launch("from host", compute_, [to = Of(tensor), values = std::move(values)] {
    std::copy(values.begin(), values.end(), &to.at(0, 0));
  }));
  return tensor;
}

Values Session::ToHost(const Tensor& tensor) {
  auto values = std::make_shared<std::vector<float>>();
  const auto count = static_cast<std::size_t>(tensor.layout().elements());
  TIERLIB_CHECK(tensor.layout().is_contiguous(), "toy session");
  const Status launched = Launch("to host", compute_, [values, from = Of(tensor), count] {
    values->assign(&from.at(0, 0), &from.at(0, 0) + count);
  });
  TIERLIB_CHECK(launched.ok(), "toy session");
  return values;
}

Matrix Session::Of(const Tensor& tensor) { return {static_cast<char*>(tensor.data()), tensor.layout(), {}}; }

// --- what backward needs
// ----------------------------------------------------------------------------------------------

StatusOr<Kept> Session::Keep(const Tensor& tensor, const std::string& label) {
  Kept kept;
  if (!save_through_tierlib_) {
    kept.tensor = tensor;
    return kept;
  }
  Storage* storage = tensor.storage();
  storage->AddReference();
  ++keepalives_;
  ++keepalives_made_;
  tierlib::Keepalive keepalive(storage, [this](void* held) {
    --keepalives_;
    static_cast<Storage*>(held)->DropReference();
  });
  TIERLIB_ASSIGN_OR_RETURN(kept.saved, runtime_->Pack(tensor.view(), std::move(keepalive), compute_, label));
  return kept;
}

StatusOr<Matrix> Session::Back(const Kept& kept) {
  if (!kept.saved.valid()) return Of(kept.tensor);
  TIERLIB_ASSIGN_OR_RETURN(tierlib::Loaded loaded, runtime_->Unpack(kept.saved, compute_));
  Matrix matrix;
  matrix.base = static_cast<char*>(const_cast<void*>(loaded.origin()));
  matrix.layout = loaded.layout();
  matrix.lease = std::move(loaded);
  return matrix;
}

// --- operators
// --------------------------------------------------------------------------------------------------------

StatusOr<Tensor> Session::Contiguous(const Tensor& view) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor copy, Empty(DType::kF32, view.size(0), view.size(1), compute_, "contiguous"));
  TIERLIB_RETURN_IF_ERROR(Launch("contiguous", compute_, [from = Of(view), to = Of(copy)] {
    for (std::int64_t i = 0; i < to.layout.sizes[0]; ++i) {
      for (std::int64_t j = 0; j < to.layout.sizes[1]; ++j) to.at(i, j) = from.at(i, j);
    }
  }));
  TIERLIB_RETURN_IF_ERROR(runtime_->Derive(copy.view(), view.view(), tierlib::Replay::Copy()));
  return copy;
}

// Backward: the weight's gradient on the side stream, beside the gradient of x.
StatusOr<Tensor> Session::Linear(const Tensor& x, const std::string& name) {
  const Tensor weight = parameters_.at(name);
  const std::int64_t batch = x.size(0), in = x.size(1), out = weight.size(0);
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, Empty(DType::kF32, batch, out, compute_, name + ".y"));
  TIERLIB_RETURN_IF_ERROR(Launch("linear", compute_, [a = Of(x), w = Of(weight), c = Of(y), batch, in, out] {
    for (std::int64_t i = 0; i < batch; ++i) {
      for (std::int64_t j = 0; j < out; ++j) {
        float sum = 0;
        for (std::int64_t k = 0; k < in; ++k) sum += a.at(i, k) * w.at(j, k);
        c.at(i, j) = sum;
      }
    }
  }));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor columns, Contiguous(Transpose(x)));
  TIERLIB_ASSIGN_OR_RETURN(Kept kept_x, Keep(columns, name + ".x^T"));
  TIERLIB_ASSIGN_OR_RETURN(Kept kept_w, Keep(Transpose(weight), name + ".w^T"));
  tape_.push_back([this, name, kept_x, kept_w, batch, in, out](Tensor g) -> StatusOr<Tensor> {
    TIERLIB_ASSIGN_OR_RETURN(const Matrix xt, Back(kept_x));
    TIERLIB_ASSIGN_OR_RETURN(const Matrix wt, Back(kept_w));
    TIERLIB_ASSIGN_OR_RETURN(Tensor dw, Empty(DType::kF32, out, in, side_, name + ".gradient"));
    TIERLIB_ASSIGN_OR_RETURN(Tensor dx, Empty(DType::kF32, batch, in, compute_, name + ".dx"));
    TIERLIB_RETURN_IF_ERROR(Order(compute_, side_));
    if (xt.lease.valid()) TIERLIB_RETURN_IF_ERROR(xt.lease.UsedOn(side_));
    if (kept_x.tensor.storage() != nullptr) kept_x.tensor.storage()->UsedOn(side_);
    g.storage()->UsedOn(side_);
    dw.storage()->UsedOn(compute_);
    TIERLIB_RETURN_IF_ERROR(
        Launch("linear weight", side_,
               [g = Of(g), at = static_cast<const char*>(xt.base), l = xt.layout, d = Of(dw), batch, in, out] {
                 const Matrix a{const_cast<char*>(at), l, {}};
                 for (std::int64_t j = 0; j < out; ++j) {
                   for (std::int64_t k = 0; k < in; ++k) {
                     float sum = 0;
                     for (std::int64_t i = 0; i < batch; ++i) sum += g.at(i, j) * a.at(k, i);
                     d.at(j, k) = sum;
                   }
                 }
               }));
    TIERLIB_RETURN_IF_ERROR(
        Launch("linear input", compute_, [g = Of(g), at = wt.base, l = wt.layout, d = Of(dx), batch, in, out] {
          const Matrix w{at, l, {}};
          for (std::int64_t i = 0; i < batch; ++i) {
            for (std::int64_t k = 0; k < in; ++k) {
              float sum = 0;
              for (std::int64_t j = 0; j < out; ++j) sum += g.at(i, j) * w.at(k, j);
              d.at(i, k) = sum;
            }
          }
        }));
    gradients_[name] = dw;
    return dx;
  });
  return y;
}

StatusOr<Tensor> Session::Elementwise(const Tensor& gradient, const Kept& kept,
                                      std::function<float(float, float)> function) {
  TIERLIB_ASSIGN_OR_RETURN(const Matrix value, Back(kept));
  TIERLIB_ASSIGN_OR_RETURN(Tensor out, Empty(DType::kF32, gradient.size(0), gradient.size(1), compute_, "dx"));
  const bool flags = value.layout.dtype == DType::kU8;
  TIERLIB_RETURN_IF_ERROR(Launch("elementwise backward", compute_,
                                 [g = Of(gradient), at = value.base, l = value.layout, o = Of(out), flags, function] {
                                   const Matrix v{at, l, {}};
                                   for (std::int64_t i = 0; i < o.layout.sizes[0]; ++i) {
                                     for (std::int64_t j = 0; j < o.layout.sizes[1]; ++j) {
                                       o.at(i, j) =
                                           function(g.at(i, j), flags ? static_cast<float>(v.flag(i, j)) : v.at(i, j));
                                     }
                                   }
                                 }));
  return out;
}

StatusOr<Tensor> Session::Tanh(const Tensor& x) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, Empty(DType::kF32, x.size(0), x.size(1), compute_, "tanh"));
  TIERLIB_RETURN_IF_ERROR(Launch("tanh", compute_, [a = Of(x), b = Of(y)] {
    for (std::int64_t i = 0; i < a.layout.sizes[0]; ++i) {
      for (std::int64_t j = 0; j < a.layout.sizes[1]; ++j) b.at(i, j) = std::tanh(a.at(i, j));
    }
  }));
  TIERLIB_ASSIGN_OR_RETURN(Kept kept, Keep(y, "tanh.y"));
  tape_.push_back(
      [this, kept](Tensor g) { return Elementwise(g, kept, [](float d, float v) { return d * (1 - v * v); }); });
  return y;
}

StatusOr<Tensor> Session::Square(const Tensor& x) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, Empty(DType::kF32, x.size(0), x.size(1), compute_, "square"));
  TIERLIB_RETURN_IF_ERROR(Launch("square", compute_, [a = Of(x), b = Of(y)] {
    for (std::int64_t i = 0; i < a.layout.sizes[0]; ++i) {
      for (std::int64_t j = 0; j < a.layout.sizes[1]; ++j) b.at(i, j) = a.at(i, j) * a.at(i, j);
    }
  }));
  TIERLIB_ASSIGN_OR_RETURN(Kept kept, Keep(x, "square.x"));
  tape_.push_back([this, kept](Tensor g) { return Elementwise(g, kept, [](float d, float v) { return 2 * d * v; }); });
  return y;
}

namespace {

// mask[i] = y[i] > 0, for both the forward pass and the replay.
void Mask(const float* y, std::uint8_t* mask, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) mask[i] = y[i] > 0 ? 1 : 0;
}

}  // namespace

StatusOr<Tensor> Session::Relu(const Tensor& x) {
  const std::int64_t count = x.layout().elements();
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, Empty(DType::kF32, x.size(0), x.size(1), compute_, "relu"));
  TIERLIB_ASSIGN_OR_RETURN(Tensor mask, Empty(DType::kU8, x.size(0), x.size(1), compute_, "relu.mask"));
  TIERLIB_RETURN_IF_ERROR(Launch("relu", compute_, [a = Of(x), b = Of(y), m = Of(mask), count] {
    for (std::int64_t i = 0; i < count; ++i) (&b.at(0, 0))[i] = std::max(0.0f, (&a.at(0, 0))[i]);
    Mask(&b.at(0, 0), &m.flag(0, 0), count);
  }));
  const auto replay = [this, count](const tierlib::ReplayArguments& arguments) {
    const auto* from = static_cast<const char*>(arguments.source) + arguments.source_layout.offset_bytes;
    auto* to = static_cast<std::uint8_t*>(arguments.destination) + arguments.destination_layout.offset_bytes;
    return Launch("relu mask again", arguments.stream,
                  [from, to, count] { Mask(reinterpret_cast<const float*>(from), to, count); });
  };
  TIERLIB_RETURN_IF_ERROR(runtime_->Derive(mask.view(), y.view(), tierlib::Replay::Call("relu mask", replay)));
  TIERLIB_ASSIGN_OR_RETURN(Kept kept_y, Keep(y, "relu.y"));  // as frameworks that save the output do
  TIERLIB_ASSIGN_OR_RETURN(Kept kept, Keep(mask, "relu.mask"));
  tape_.push_back([this, kept, kept_y](Tensor g) -> StatusOr<Tensor> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor through, Elementwise(g, kept, [](float d, float flag) { return d * flag; }));
    return Elementwise(through, kept_y, [](float d, float v) { return v > 0 ? d : 0.0f; });
  });
  return y;
}

StatusOr<Tensor> Session::SquaredLoss(const Tensor& x, const Tensor& target) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor difference, Empty(DType::kF32, x.size(0), x.size(1), compute_, "difference"));
  TIERLIB_ASSIGN_OR_RETURN(Tensor loss, Empty(DType::kF32, 1, 1, compute_, "loss"));
  TIERLIB_RETURN_IF_ERROR(Launch("loss", compute_, [a = Of(x), t = Of(target), d = Of(difference), l = Of(loss)] {
    float sum = 0;
    for (std::int64_t i = 0; i < a.layout.sizes[0]; ++i) {
      for (std::int64_t j = 0; j < a.layout.sizes[1]; ++j) {
        d.at(i, j) = a.at(i, j) - t.at(i, j);
        sum += d.at(i, j) * d.at(i, j);
      }
    }
    l.at(0, 0) = sum / static_cast<float>(a.layout.sizes[0]);
  }));
  TIERLIB_ASSIGN_OR_RETURN(Kept kept, Keep(difference, "loss.difference"));
  const float scale = 2.0f / static_cast<float>(x.size(0));
  tape_.push_back([this, kept, scale](Tensor) -> StatusOr<Tensor> {
    TIERLIB_ASSIGN_OR_RETURN(const Matrix d, Back(kept));
    TIERLIB_ASSIGN_OR_RETURN(Tensor out, Empty(DType::kF32, d.layout.sizes[0], d.layout.sizes[1], compute_, "dloss"));
    TIERLIB_RETURN_IF_ERROR(Launch("loss backward", compute_, [at = d.base, l = d.layout, o = Of(out), scale] {
      const Matrix from{at, l, {}};
      for (std::int64_t i = 0; i < l.sizes[0]; ++i) {
        for (std::int64_t j = 0; j < l.sizes[1]; ++j) o.at(i, j) = scale * from.at(i, j);
      }
    }));
    return out;
  });
  return loss;
}

// --- training
// ---------------------------------------------------------------------------------------------------------

Status Session::Backward() {
  Tensor gradient;
  while (!tape_.empty()) {
    TIERLIB_ASSIGN_OR_RETURN(gradient, tape_.back()(gradient));
    tape_.pop_back();
  }
  return Order(side_, compute_);
}

Status Session::Descend(float rate) {
  for (auto& [name, gradient] : gradients_) {
    const Tensor& parameter = parameters_.at(name);
    TIERLIB_RETURN_IF_ERROR(runtime_->BeginWrite(parameter.storage()->id(), compute_));
    const std::int64_t count = parameter.layout().elements();
    TIERLIB_RETURN_IF_ERROR(Launch("sgd", compute_, [p = Of(parameter), g = Of(gradient), count, rate] {
      for (std::int64_t i = 0; i < count; ++i) (&p.at(0, 0))[i] -= rate * (&g.at(0, 0))[i];
    }));
  }
  return OkStatus();
}

}  // namespace toy
