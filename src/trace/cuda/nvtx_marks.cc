// Compiled with CUDA; not seen running under a profiler. NVTX is headers alone, which find the profiler where there is
// one.
#include <nvtx3/nvToolsExt.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "trace/cuda/cupti_correlation.h"
#include "trace/format.h"
#include "trace/range_marks.h"

namespace tierlib::trace {
namespace {

CuptiCorrelation::Kind KindOf(Event event) {
  const bool is_step = event == Event::kStepBegin || event == Event::kStepEnd;
  return is_step ? CuptiCorrelation::Kind::kStep : CuptiCorrelation::Kind::kOp;
}

class NvtxMarks : public RangeMarks {
 public:
  NvtxMarks() : domain_(nvtxDomainCreateA("tierlib")), names_(kOtherLabel + 1) {}
  ~NvtxMarks() override { nvtxDomainDestroy(domain_); }

  void Name(std::uint32_t label, std::string_view text) override {
    if (label < names_.size()) names_[label].store(nvtxDomainRegisterStringA(domain_, std::string(text).c_str()));
  }

  void Mark(Event event, std::uint32_t label, std::uint64_t subject) override {
    if (event == Event::kStepBegin || event == Event::kOpBegin) return Begin(event, label, subject);
    nvtxDomainRangePop(domain_);
    cupti_.Pop(KindOf(event));
  }

 private:
  void Begin(Event event, std::uint32_t label, std::uint64_t subject) {
    nvtxEventAttributes_t attributes = {};
    attributes.version = NVTX_VERSION;
    attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    attributes.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
    attributes.payload.ullValue = subject;
    const nvtxStringHandle_t name = label < names_.size() ? names_[label].load() : nullptr;
    if (name != nullptr) {
      attributes.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
      attributes.message.registered = name;
    } else {
      attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
      attributes.message.ascii = event == Event::kStepBegin ? "step" : "op";
    }
    nvtxDomainRangePushEx(domain_, &attributes);
    cupti_.Push(KindOf(event), subject);
  }

  const nvtxDomainHandle_t domain_;
  std::vector<std::atomic<nvtxStringHandle_t>> names_;  // by label
  const CuptiCorrelation cupti_;
};

}  // namespace

std::unique_ptr<RangeMarks> CreateRangeMarks() { return std::make_unique<NvtxMarks>(); }

}  // namespace tierlib::trace
