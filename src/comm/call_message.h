// What learners that are processes tell each other: which collective one comes to, and what learner 0 says to it. Of
// plain bytes, for processes of one program on machines of one kind.
#ifndef TIERLIB_SRC_COMM_CALL_MESSAGE_H_
#define TIERLIB_SRC_COMM_CALL_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/call.h"
#include "tierlib/status.h"

namespace tierlib::comm {

// A learner's call as it is sent; the shares of the `learners` follow it. Texts are cut to what fits.
struct CallMessage {
  std::uint64_t count = 0;
  std::uint64_t tag = 0;
  std::int32_t dtype = 0;
  std::int32_t reduction = 0;
  std::int32_t root = 0;
  std::int32_t has_shares = 0;
  std::int32_t refusal_code = 0;
  char name[24] = "";
  char refusal[484] = "";
  char left[512] = "";  // why it does not come any more; "": it has come
};

// Bytes of every call's message.
std::size_t CallMessageBytes(int learners);
// `left` as in CallMessage. A refused call's shares are left out: there may be too few of them.
std::vector<std::byte> EncodeCall(const Call& call, const std::string& left, int learners);

// A call that came. What call() points to is here.
class HeardCall {
 public:
  HeardCall() = default;
  // REQUIRES: bytes of EncodeCall.
  explicit HeardCall(const std::vector<std::byte>& bytes);

  Call call() const;
  // Why the learner does not come any more; "": it has come.
  const char* left() const { return message_.left; }

 private:
  CallMessage message_;
  std::vector<std::uint64_t> shares_;
};

// What learner 0 answers.
struct VerdictMessage {
  std::int32_t code = 0;
  char text[1024] = "";
};
std::vector<std::byte> EncodeVerdict(const Status& verdict);
Status StatusOf(const VerdictMessage& verdict);

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_CALL_MESSAGE_H_
