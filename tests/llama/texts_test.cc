// Where a file of many texts is cut.
#include "llama/texts.h"

#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

using Texts = std::vector<std::string_view>;

TEST(SplitTexts, CutsAtALineOfItsOwn) {
  EXPECT_EQ(SplitTexts("a\n<|endoftext|>\nb\nc\n<|endoftext|>\n"), (Texts{"a", "b\nc"}));
  EXPECT_EQ(SplitTexts("<|endoftext|>\na\n\n<|endoftext|>\n\n\nb\n<|endoftext|>"), (Texts{"a", "b"}));
  EXPECT_EQ(SplitTexts("<|endoftext|>\n<|endoftext|>\n\n<|endoftext|>"), Texts());
  EXPECT_EQ(SplitTexts("a"), Texts{"a"});
  EXPECT_EQ(SplitTexts(""), Texts());
}

TEST(SplitTexts, LeavesALineThatHoldsMore) {
  for (const std::string_view text : {"a <|endoftext|>\nb", "a\n<|endoftext|> b", "a<|endoftext|>b", "<|endoftext|> ",
                                      "a\n<|endoftext|><|endoftext|>\nb", "<|endoftext"}) {
    EXPECT_EQ(SplitTexts(text), Texts{text});
  }
  EXPECT_EQ(SplitTexts("a <|endoftext|>\n<|endoftext|>\nb"), (Texts{"a <|endoftext|>", "b"}));
}

}  // namespace
}  // namespace llama
