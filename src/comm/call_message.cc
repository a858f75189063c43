#include "comm/call_message.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace tierlib::comm {
namespace {

template <std::size_t kSize>
void CopyText(std::string_view from, char (&to)[kSize]) {
  const std::size_t length = std::min(from.size(), kSize - 1);
  if (length > 0) std::memcpy(to, from.data(), length);  // an empty text may have no data
  to[length] = '\0';
}

// Of what came from elsewhere.
template <std::size_t kSize>
void EndText(char (&text)[kSize]) {
  text[kSize - 1] = '\0';
}

template <typename T>
std::vector<std::byte> BytesOf(const T& message, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::memcpy(bytes.data(), &message, sizeof message);
  return bytes;
}

Status MakeStatus(std::int32_t code, const char* text) {
  const auto status_code = static_cast<StatusCode>(code);
  return status_code == StatusCode::kOk ? OkStatus() : Status(status_code, text);
}

}  // namespace

std::size_t CallMessageBytes(int learners) {
  return sizeof(CallMessage) + static_cast<std::size_t>(learners) * sizeof(std::uint64_t);
}

std::vector<std::byte> EncodeCall(const Call& call, const std::string& left, int learners) {
  CallMessage message;
  message.count = call.count;
  message.tag = call.tag;
  message.dtype = static_cast<std::int32_t>(call.dtype);
  message.reduction = static_cast<std::int32_t>(call.reduction);
  message.root = call.root;
  message.has_shares = call.by_rank != nullptr && call.refusal.ok() ? 1 : 0;
  message.refusal_code = static_cast<std::int32_t>(call.refusal.code());
  CopyText(call.name, message.name);
  CopyText(call.refusal.message(), message.refusal);
  CopyText(left, message.left);
  std::vector<std::byte> bytes = BytesOf(message, CallMessageBytes(learners));
  if (message.has_shares != 0) {
    std::memcpy(bytes.data() + sizeof message, call.by_rank->data(), bytes.size() - sizeof message);
  }
  return bytes;
}

HeardCall::HeardCall(const std::vector<std::byte>& bytes)
    : shares_((bytes.size() - sizeof message_) / sizeof(std::uint64_t)) {
  std::memcpy(&message_, bytes.data(), sizeof message_);
  std::memcpy(shares_.data(), bytes.data() + sizeof message_, bytes.size() - sizeof message_);
  EndText(message_.name);
  EndText(message_.refusal);
  EndText(message_.left);
}

Call HeardCall::call() const {
  return {.name = message_.name,
          .by_rank = message_.has_shares != 0 ? &shares_ : nullptr,
          .count = message_.count,
          .dtype = static_cast<DType>(message_.dtype),
          .reduction = static_cast<Reduction>(message_.reduction),
          .root = message_.root,
          .tag = message_.tag,
          .refusal = MakeStatus(message_.refusal_code, message_.refusal)};
}

std::vector<std::byte> EncodeVerdict(const Status& verdict) {
  VerdictMessage message;
  message.code = static_cast<std::int32_t>(verdict.code());
  CopyText(verdict.message(), message.text);
  return BytesOf(message, sizeof message);
}

Status StatusOf(const VerdictMessage& verdict) { return MakeStatus(verdict.code, verdict.text); }

}  // namespace tierlib::comm
