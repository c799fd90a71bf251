#include "runtimes/go/go_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "binary/debug_type.h"
#include "runtimes/go/stack_walk.h"
#include "runtimes/go/threads.h"

namespace culprit::runtimes::go {
namespace {

/// Bounds on the runtime's tables: GOMAXPROCS is at most 1024 (runtime/runtime2.go, _MaxGomaxprocs,
/// until Go 1.9; without a limit since, but more Ps than this is no real program), goroutines are
/// many.
constexpr std::size_t kMaxP = 65'536;
constexpr std::size_t kMaxG = 100'000;

std::string without_leading_dot(std::string path) {
  if (path.starts_with('.')) path.erase(0, 1);
  return path;
}

std::string size_name(std::uint64_t bytes) {
  if (bytes != 0 && bytes % 1024 == 0) return fmt::format("{} KiB", bytes / 1024);
  return fmt::format("{} bytes", bytes);
}

}  // namespace

std::unique_ptr<StackWalk> GoRuntime::walk(ThreadId thread, const Registers& registers,
                                           const MemoryReader& memory) const {
  (void)registers;
  return std::make_unique<GoStackWalk>(layout_, map_, thread, memory);
}

std::optional<RuntimePlace> GoRuntime::describe(Address address, const MemoryReader& memory) const {
  RuntimePlace place;
  std::size_t index = 0;
  for (const Address p : read_pointer_slice(layout_.allp, kMaxP, memory)) {
    const ByteRange object{p, layout_.p_size};
    if (p && object.contains(address)) {
      const auto offset = static_cast<std::uint64_t>(address - p);
      place.object = object;
      place.type = "runtime.p";
      if (const auto path = binary::describe_in_type(layout_.p_type, offset)) {
        place.member = without_leading_dot(path->path);
      }
      place.name = fmt::format("allp[{}].{}", index, place.member);
      place.role = RuntimePlace::Role::runtime_struct;
      const std::uint64_t entries_size = layout_.p_wbbuf_entries * 8;
      if (offset >= layout_.p_wbbuf_buf && offset - layout_.p_wbbuf_buf < entries_size) {
        place.role = RuntimePlace::Role::write_barrier_buffer;
        place.index = (offset - layout_.p_wbbuf_buf) / 8;
      }
      return place;
    }
    ++index;
  }
  for (const Address g : read_pointer_slice(layout_.allgs, kMaxG, memory)) {
    if (!g) continue;
    const ByteRange object{g, layout_.g_size};
    if (object.contains(address)) {
      place.object = object;
      place.type = "runtime.g";
      place.role = RuntimePlace::Role::runtime_struct;
      if (const auto path =
              binary::describe_in_type(layout_.g_type, static_cast<std::uint64_t>(address - g))) {
        place.member = without_leading_dot(path->path);
      }
      const auto id = read_goroutine(layout_, g, memory);
      place.name = fmt::format("goroutine {}'s g.{}", id ? id->id : 0, place.member);
      return place;
    }
    const auto goroutine = read_goroutine(layout_, g, memory);
    if (goroutine && goroutine->stack.contains(address)) {
      place.object = goroutine->stack;
      place.role = RuntimePlace::Role::goroutine_stack;
      place.name = fmt::format("goroutine {}'s stack", goroutine->id);
      return place;
    }
  }
  return std::nullopt;
}

bool GoRuntime::allocates(std::string_view function) const {
  // runtime/malloc.go; all of new, make and append come through it (Go 1.5 to 1.26, which has
  // copies of it for small sizes: runtime/malloc_generated.go).
  return function == "runtime.mallocgc" || function.starts_with("runtime.mallocgcSmall") ||
         function.starts_with("runtime.mallocgcTiny") ||
         function.starts_with("runtime.mallocgcLarge") || function == "runtime.newobject";
}

std::uint16_t GoRuntime::kept_by_call(std::string_view function) const {
  constexpr std::string_view kBarrier = "runtime.gcWriteBarrier";
  if (!function.starts_with(kBarrier)) return 0;
  const std::string_view rest = function.substr(kBarrier.size());
  const bool counted = !rest.empty() && rest[0] >= '1' && rest[0] <= '8' &&
                       (rest.size() == 1 || rest[1] == '.');  // ".abi0"
  constexpr std::uint16_t kResult = 1U << static_cast<unsigned>(Gpr::r11);
  if (counted) return static_cast<std::uint16_t>(~kResult);
  // gcWriteBarrierCX, …DX, …BX, …BP, …SI, …R8, …R9
  constexpr std::array<std::string_view, 8> kBefore = {"",   "CX", "DX", "BX",
                                                       "BP", "SI", "R8", "R9"};
  const std::string_view name = rest.substr(0, rest.find('.'));
  return std::find(kBefore.begin(), kBefore.end(), name) != kBefore.end() ? 0xffff : 0;
}

std::string GoRuntime::describe_value(std::uint64_t value, const MemoryReader& memory) const {
  for (const Address g : read_pointer_slice(layout_.allgs, kMaxG, memory)) {
    const auto goroutine = read_goroutine(layout_, g, memory);
    if (!goroutine || goroutine->stack.empty()) continue;
    const std::string stack =
        fmt::format("goroutine {}'s stack ({})", goroutine->id, size_name(goroutine->stack.size));
    if (goroutine->stack.start.value == value) return "the base of " + stack;
    if (goroutine->stack.end().value == value) return "the end of " + stack;
    if (goroutine->stack.contains(Address{value})) return "an address in " + stack;
    if (g.value == value) return fmt::format("goroutine {}'s g structure", goroutine->id);
  }
  return {};
}

}  // namespace culprit::runtimes::go
