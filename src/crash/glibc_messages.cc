#include "crash/glibc_messages.h"

#include <array>
#include <cstddef>

namespace culprit::crash {
namespace {

struct Message {
  std::string_view text;
  CrashHint hint;
};

using enum CrashHint;
constexpr std::array kMessages{
    // free. "double free or corruption" is said where the flags of the chunk or of its neighbour
    // say
    // that it is free, which a write past the end of a block does as well. The fast bins and the
    // tcache are searched for the very block.
    Message{"double free or corruption (out)", freed_or_damaged},
    Message{"double free or corruption (!prev)", freed_or_damaged},
    Message{"double free or corruption (top)", freed_or_damaged},
    Message{"double free or corruption (fasttop)", double_free},
    Message{"double free or corruption", freed_or_damaged},
    Message{"free(): double free detected in tcache 2", double_free},
    Message{"free(): double free detected in tcache", double_free},
    Message{"free(): invalid pointer", invalid_free},
    Message{"free(): invalid size", heap_metadata},
    Message{"free(): invalid next size (fast)", heap_metadata},
    Message{"free(): invalid next size (normal)", heap_metadata},
    Message{"free(): corrupted unsorted chunks", heap_metadata},
    Message{"free(): corrupted unsorted chunks 2", heap_metadata},
    Message{"free(): too many chunks detected in tcache", heap_metadata},
    Message{"free(): unaligned chunk detected in tcache 2", heap_metadata},
    Message{"free(): invalid next->prev_inuse (unsorted)", heap_metadata},
    Message{"invalid fastbin entry (free)", heap_metadata},
    Message{"munmap_chunk(): invalid pointer", invalid_free},
    Message{"tcache_thread_shutdown(): unaligned tcache chunk detected", heap_metadata},
    // malloc.
    Message{"malloc(): corrupted top size", heap_metadata},
    Message{"malloc(): invalid size (unsorted)", heap_metadata},
    Message{"malloc(): invalid next size (unsorted)", heap_metadata},
    Message{"malloc(): mismatching next->prev_size (unsorted)", heap_metadata},
    Message{"malloc(): unsorted double linked list corrupted", heap_metadata},
    Message{"malloc(): invalid next->prev_inuse (unsorted)", heap_metadata},
    Message{"malloc(): corrupted unsorted chunks", heap_metadata},
    Message{"malloc(): corrupted unsorted chunks 2", heap_metadata},
    Message{"malloc(): corrupted unsorted chunks 3", heap_metadata},
    Message{"malloc(): largebin double linked list corrupted (nextsize)", heap_metadata},
    Message{"malloc(): largebin double linked list corrupted (bk)", heap_metadata},
    Message{"malloc(): smallbin double linked list corrupted", heap_metadata},
    Message{"malloc(): smallbin double linked list corrupted 2", heap_metadata},
    Message{"malloc(): memory corruption (fast)", heap_metadata},
    Message{"malloc(): memory corruption", heap_metadata},
    Message{"malloc(): unaligned fastbin chunk detected", heap_metadata},
    Message{"malloc(): unaligned fastbin chunk detected 2", heap_metadata},
    Message{"malloc(): unaligned fastbin chunk detected 3", heap_metadata},
    Message{"malloc(): unaligned tcache chunk detected", heap_metadata},
    Message{"malloc_consolidate(): invalid chunk size", heap_metadata},
    Message{"malloc_consolidate(): unaligned fastbin chunk detected", heap_metadata},
    Message{"break adjusted to free malloc space", heap_metadata},
    // realloc.
    Message{"realloc(): invalid pointer", invalid_free},
    Message{"realloc(): invalid old size", heap_metadata},
    Message{"realloc(): invalid next size", heap_metadata},
    Message{"mremap_chunk(): invalid pointer", invalid_free},
    // Lists and sizes, from several callers.
    Message{"corrupted size vs. prev_size", heap_metadata},
    Message{"corrupted size vs. prev_size while consolidating", heap_metadata},
    Message{"corrupted size vs. prev_size in fastbins", heap_metadata},
    Message{"corrupted double-linked list", heap_metadata},
    Message{"corrupted double-linked list (not small)", heap_metadata},
    Message{"int_mallinfo(): unaligned fastbin chunk detected", heap_metadata},
    Message{"__malloc_info(): unaligned fastbin chunk detected", heap_metadata},
    // MALLOC_CHECK_ before 2.34 and mcheck.
    Message{"malloc: top chunk is corrupt", heap_metadata},
    Message{"memory clobbered before allocated block", heap_underflow},
    Message{"memory clobbered past end of allocated block", heap_overflow},
    Message{"block freed twice", double_free},
};

}  // namespace

std::optional<CrashHint> hint_of_malloc_message(std::string_view text) {
  for (const Message& message : kMessages) {
    if (text == message.text) return message.hint;
  }
  return std::nullopt;
}

bool looks_like_malloc_message(std::string_view text) {
  constexpr std::size_t kLongest = 96;
  if (text.size() > kLongest) return false;
  for (const std::string_view function :
       {"malloc(): ", "free(): ", "realloc(): ", "calloc(): ", "memalign(): ",
        "malloc_consolidate(): ", "munmap_chunk(): ", "mremap_chunk(): ", "_int_free(): ",
        "corrupted size vs. ", "corrupted double-linked list", "double free or corruption "}) {
    if (text.starts_with(function)) return true;
  }
  return false;
}

std::size_t malloc_message_count() { return kMessages.size(); }

std::string_view malloc_message(std::size_t index) {
  return index < kMessages.size() ? kMessages[index].text : std::string_view();
}

}  // namespace culprit::crash
