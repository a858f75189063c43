// Text and options for runs that take a moment.
#ifndef TIERLIB_TESTS_TRAIN_LM_SAMPLE_TEXT_H_
#define TIERLIB_TESTS_TRAIN_LM_SAMPLE_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

namespace train_lm {

// Words of a small language, always the same, about `characters` long, some of them not ASCII.
std::string SampleText(std::size_t characters);

// `more`, and whatever it does not say of: this text, a model of two small layers, 6 steps.
std::vector<std::string> SmallRun(const std::string& data, const std::vector<std::string>& more);

}  // namespace train_lm

#endif  // TIERLIB_TESTS_TRAIN_LM_SAMPLE_TEXT_H_
