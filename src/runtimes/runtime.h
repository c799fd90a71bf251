// What the engine asks of a language runtime: how it switches stacks, what its own memory is called.
//
// The engine knows nothing of any one runtime. A plug-in is asked at a stopped moment of the replay;
// it reads the program's memory through a MemoryReader and the program's own debug information, and
// keeps no state between moments.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/types.h"
#include "binary/module_map.h"
#include "binary/unwinder.h"
#include "runtimes/collector.h"

namespace culprit::runtimes {

/// Which kind of stack a frame lies on.
enum class StackKind : std::uint8_t { native, goroutine, system, signal };

/// A stack, as people call it: "goroutine 1", "g0", "C stack".
struct StackLabel {
  StackKind kind = StackKind::native;
  std::string name;
  bool operator==(const StackLabel&) const = default;
};

/// One walk over one thread's stack. The engine calls label() for each frame and cross() after each
/// unwinding step; a plug-in that knows that the physical caller is not the logical one answers with
/// the frame to go on with.
class StackWalk {
 public:
  virtual ~StackWalk() = default;
  [[nodiscard]] virtual StackLabel label(const binary::Frame& frame) = 0;
  /// `function`: the physical function of step.callee, as its symbol is linked. Nothing: the walk
  /// goes on as the unwinder says.
  [[nodiscard]] virtual std::optional<binary::Frame> cross(std::string_view function,
                                                           const binary::UnwindStep& step) = 0;
  /// True at a function that ends a stack of this runtime (nothing above it is a caller).
  [[nodiscard]] virtual bool is_outermost(std::string_view function) const = 0;
};

/// What a piece of the runtime's own memory is.
struct RuntimePlace {
  enum class Role : std::uint8_t {
    other,
    write_barrier_buffer,  ///< holds values recorded for the garbage collector
    goroutine_stack,       ///< a stack that the runtime manages: OCaml's bytecode stacks too
    runtime_struct,
  };
  Role role = Role::other;
  std::string name;          ///< "allp[0].wbBuf.buf[9]", "goroutine 1's stack"
  std::string type;          ///< the containing type, e.g. "runtime.wbBuf"
  std::string member;        ///< the member path within it, e.g. "buf[9]"
  ByteRange object;          ///< the whole structure or stack
  std::uint64_t index = 0;   ///< write_barrier_buffer: which entry
};

/// One runtime found in the recorded process.
class Runtime {
 public:
  virtual ~Runtime() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// A walk of `thread`'s stack. The arguments must outlive the walk.
  [[nodiscard]] virtual std::unique_ptr<StackWalk> walk(ThreadId thread, const Registers& registers,
                                                        const MemoryReader& memory) const = 0;
  /// Names an address inside the runtime's own structures, as they are at this moment.
  [[nodiscard]] virtual std::optional<RuntimePlace> describe(Address address,
                                                             const MemoryReader& memory) const = 0;
  /// What a pointer value means to the runtime at this moment ("base of goroutine 1's stack, 128 KiB"),
  /// empty if nothing.
  [[nodiscard]] virtual std::string describe_value(std::uint64_t value,
                                                   const MemoryReader& memory) const = 0;
  /// General-purpose registers (bit r, by Gpr) that this function of the runtime, as its symbol is
  /// linked, keeps although the calling convention does not ask for it. 0: none.
  [[nodiscard]] virtual std::uint16_t kept_by_call(std::string_view function) const {
    (void)function;
    return 0;
  }
  /// Does this function of the runtime, as its symbol is linked, hand out memory? How it comes by that is its
  /// own affair.
  [[nodiscard]] virtual bool allocates(std::string_view function) const {
    (void)function;
    return false;
  }
  /// Its garbage collector, as far as the engine knows one; it lives as long as the runtime.
  [[nodiscard]] virtual const Collector* collector() const { return nullptr; }
  /// Things that the report should say cannot be known (missing debug information), one line each.
  [[nodiscard]] virtual std::vector<std::string> limits() const = 0;
};

}  // namespace culprit::runtimes
