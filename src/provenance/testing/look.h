// For tests: what the programs of testdata/scopes.c call with a place of theirs, to be looked at meanwhile.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <functional>

#include "base/registers.h"
#include "base/types.h"
#include "binary/test_support.h"

namespace culprit::provenance::testing {

using Look = void (*)(void*, void*);
using Looker = std::function<void(const Registers&, Address)>;

/// Calls the Looker that `context` is with the registers here and the place.
__attribute__((noinline)) inline void look(void* context, void* where) {
  CULPRIT_TEST_REGISTERS(registers);
  (*static_cast<const Looker*>(context))(registers,
                                         Address{reinterpret_cast<std::uint64_t>(where)});
}

}  // namespace culprit::provenance::testing
