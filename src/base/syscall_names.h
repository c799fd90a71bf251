// The names of Linux x86-64 system calls.
#pragma once

#include <cstdint>
#include <string_view>

namespace culprit {

/// "mmap" for 9; empty for a number that has no name in Linux 6.1's x86-64 table.
[[nodiscard]] std::string_view syscall_name(std::uint64_t number);

}  // namespace culprit
