// MessageText: a protobuf message in the text form that `protoc --decode` prints, as a tree. For tests.
#ifndef TIERLIB_TESTS_TRACE_VIEWER_MESSAGE_TEXT_H_
#define TIERLIB_TESTS_TRACE_VIEWER_MESSAGE_TEXT_H_

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace tierlib::trace_viewer {

class MessageText {
 public:
  // Lines are `name: value`, `name {` and `}`.
  static MessageText Parse(const std::string& text) {
    MessageText root;
    std::vector<MessageText*> open = {&root};
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      line.erase(0, line.find_first_not_of(' '));
      if (line == "}") {
        open.pop_back();
      } else if (line.size() > 2 && line.ends_with(" {")) {
        MessageText& parent = *open.back();
        parent.fields_.emplace_back(line.substr(0, line.size() - 2), std::make_shared<MessageText>());
        open.push_back(parent.fields_.back().second.get());
      } else if (const std::size_t colon = line.find(": "); colon != std::string::npos) {
        auto value = std::make_shared<MessageText>();
        value->value_ = line.substr(colon + 2);
        open.back()->fields_.emplace_back(line.substr(0, colon), std::move(value));
      }
    }
    return root;
  }

  std::vector<const MessageText*> All(const std::string& name) const {
    std::vector<const MessageText*> all;
    for (const auto& [field, value] : fields_) {
      if (field == name) all.push_back(value.get());
    }
    return all;
  }
  bool Has(const std::string& name) const { return !All(name).empty(); }
  // The field, or an empty message.
  const MessageText& operator[](const std::string& name) const {
    static const MessageText kNone;
    const std::vector<const MessageText*> all = All(name);
    return all.empty() ? kNone : *all.front();
  }
  const std::string& text() const { return value_; }
  std::uint64_t number() const { return value_.empty() ? 0 : std::stoull(value_, nullptr, 0); }

  // Names of fields that are numbers: those that the description does not know.
  std::vector<std::string> UnknownFields() const {
    std::vector<std::string> unknown;
    for (const auto& [field, value] : fields_) {
      if (!field.empty() && field[0] >= '0' && field[0] <= '9') unknown.push_back(field);
      for (std::string& below : value->UnknownFields()) unknown.push_back(std::move(below));
    }
    return unknown;
  }

 private:
  std::string value_;
  std::vector<std::pair<std::string, std::shared_ptr<MessageText>>> fields_;
};

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TESTS_TRACE_VIEWER_MESSAGE_TEXT_H_
