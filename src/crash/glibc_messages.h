// The words with which glibc's allocator aborts, and what each says.
//
// From malloc/malloc.c, malloc/arena.c and malloc/malloc-check.c of glibc 2.23, 2.31, 2.36 and 2.39
// (the callers of malloc_printerr), compared with the strings of Debian 12's libc.so.6; the last
// group is mcheck's (malloc/mcheck.c).
#pragma once

#include <optional>
#include <string_view>

#include "crash/crash_hint.h"

namespace culprit::crash {

/// The hint of a message of the allocator; nothing if `text` is not exactly one.
[[nodiscard]] std::optional<CrashHint> hint_of_malloc_message(std::string_view text);

/// Has `text` the shape of such a message ("malloc(): …"), although it is not a known one? For
/// other versions of glibc.
[[nodiscard]] bool looks_like_malloc_message(std::string_view text);

/// All known messages, for tests.
[[nodiscard]] std::size_t malloc_message_count();
[[nodiscard]] std::string_view malloc_message(std::size_t index);

}  // namespace culprit::crash
