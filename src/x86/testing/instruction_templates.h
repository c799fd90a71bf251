// For tests: pieces of code that can be put together in any order.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace culprit::x86::testing {

/// One or a few instructions. They find rbx at the middle of the data, and a stack, leave both as
/// they were, and touch nothing but registers, the data and the stack below rsp.
struct Template {
  std::span<const std::byte> code;
  bool needs_avx2 = false;
};

/// All templates this machine can run.
std::vector<Template> templates();

}  // namespace culprit::x86::testing
