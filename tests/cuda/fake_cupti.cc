// A libcupti for tests: writes down which external correlation ids it is told.
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace {

char calls[4096];
std::size_t length = 0;

void Note(const char* what, int kind, std::uint64_t id) {
  const int written = std::snprintf(calls + length, sizeof calls - length, "%s %d %llu\n", what, kind,
                                    static_cast<unsigned long long>(id));
  if (written > 0 && length + static_cast<std::size_t>(written) < sizeof calls)
    length += static_cast<std::size_t>(written);
}

std::uint64_t pushed[16];  // of all kinds, as one stack: ranges nest
std::size_t depth = 0;

}  // namespace

// As cupti.h has them, with its enums as ints; 0 is CUPTI_SUCCESS, 1 CUPTI_ERROR_INVALID_PARAMETER.
extern "C" int cuptiActivityPushExternalCorrelationId(int kind, std::uint64_t id) {
  if (depth == sizeof pushed / sizeof pushed[0]) return 1;
  pushed[depth++] = id;
  Note("push", kind, id);
  return 0;
}

extern "C" int cuptiActivityPopExternalCorrelationId(int kind, std::uint64_t* last) {
  if (depth == 0 || last == nullptr) return 1;
  *last = pushed[--depth];
  Note("pop", kind, *last);
  return 0;
}

extern "C" const char* FakeCuptiCalls() { return calls; }
