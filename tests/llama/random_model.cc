#include "llama/random_model.h"

#include <cstdio>
#include <fstream>

#include "base/random.h"
#include "gtest/gtest.h"
#include "llama/decoder_model.h"

namespace llama {

Shape SmallShape(bool tied) {
  Shape shape;
  shape.vocabulary = 300;
  shape.context = 24;
  shape.layers = 2;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.width = 32;
  shape.hidden = 44;
  shape.tied = tied;
  return shape;
}

Model RandomModel(const Shape& shape, std::uint64_t seed) {
  Model model{shape, {}};
  tierlib::Random random(seed);
  for (const WeightSpec& spec : WeightsOf(shape)) {
    std::vector<float> weight(spec.elements());
    const bool norm = spec.sizes.size() == 1;
    for (float& value : weight) value = static_cast<float>(norm ? 1 + 0.2 * random.Normal() : 0.3 * random.Normal());
    model.weights.push_back(std::move(weight));
  }
  return model;
}

std::string Llama2cBytes(const Model& model) {
  const Shape& shape = model.shape;
  std::string bytes;
  const auto add = [&bytes](const void* data, std::size_t count) {
    bytes.append(static_cast<const char*>(data), count);
  };
  for (const std::int64_t number : {shape.width, shape.hidden, shape.layers, shape.heads, shape.kv_heads,
                                    shape.tied ? shape.vocabulary : -shape.vocabulary, shape.context}) {
    const auto narrow = static_cast<std::int32_t>(number);
    add(&narrow, sizeof narrow);
  }
  const auto add_weight = [&](std::size_t position) {
    add(model.weights[position].data(), model.weights[position].size() * sizeof(float));
  };
  add_weight(0);
  for (const LayerWeight weight :
       {kInputNorm, kQueries, kKeys, kValues, kAttentionOut, kMiddleNorm, kGate, kDown, kUp}) {
    for (std::int64_t layer = 0; layer < shape.layers; ++layer) add_weight(Position(layer, weight));
  }
  add_weight(LastNormPosition(shape));
  bytes.append(static_cast<std::size_t>(shape.context * shape.head_width()) * sizeof(float), '\x7f');  // not looked at
  if (!shape.tied) add_weight(HeadPosition(shape));
  return bytes;
}

std::string TokenFile(const std::vector<Piece>& pieces) {
  std::vector<Piece> all = {{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    all.push_back({name, 0});
  }
  all.insert(all.end(), pieces.begin(), pieces.end());
  std::string bytes(4, '\x08');
  for (const Piece& piece : all) {
    const auto length = static_cast<std::int32_t>(piece.text.size());
    bytes.append(reinterpret_cast<const char*>(&piece.score), 4);
    bytes.append(reinterpret_cast<const char*>(&length), 4);
    bytes += piece.text;
  }
  return bytes;
}

std::string CharacterFile(std::int64_t vocabulary) {
  std::vector<Piece> pieces;
  for (std::int64_t token = 259; token < vocabulary; ++token) {
    pieces.push_back({std::string(1, static_cast<char>(' ' + token - 259)), 0});
  }
  return TokenFile(pieces);
}

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::vector<std::vector<float>> AllLogits(Model model, const std::vector<std::int32_t>& tokens) {
  DecoderModel ready = ForDecoder(std::move(model));
  Decoder decoder(ready.shape, std::move(ready.weights));
  std::vector<std::vector<float>> all;
  for (const std::int32_t token : tokens) {
    const tierlib::StatusOr<const float*> logits = decoder.Next(token);
    EXPECT_TRUE(logits.ok()) << logits.status();
    if (logits.ok()) all.emplace_back(*logits, *logits + ready.shape.vocabulary);
  }
  return all;
}

}  // namespace llama
