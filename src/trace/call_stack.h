// Call stacks of records: which records have one, and the calling thread's as text.
//
// Thread-safety: any thread.
#ifndef TIERLIB_SRC_TRACE_CALL_STACK_H_
#define TIERLIB_SRC_TRACE_CALL_STACK_H_

#include <string>

#include "trace/event.h"

namespace tierlib::trace {

// Events that say where memory comes from.
constexpr bool HasCallStack(Event event) {
  return event == Event::kStorageRegister || event == Event::kPoolAllocate || event == Event::kPack;
}

// The calling thread's frames, innermost first, one a line: "module+0x1a2b", the offset in the module's file, as
// addr2line takes it. The first is the one that goes on at `caller`, an address to return to; all, where none does. At
// most 32 frames. Throws std::bad_alloc.
std::string CallStackText(const void* caller);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_CALL_STACK_H_
