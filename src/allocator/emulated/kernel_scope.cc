#include "allocator/emulated/kernel_scope.h"

namespace tierlib::emulated {
namespace {

thread_local int open_scopes = 0;

}  // namespace

KernelScope::KernelScope() { ++open_scopes; }
KernelScope::~KernelScope() { --open_scopes; }
void KernelScope::MarkThread() { ++open_scopes; }
bool KernelScope::Active() { return open_scopes > 0; }

}  // namespace tierlib::emulated
