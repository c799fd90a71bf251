// Walking a thread's stack across the places where Go switches stacks.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "binary/unwinder.h"
#include "runtimes/go/layout.h"
#include "runtimes/go/threads.h"
#include "runtimes/runtime.h"

namespace culprit::runtimes::go {

/// How Go leaves one stack for another, and what is left behind to come back (runtime/asm_amd64.s,
/// read in Go 1.19 and 1.26):
///  - systemstack, morestack: the goroutine's context is in curg.sched; sched.sp points at what the
///    switching function's caller sees.
///  - mcall: the goroutine is no longer curg's for sure, but mcall pushed the g before its call.
///  - asmcgocall (Go calls C): the goroutine's context is in curg.sched, unless C called back into
///    Go since: then cgocallback's frame on the goroutine's stack stands for it.
///  - cgocallback (C calls Go): its frame on the goroutine's stack has the same layout as its frame
///    on the C stack, whose sp is in g0.sched.sp; the previous g0.sched.sp is saved at that sp.
/// So a walk from Go code goes: goroutine frames → cgocallback → the C frames below it (g0's stack) →
/// asmcgocall → the goroutine frames that called C → …
class GoStackWalk : public StackWalk {
 public:
  GoStackWalk(const Layout& layout, const binary::ModuleMap& map, ThreadId thread,
              const MemoryReader& memory);

  [[nodiscard]] StackLabel label(const binary::Frame& frame) override;
  [[nodiscard]] std::optional<binary::Frame> cross(std::string_view function,
                                                   const binary::UnwindStep& step) override;
  [[nodiscard]] bool is_outermost(std::string_view function) const override;

 private:
  [[nodiscard]] bool on_goroutine(Address sp) const;
  /// The goroutine's frame to go on with after its saved context.
  [[nodiscard]] std::optional<binary::Frame> resume(const Goroutine& g) const;
  [[nodiscard]] std::optional<binary::Frame> cross_callback(const binary::UnwindStep& step);
  [[nodiscard]] std::optional<binary::Frame> cross_sigreturn(const binary::Frame& frame) const;

  const Layout& layout_;
  const MemoryReader& memory_;
  binary::Unwinder unwinder_;
  std::optional<Goroutine> current_;  ///< m.curg
  std::optional<Goroutine> system_;   ///< m.g0
  std::optional<Goroutine> signal_;   ///< m.gsignal
  /// The g0 stack pointer of the next cgocallback to cross; 0 when none is left.
  Address callback_sp_;
  /// Goroutine frames to go on with when the C side reaches asmcgocall, innermost last.
  std::vector<binary::Frame> suspended_;
  int crossings_ = 0;
};

/// A Go symbol without the ABI suffix of assembly functions ("runtime.systemstack.abi0").
std::string_view plain_go_name(std::string_view symbol);

}  // namespace culprit::runtimes::go
