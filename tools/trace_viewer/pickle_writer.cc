#include "pickle_writer.h"

#include <cstdint>
#include <utility>

namespace tierlib::trace_viewer {
namespace {

// Python's pickler puts in as many at a time; a browser has a limit not far above.
constexpr int kItemsMost = 1000;

}  // namespace

PickleWriter::PickleWriter() : bytes_("\x80\x02") {}

void PickleWriter::LittleEndian(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) Byte(static_cast<char>(value >> (8 * i)));
}

void PickleWriter::Integer(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  if (value >= 0 && value <= UINT8_MAX) {
    Byte('K');  // BININT1
    LittleEndian(bits, 1);
  } else if (value >= 0 && value <= UINT16_MAX) {
    Byte('M');  // BININT2
    LittleEndian(bits, 2);
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    Byte('J');  // BININT
    LittleEndian(bits, 4);
  } else {
    bytes_ += "\x8a\x08";  // LONG1
    LittleEndian(bits, 8);
  }
}

void PickleWriter::Bool(bool value) { Byte(value ? '\x88' : '\x89'); }

void PickleWriter::Text(std::string_view text) {
  if (const auto found = texts_.find(text); found != texts_.end()) return Again(found->second);
  Byte('X');  // BINUNICODE
  LittleEndian(text.size(), 4);
  bytes_ += text;
  texts_.emplace(text, Remember());
}

void PickleWriter::BeginDict() { bytes_ += "}("; }
void PickleWriter::EndDict() { Byte('u'); }

void PickleWriter::BeginList() {
  bytes_ += "](";
  items_.push_back(0);
}

void PickleWriter::Item() {
  if (items_.back() == kItemsMost) {
    bytes_ += "e(";
    items_.back() = 0;
  }
  ++items_.back();
}

void PickleWriter::EndList() {
  Byte('e');
  items_.pop_back();
}

void PickleWriter::EndTuple2() { Byte('\x86'); }

std::uint32_t PickleWriter::Remember() {
  if (remembered_ <= UINT8_MAX) {
    Byte('q');  // BINPUT
    LittleEndian(remembered_, 1);
  } else {
    Byte('r');  // LONG_BINPUT
    LittleEndian(remembered_, 4);
  }
  return remembered_++;
}

void PickleWriter::Again(std::uint32_t number) {
  if (number <= UINT8_MAX) {
    Byte('h');  // BINGET
    LittleEndian(number, 1);
  } else {
    Byte('j');  // LONG_BINGET
    LittleEndian(number, 4);
  }
}

std::string PickleWriter::Finish() && {
  Byte('.');
  return std::move(bytes_);
}

}  // namespace tierlib::trace_viewer
