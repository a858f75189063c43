#include "train_lm/text.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

#include "llama/texts.h"

namespace train_lm {
namespace {

using tierlib::InvalidArgumentError;
using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;

// Decodes the character at bytes[*next] and steps over it; -1 where there is none: a stray or missing continuation
// byte, an overlong form, a surrogate, or beyond U+10FFFF (RFC 3629).
std::int32_t DecodeCharacter(std::string_view bytes, std::size_t* next) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = byte(*next);
  if (first < 0x80) {
    ++*next;
    return static_cast<std::int32_t>(first);
  }
  const int length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() - *next < static_cast<std::size_t>(length)) return -1;
  std::int32_t character = static_cast<std::int32_t>(first & (0x7fu >> length));
  for (int i = 1; i < length; ++i) {
    const unsigned continued = byte(*next + static_cast<std::size_t>(i));
    if ((continued & 0xc0) != 0x80) return -1;
    character = (character << 6) | static_cast<std::int32_t>(continued & 0x3f);
  }
  constexpr std::int32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (character < kSmallest[length] || character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) return -1;
  *next += static_cast<std::size_t>(length);
  return character;
}

// Replaces code points by their ranks.
void Rank(Text& text) {
  std::vector<std::int32_t> rank(0x110000, -1);
  for (const std::int32_t character : text.tokens) rank[static_cast<std::size_t>(character)] = 0;
  for (std::size_t character = 0; character < rank.size(); ++character) {
    if (rank[character] < 0) continue;
    rank[character] = static_cast<std::int32_t>(text.alphabet.size());
    text.alphabet.push_back(static_cast<char32_t>(character));
  }
  for (std::int32_t& token : text.tokens) token = rank[static_cast<std::size_t>(token)];
}

StatusOr<std::string> ReadFile(const std::string& path) {
  const auto fail = [&](int error) {
    const StatusCode code = error == ENOENT   ? StatusCode::kNotFound
                            : error == EACCES ? StatusCode::kPermissionDenied
                                              : StatusCode::kUnavailable;
    return Status(code, path + ": cannot be read: " + std::generic_category().message(error));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (file == nullptr) return fail(errno);
  std::string bytes;
  std::vector<char> block(std::size_t{1} << 20);
  while (const std::size_t read = std::fread(block.data(), 1, block.size(), file.get()))
    bytes.append(block.data(), read);
  if (std::ferror(file.get()) != 0) return fail(errno);
  return bytes;
}

// FNV-1a, going on from `seed`.
std::uint64_t Fingerprint(std::string_view bytes, std::uint64_t seed = 0xcbf29ce484222325) {
  for (const char c : bytes) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return seed;
}

// Sets what is for training. `unit`: what the tokens are.
StatusOr<Text> Divided(Text text, std::int64_t context, const std::string& name, const std::string& unit) {
  text.training = text.size() / 10 * 9 + text.size() % 10 * 9 / 10;
  const std::int64_t shorter = std::min(text.training, text.validation());
  if (shorter < context + 1) {
    return InvalidArgumentError(name + ": the text has " + std::to_string(text.size()) + " " + unit + ", so its " +
                                (text.training < text.validation() ? "training" : "validation") + " part has " +
                                std::to_string(shorter) + ": a sequence needs --context + 1, " +
                                std::to_string(context + 1));
  }
  return text;
}

}  // namespace

StatusOr<Text> MakeText(std::string_view bytes, std::int64_t context, const std::string& name) {
  if (bytes.empty()) return InvalidArgumentError(name + ": the text is empty");
  Text text;
  text.fingerprint = Fingerprint(bytes);
  for (std::size_t next = 0; next < bytes.size();) {
    const std::int32_t character = DecodeCharacter(bytes, &next);
    if (character < 0) {
      return InvalidArgumentError(name + ": the text is not UTF-8 at byte " + std::to_string(next));
    }
    text.tokens.push_back(character);
  }
  Rank(text);
  text.vocabulary = static_cast<std::int64_t>(text.alphabet.size());
  return Divided(std::move(text), context, name, "characters");
}

StatusOr<Text> MakeTokens(std::string_view bytes, const llama::Tokenizer& tokenizer, std::int64_t context,
                          const std::string& name) {
  Text text;
  text.vocabulary = tokenizer.vocabulary();
  text.fingerprint = Fingerprint(bytes, tokenizer.fingerprint());
  for (const std::string_view each : llama::SplitTexts(bytes)) {
    text.tokens.push_back(llama::Tokenizer::kBegin);
    const std::vector<std::int32_t> tokens = tokenizer.Encode(each);
    text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end());
  }
  if (text.tokens.empty()) return InvalidArgumentError(name + ": the text is empty");
  return Divided(std::move(text), context, name, "tokens");
}

StatusOr<Text> LoadText(const std::string& path, std::int64_t context, const std::string& tokenizer) {
  TIERLIB_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  if (tokenizer.empty()) return MakeText(bytes, context, path);
  TIERLIB_ASSIGN_OR_RETURN(const llama::Tokenizer read, llama::Tokenizer::Read(tokenizer, 0));
  return MakeTokens(bytes, read, context, path);
}

}  // namespace train_lm
