#include "crash/allocator_front_end.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/plain_lines.h"
#include "crash/report_builder.h"

namespace culprit::crash {
namespace {

constexpr std::string_view kAnything;

struct Message {
  std::string_view begin;  // the message starts here, anywhere in a line
  std::string_view part;   // and holds this
  std::string_view runtime;
  CrashHint hint;
  std::string_view key;  // the pointer or the block is behind it
  Role role = Role::bad_pointer;
};

using enum CrashHint;
constexpr std::string_view kBlock = "block that the allocator complains of";
// Of one runtime, the more special first.
constexpr std::array kMessages{
    Message{"<jemalloc>: ", "size mismatch detected", "jemalloc", mismatched_free,
            "(source address: "},
    Message{"<jemalloc>: ", "double free", "jemalloc", double_free, "pages being freed ("},
    Message{"<jemalloc>: ", "Write-after-free detected on deallocated pointer ", "jemalloc",
            use_after_free, "deallocated pointer ", Role::object},
    Message{"<jemalloc>: ", "double-free", "jemalloc", double_free, "pointer "},
    Message{"<jemalloc>: ", "Failed assertion: ", "jemalloc", heap_metadata, kAnything},
    Message{"<jemalloc>: ", "Unreachable code reached", "jemalloc", heap_metadata, kAnything},
    Message{"<jemalloc>: ", "Corrupt redzone ", "jemalloc", heap_overflow, "allocation ",
            Role::object},

    Message{"mimalloc: error: ", "double free detected of block ", "mimalloc", double_free,
            "of block "},
    Message{"mimalloc: error: ", "buffer overflow in ", "mimalloc", heap_overflow, "heap block ",
            Role::object},
    Message{"mimalloc: error: ", "pointer does not point to a valid ", "mimalloc", invalid_free,
            ": 0"},
    Message{"mimalloc: error: ", "invalid (unaligned) pointer: ", "mimalloc", invalid_free,
            "pointer: "},
    Message{"mimalloc: error: ", "invalid pointer: ", "mimalloc", invalid_free, "pointer: "},
    Message{"mimalloc: error: ", "corrupted free list entry ", "mimalloc", heap_metadata, "b at ",
            Role::object},
    Message{"mimalloc: error: ", "corrupted thread-free list", "mimalloc", heap_metadata,
            kAnything},
    Message{"mimalloc: assertion failed: ", kAnything, "mimalloc", heap_metadata, kAnything},

    Message{"src/tcmalloc.cc:", "Attempt to free invalid pointer ", "tcmalloc", invalid_free,
            "pointer "},
    Message{"src/tcmalloc.cc:", "Attempt to realloc invalid pointer ", "tcmalloc", invalid_free,
            "pointer "},
    Message{"tcmalloc.cc:", "Attempt to free invalid pointer ", "tcmalloc", invalid_free,
            "pointer "},
    Message{"tcmalloc", "Possible double free detected of pointer ", "tcmalloc", double_free,
            "pointer "},
    Message{"memory allocation bug: object at ", "has been already deallocated", "tcmalloc",
            freed_or_damaged, "object at "},
    Message{"memory allocation bug: object at ", "has never been allocated", "tcmalloc",
            invalid_free, "object at "},
    Message{"memory allocation/deallocation mismatch at ", kAnything, "tcmalloc", mismatched_free,
            "mismatch at "},
    Message{"memory stomping bug: a word before object at ", kAnything, "tcmalloc", heap_underflow,
            "object at ", Role::object},
    Message{"memory stomping bug: a word after object at ", kAnything, "tcmalloc", heap_overflow,
            "object at ", Role::object},
    Message{"memory stomping bug: ", kAnything, "tcmalloc", heap_metadata, "object at ",
            Role::object},
    Message{"memory was written to after being freed", kAnything, "tcmalloc", use_after_free,
            kAnything},

    Message{"Scudo ERROR: ", "corrupted chunk header at address ", "scudo", heap_metadata,
            "at address ", Role::object},
    Message{"Scudo ERROR: ", "race on chunk header at address ", "scudo", double_free,
            "at address "},
    Message{"Scudo ERROR: ", "invalid chunk state when ", "scudo", freed_or_damaged, " address "},
    Message{"Scudo ERROR: ", "misaligned pointer when ", "scudo", invalid_free, " address "},
    Message{"Scudo ERROR: ", "allocation type mismatch when ", "scudo", mismatched_free,
            " address "},
    Message{"Scudo ERROR: ", "invalid sized delete when deallocating ", "scudo", mismatched_free,
            " address "},
    Message{"Scudo ERROR: ", kAnything, "scudo", fatal_error, kAnything},
};

std::optional<std::uint64_t> pointer_after(std::string_view text, std::string_view key) {
  if (key.empty()) return std::nullopt;
  if (key == ": 0") {  // the last one: "…: 0x7f…"
    const std::size_t at = text.rfind(key);
    if (at == std::string_view::npos) return std::nullopt;
    text.remove_prefix(at + 2);
    return take_hex(text);
  }
  return hex_after(text, key);
}

std::vector<CrashReport> parse_allocators(std::string_view text, const ExitInfo& exit) {
  std::vector<CrashReport> reports;
  PlainLines lines(text);
  for (; reports.size() < kMaxReports; lines.advance()) {
    const PlainLines::Line* line = lines.current();
    if (line == nullptr) break;
    for (const Message& message : kMessages) {
      const std::size_t at = line->text.find(message.begin);
      if (at == std::string_view::npos) continue;
      const std::string_view words = line->text.substr(at);
      if (words.find(message.part) == std::string_view::npos) continue;
      CrashReport report = begin_report(Kind::heap_check, message.hint, "allocator",
                                        message.runtime, line->offset + at, exit);
      add_message(report, words);
      if (const auto pointer = pointer_after(words, message.key)) {
        add_suspect(report, make_suspect(message.role, *pointer,
                                         message.role == Role::object
                                             ? std::string(kBlock)
                                             : "pointer that was given to the allocator"));
      }
      reports.push_back(std::move(report));
      break;
    }
  }
  return reports;
}

}  // namespace

constinit const FrontEnd kAllocatorFrontEnd{"allocator", &parse_allocators};

}  // namespace culprit::crash
