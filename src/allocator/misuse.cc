#include "allocator/misuse.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace tierlib::misuse {
namespace {

[[noreturn]] __attribute__((format(printf, 1, 2))) void Die(const char* format, ...) {
  char message[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  TIERLIB_CHECK(false, message);
  std::abort();
}

// "1000 bytes at offset 512 of the device pool (activations)", "1000 bytes at 0x7f0012345600 of device memory (...)"
std::string Text(const BlockName& block) {
  const std::string where = block.has_base
                                ? absl::StrCat("offset ", block.offset, " of the ", TierName(block.tier), " pool")
                                : absl::StrCat("0x", absl::Hex(block.offset), " of ", TierName(block.tier), " memory");
  return absl::StrCat(block.bytes, " bytes at ", where, " (", trace::TagName(block.tag), ")");
}

const char* Twice(const char* use) { return std::strcmp(use, "free") == 0 ? "double " : ""; }

}  // namespace

void DieOfForeign(const char* use, const void* address, Tier tier) {
  Die("%s of %p, which is not from this %s pool (foreign pointer)", use, address, TierName(tier));
}

void DieOfInterior(const char* use, const void* address, const BlockName& block, std::ptrdiff_t byte) {
  Die("%s of %p, which is inside a block (interior pointer): byte %td of %s", use, address, byte, Text(block).c_str());
}

void DieOfFreed(const char* use, const void* address, const BlockName& block) {
  Die("%s%s of %p: %s are already free", Twice(use), use, address, Text(block).c_str());
}

void DieOfAddress(const char* use, const void* address, std::size_t offset, std::size_t extent, Tier tier,
                  const BlockList& blocks) {
  if (offset >= extent) DieOfForeign(use, address, tier);
  const Block* block = blocks.last();
  while (block != nullptr && block->offset > offset) block = block->previous;
  if (block != nullptr && block->live && offset - block->offset < block->bytes) {
    DieOfInterior(use, address, {tier, block->offset, block->asked, block->tag},
                  static_cast<std::ptrdiff_t>(offset - block->offset));
  }
  Die("%s%s of %p: offset %zu of this %s pool is already free", Twice(use), use, address, offset, TierName(tier));
}

void DieOfWriteBehind(const BlockName& block, std::size_t byte, std::byte found) {
  Die("write behind the end of a block: %s; byte %zu behind the end holds 0x%02x", Text(block).c_str(), byte,
      static_cast<unsigned>(found));
}

void DieOfWriteBefore(const BlockName& block, std::size_t byte, std::byte found) {
  Die("write before the beginning of a block: %s; byte %zu before the beginning holds 0x%02x", Text(block).c_str(),
      byte, static_cast<unsigned>(found));
}

void DieOfWriteAfterFree(const BlockName& block, std::ptrdiff_t byte, std::byte found) {
  Die("write after free: %s, which were free; byte %td holds 0x%02x", Text(block).c_str(), byte,
      static_cast<unsigned>(found));
}

}  // namespace tierlib::misuse
