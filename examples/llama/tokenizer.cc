#include "llama/tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <queue>
#include <utility>

#include "llama/file_reader.h"

namespace llama {
namespace {

using tierlib::DataLossError;
using tierlib::Status;
using tierlib::StatusOr;

constexpr std::int32_t kFirstByte = 3;  // the token of byte 0
constexpr std::int32_t kFirstPiece = kFirstByte + 256;

// Bytes of the UTF-8 character that begins with `lead`; a byte that begins none stands for itself.
std::size_t CharacterBytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
}

}  // namespace

StatusOr<Tokenizer> Tokenizer::Read(const std::string& path, std::int64_t vocabulary) {
  if (vocabulary != 0 && vocabulary < kFirstPiece) {
    return tierlib::InvalidArgumentError(path + ": a vocabulary of " + std::to_string(vocabulary) +
                                         " tokens; at least " + std::to_string(kFirstPiece) + " are needed");
  }
  TIERLIB_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(path));
  std::int32_t longest = 0;
  TIERLIB_RETURN_IF_ERROR(file.Read(&longest, sizeof longest));
  Tokenizer tokenizer;
  for (std::int64_t token = 0; vocabulary == 0 ? file.left() > 0 : token < vocabulary; ++token) {
    float score = 0;
    std::int32_t length = 0;
    TIERLIB_RETURN_IF_ERROR(file.Read(&score, sizeof score));
    TIERLIB_RETURN_IF_ERROR(file.Read(&length, sizeof length));
    if (length < 0 || static_cast<std::uint64_t>(length) > file.left() || std::isnan(score)) {
      return DataLossError(path + ": token " + std::to_string(token) + " has " + std::to_string(length) +
                           " bytes and a score of " + std::to_string(score));
    }
    std::string piece(static_cast<std::size_t>(length), '\0');
    TIERLIB_RETURN_IF_ERROR(file.Read(piece.data(), piece.size()));
    tokenizer.tokens_.emplace(piece, static_cast<std::int32_t>(token));
    tokenizer.pieces_.push_back(std::move(piece));
    tokenizer.scores_.push_back(score);
  }
  if (tokenizer.vocabulary() < kFirstPiece) {
    return DataLossError(path + ": has " + std::to_string(tokenizer.vocabulary()) + " tokens; at least " +
                         std::to_string(kFirstPiece) + " are needed");
  }
  if (file.left() > 0) {
    return DataLossError(path + ": has more than " + std::to_string(vocabulary) +
                         " tokens, which is the model's vocabulary");
  }
  return tokenizer;
}

std::uint64_t Tokenizer::fingerprint() const {
  std::uint64_t fingerprint = 0xcbf29ce484222325;
  const auto add = [&fingerprint](const char* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      fingerprint = (fingerprint ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3;
    }
  };
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    add(pieces_[i].c_str(), pieces_[i].size() + 1);
    add(reinterpret_cast<const char*>(&scores_[i]), sizeof scores_[i]);
  }
  return fingerprint;
}

std::int32_t Tokenizer::Find(const std::string& piece) const {
  const auto found = tokens_.find(piece);
  return found == tokens_.end() ? -1 : found->second;
}

std::vector<std::int32_t> Tokenizer::Encode(std::string_view text) const {
  std::vector<std::int32_t> tokens;
  if (text.empty()) return tokens;
  if (const std::int32_t space = Find(" "); space >= 0) tokens.push_back(space);
  for (std::size_t at = 0; at < text.size();) {
    const std::string character(text.substr(at, CharacterBytes(text[at])));
    at += character.size();
    if (const std::int32_t token = Find(character); token >= 0) {
      tokens.push_back(token);
      continue;
    }
    for (const char byte : character) tokens.push_back(kFirstByte + static_cast<unsigned char>(byte));
  }
  return Join(std::move(tokens));
}

std::vector<std::int32_t> Tokenizer::Join(std::vector<std::int32_t> tokens) const {
  // Tokens stay where they are; one that was joined to its left neighbour is -1, and links lead past it.
  const std::size_t count = tokens.size();
  std::vector<std::size_t> before(count), behind(count);
  for (std::size_t i = 0; i < count; ++i) {
    before[i] = i - 1;  // of the first: not below count
    behind[i] = i + 1;
  }
  struct Pair {
    float score = 0;
    std::size_t left = 0, right = 0;
    std::int32_t tokens[2] = {};  // as they were when the pair was noted
    std::int32_t joined = 0;
    bool operator<(const Pair& other) const {  // the greatest is joined first
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  std::priority_queue<Pair> pairs;
  const auto note = [&](std::size_t left, std::size_t right) {
    if (left >= count || right >= count) return;
    const std::int32_t joined =
        Find(pieces_[static_cast<std::size_t>(tokens[left])] + pieces_[static_cast<std::size_t>(tokens[right])]);
    if (joined < 0) return;
    pairs.push({scores_[static_cast<std::size_t>(joined)], left, right, {tokens[left], tokens[right]}, joined});
  };
  for (std::size_t i = 0; i + 1 < count; ++i) note(i, i + 1);
  while (!pairs.empty()) {
    const Pair best = pairs.top();
    pairs.pop();
    if (tokens[best.left] != best.tokens[0] || tokens[best.right] != best.tokens[1]) continue;  // joined since
    tokens[best.left] = best.joined;
    tokens[best.right] = -1;
    behind[best.left] = behind[best.right];
    if (behind[best.left] < count) before[behind[best.left]] = best.left;
    note(before[best.left], best.left);
    note(best.left, behind[best.left]);
  }
  tokens.erase(std::remove(tokens.begin(), tokens.end(), -1), tokens.end());
  return tokens;
}

std::string Tokenizer::Decode(std::int32_t previous, std::int32_t token) const {
  if (token < 0 || token >= vocabulary() || token == kBegin || token == kEnd) return "";
  if (token >= kFirstByte && token < kFirstPiece) return std::string(1, static_cast<char>(token - kFirstByte));
  const std::string& piece = pieces_[static_cast<std::size_t>(token)];
  return previous == kBegin && !piece.empty() && piece[0] == ' ' ? piece.substr(1) : piece;
}

}  // namespace llama
