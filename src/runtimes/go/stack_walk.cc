#include "runtimes/go/stack_walk.h"

#include <algorithm>
#include <array>

namespace culprit::runtimes::go {
namespace {

/// A corrupt g0.sched chain must not make the walk go round for ever.
constexpr int kMaxCrossings = 1000;

}  // namespace

std::string_view plain_go_name(std::string_view symbol) {
  for (const std::string_view suffix : {".abi0", ".abiinternal"}) {
    if (symbol.ends_with(suffix)) symbol.remove_suffix(suffix.size());
  }
  return symbol;
}

GoStackWalk::GoStackWalk(const Layout& layout, const binary::ModuleMap& map, ThreadId thread,
                         const MemoryReader& memory)
    : layout_(layout), memory_(memory), unwinder_(map) {
  if (const auto m = machine_of(layout, thread, memory)) {
    current_ = read_goroutine(layout, m->curg, memory);
    system_ = read_goroutine(layout, m->g0, memory);
    signal_ = read_goroutine(layout, m->gsignal, memory);
  }
  if (system_) callback_sp_ = system_->sched_sp;
}

bool GoStackWalk::on_goroutine(Address sp) const {
  // The address just past the stack is where an empty stack's sp stands.
  return current_ && (current_->stack.contains(sp) || sp == current_->stack.end());
}

StackLabel GoStackWalk::label(const binary::Frame& frame) {
  const Address sp = frame.sp();
  if (on_goroutine(sp)) {
    return {StackKind::goroutine, "goroutine " + std::to_string(current_->id)};
  }
  if (signal_ && signal_->stack.contains(sp)) return {StackKind::signal, "signal stack"};
  if (system_) return {StackKind::system, "thread stack (g0)"};
  return {StackKind::native, "thread stack"};
}

std::optional<binary::Frame> GoStackWalk::resume(const Goroutine& g) const {
  if (!g.sched_sp || !g.sched_pc || !g.stack.contains(g.sched_sp)) return std::nullopt;
  return binary::Unwinder::resume_at(g.sched_pc, g.sched_sp, g.sched_bp, binary::PcKind::exact);
}

std::optional<binary::Frame> GoStackWalk::cross_callback(const binary::UnwindStep& step) {
  if (!callback_sp_) return std::nullopt;
  const binary::Frame native = binary::Unwinder::resume_at(
      step.callee.pc, callback_sp_, std::nullopt, binary::PcKind::return_address);
  const Address native_sp = callback_sp_;
  callback_sp_ = Address{memory_.read_u64(callback_sp_).value_or(0)};
  // crosscall2's frame: the caller of cgocallback on the C side. Go's CFI tells no saved registers, but
  // cgocallback keeps its caller's rbp just below the return address (cmd/internal/obj/x86/obj6.go:
  // every function with a frame does); the unwinder knows how crosscall2 keeps the C code's.
  binary::UnwindStep native_step = unwinder_.step(native, memory_);
  if (native_step.caller && native_step.callee.cfa) {
    if (const auto bp = memory_.read_u64(*native_step.callee.cfa - 16)) {
      native_step.caller->registers.set(Gpr::rbp, *bp);
    }
  }
  // The goroutine's side returns to the pc that asmcgocall saved, systemstack_switch. No call is
  // before it, so that the unwinder takes the frame record at rbp instead, which is the C side's.
  if (native_step.caller && native_step.callee.cfa) {
    const Address cfa = step.callee.sp() + (*native_step.callee.cfa - native_sp);
    const Address pc{memory_.read_u64(cfa - 8).value_or(0)};
    if (pc && on_goroutine(cfa)) {
      suspended_.push_back(
          binary::Unwinder::resume_at(pc, cfa, std::nullopt, binary::PcKind::exact));
    }
  }
  return native_step.caller;
}

std::optional<binary::Frame> GoStackWalk::cross_sigreturn(const binary::Frame& frame) const {
  // The kernel's struct rt_sigframe (arch/x86/include/asm/sigframe.h): pretcode, then the ucontext,
  // which is where sp points once the handler has returned to the restorer. uc_mcontext's gregs
  // begin at offset 40 (asm/ucontext.h, asm/sigcontext.h): r8-r15 rdi rsi rbp rbx rdx rax rcx rsp rip.
  constexpr std::array<Gpr, 16> kOrder = {Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11, Gpr::r12, Gpr::r13,
                                          Gpr::r14, Gpr::r15, Gpr::rdi, Gpr::rsi, Gpr::rbp, Gpr::rbx,
                                          Gpr::rdx, Gpr::rax, Gpr::rcx, Gpr::rsp};
  const Address gregs = frame.sp() + 40;
  binary::Frame interrupted;
  for (std::size_t i = 0; i < kOrder.size(); ++i) {
    const auto value = memory_.read_u64(gregs + static_cast<std::int64_t>(8 * i));
    if (!value) return std::nullopt;
    interrupted.registers.set(kOrder[i], *value);
  }
  const auto rip = memory_.read_u64(gregs + 8 * 16);
  if (!rip) return std::nullopt;
  interrupted.registers.values.rip = *rip;
  interrupted.registers.valid_pc = true;
  interrupted.pc = Address{*rip};
  interrupted.pc_kind = binary::PcKind::exact;
  return interrupted;
}

std::optional<binary::Frame> GoStackWalk::cross(std::string_view function,
                                                const binary::UnwindStep& step) {
  if (!function.starts_with("runtime.") || crossings_ >= kMaxCrossings) return std::nullopt;
  const std::string_view name = plain_go_name(function);
  const Address sp = step.callee.sp();
  std::optional<binary::Frame> next;

  if (name == "runtime.cgocallback") {
    // On the C side it is an ordinary frame of the thread's stack.
    if (on_goroutine(sp)) next = cross_callback(step);
  } else if (name == "runtime.systemstack" || name == "runtime.morestack") {
    if (current_ && !on_goroutine(sp)) next = resume(*current_);
  } else if (name == "runtime.asmcgocall") {
    if (on_goroutine(sp)) return std::nullopt;
    if (!suspended_.empty()) {
      next = suspended_.back();
      suspended_.pop_back();
    } else if (current_) {
      next = resume(*current_);
    }
  } else if (name == "runtime.mcall") {
    if (const auto pushed = memory_.read_u64(sp)) {
      if (const auto g = read_goroutine(layout_, Address{*pushed}, memory_)) {
        current_ = g;
        next = resume(*g);
      }
    }
    if (!next && current_ && !on_goroutine(sp)) next = resume(*current_);
  } else if (name.starts_with("runtime.sigreturn")) {
    next = cross_sigreturn(step.callee);
  }
  if (next) ++crossings_;
  return next;
}

bool GoStackWalk::is_outermost(std::string_view function) const {
  constexpr std::array<std::string_view, 5> kEnds = {"runtime.goexit", "runtime.mstart",
                                                     "runtime.rt0_go", "_rt0_amd64_linux",
                                                     "runtime.mstart0"};
  const std::string_view name = plain_go_name(function);
  return std::find(kEnds.begin(), kEnds.end(), name) != kEnds.end();
}

}  // namespace culprit::runtimes::go
