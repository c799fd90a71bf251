// For tests: machine code from assembler text, assembled with the test itself.
#pragma once

#include <cstddef>
#include <span>

/// SNIPPET(name, "mov rax, rbx\n ret") defines `name()`, the code's bytes. Use at namespace scope.
/// The symbols are local to the file.
#define SNIPPET(name, code)                                                                 \
  __asm__(".pushsection .rodata\n.intel_syntax noprefix\nculprit_snippet_" #name ":\n" code \
          "\nculprit_snippet_" #name "_end:\n.att_syntax\n.popsection\n");                  \
  extern "C" {                                                                              \
  extern const std::byte culprit_snippet_##name[];                                          \
  extern const std::byte culprit_snippet_##name##_end[];                                    \
  }                                                                                         \
  [[maybe_unused]] static std::span<const std::byte> name() {                               \
    return {culprit_snippet_##name, culprit_snippet_##name##_end};                          \
  }
