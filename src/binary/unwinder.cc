#include "binary/unwinder.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "binary/binary.h"
#include "binary/location_expression.h"

namespace culprit::binary {
namespace {

// A frame larger than this is taken for a wild frame pointer.
constexpr std::uint64_t kMaxPointerFrame = 16U << 20;
constexpr int kMaxStackSwitches = 64;

// Callee-saved in the System V ABI (psABI, figure 3.4).
constexpr std::array<Gpr, 6> kCalleeSaved{Gpr::rbx, Gpr::rbp, Gpr::r12,
                                          Gpr::r13, Gpr::r14, Gpr::r15};

bool executable(const ModuleMap& map, Address a) { return map.region_at(a).executable; }

// Code bytes from the module's file; from memory for code without one (JIT, vdso, changed files).
std::size_t code_bytes(const ModuleMap& map, const MemoryReader& memory, Address a,
                       std::span<std::byte> out) {
  const Module* module = map.module_at(a);
  if (module != nullptr && module->binary != nullptr) {
    const auto bytes = module->binary->elf().at_address(module->file_address(a), out.size());
    std::copy(bytes.begin(), bytes.end(), out.begin());
    return bytes.size();
  }
  return memory.read(a, out);
}

// Whether the bytes before `a` are a call instruction: E8 rel32, or FF /2 with any operand form.
bool follows_call(const ModuleMap& map, const MemoryReader& memory, Address a) {
  std::array<std::byte, 8> bytes{};
  if (a.value < 8 || code_bytes(map, memory, a - 8, bytes) != bytes.size()) return false;
  if (bytes[3] == std::byte{0xE8}) return true;
  for (std::size_t length = 2; length <= 7; ++length) {
    const std::size_t at = bytes.size() - length;
    if (bytes[at] != std::byte{0xFF}) continue;
    const auto modrm = std::to_integer<unsigned>(bytes[at + 1]);
    if (((modrm >> 3U) & 7U) != 2) continue;
    const unsigned mod = modrm >> 6U;
    const unsigned rm = modrm & 7U;
    std::size_t expected = 2;
    if (mod != 3 && rm == 4) expected += 1;  // SIB
    if (mod == 1) expected += 1;
    if (mod == 2 || (mod == 0 && rm == 5)) expected += 4;
    if (expected == length) return true;
  }
  return false;
}

// Whether `return_address` follows a direct call whose target is `entry`.
bool called_from(const ModuleMap& map, const MemoryReader& memory, Address return_address,
                 Address entry) {
  std::array<std::byte, 5> bytes{};
  if (return_address.value < 5 ||
      code_bytes(map, memory, return_address - 5, bytes) != bytes.size() ||
      bytes[0] != std::byte{0xE8}) {
    return false;
  }
  std::int32_t displacement = 0;
  std::memcpy(&displacement, &bytes[1], 4);
  return return_address + displacement == entry;
}

// rt_sigreturn trampolines: "mov $15,%eax" or "mov $15,%rax", then "syscall". They are where a
// signal handler returns to; the kernel's struct rt_sigframe lies at rsp (arch/x86/include/asm/
// sigframe.h; the return address above it is popped already).
bool is_sigreturn(const ModuleMap& map, const MemoryReader& memory, Address pc) {
  static constexpr std::array<std::uint8_t, 7> kShort{0xB8, 0x0F, 0, 0, 0, 0x0F, 0x05};
  static constexpr std::array<std::uint8_t, 9> kLong{0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05};
  std::array<std::byte, 9> bytes{};
  const std::size_t got = code_bytes(map, memory, pc, bytes);
  return (got >= kShort.size() && std::memcmp(bytes.data(), kShort.data(), kShort.size()) == 0) ||
         (got >= kLong.size() && std::memcmp(bytes.data(), kLong.data(), kLong.size()) == 0);
}

struct Stepper {
  const ModuleMap& map;
  const MemoryReader& memory;
  UnwindStep result;
  bool switched_stack = false;  // the caller's frame may lie anywhere

  bool stop(UnwindStop reason, std::string detail) {
    result.stop = reason;
    result.detail = std::move(detail);
    result.caller.reset();
    return false;
  }

  bool by_cfi(const Module& module, const CfiRow& row);
  bool by_sigreturn();
  bool by_leaf(Address slot, UnwindRule rule);
  bool by_frame_pointer();
  bool by_go_frame_record();
  void set_frame_record(std::uint64_t rbp, std::uint64_t saved, std::uint64_t pc);
  [[nodiscard]] bool plausible_return(std::uint64_t pc) const;
  bool without_cfi();
  void finish_caller(Frame& caller);
};

bool Stepper::by_cfi(const Module& module, const CfiRow& row) {
  Frame& callee = result.callee;
  callee.rule = row.from_debug_frame ? UnwindRule::debug_frame : UnwindRule::eh_frame;
  callee.is_signal_frame = row.signal_frame;

  ExpressionContext context;
  context.registers = &callee.registers;
  context.memory = &memory;
  context.bias = module.bias;
  std::optional<std::uint64_t> cfa;
  if (row.cfa_is_expression) {
    cfa = evaluate_value(row.cfa_expression, context);
  } else if (const auto gpr = gpr_of_dwarf(row.cfa_register)) {
    if (const auto base = callee.registers.get(*gpr)) {
      cfa = *base + static_cast<std::uint64_t>(row.cfa_offset);
    }
  }
  if (!cfa) return stop(UnwindStop::bad_cfi, "the frame address cannot be computed from the CFI");
  callee.cfa = Address{*cfa};
  context.initial_stack = {*cfa};

  Frame caller;
  caller.registers.values.fs_base = callee.registers.values.fs_base;
  caller.registers.values.gs_base = callee.registers.values.gs_base;
  caller.registers.valid_segments = callee.registers.valid_segments;

  // One register's value in the caller; `slot` gets its place in memory if it has one.
  const auto recover = [&](const RegisterRule& rule, std::optional<std::uint64_t> unchanged,
                           Address& slot) -> std::optional<std::uint64_t> {
    using Kind = RegisterRule::Kind;
    switch (rule.kind) {
      case Kind::unspecified:
      case Kind::undefined:
        return std::nullopt;
      case Kind::same_value:
        return unchanged;
      case Kind::offset:
        slot = Address{*cfa + static_cast<std::uint64_t>(rule.value)};
        return memory.read_u64(slot);
      case Kind::val_offset:
        return *cfa + static_cast<std::uint64_t>(rule.value);
      case Kind::reg: {
        const auto gpr = gpr_of_dwarf(static_cast<std::uint64_t>(rule.value));
        return gpr ? callee.registers.get(*gpr) : std::nullopt;
      }
      case Kind::expression: {
        const auto address = evaluate_value(rule.expression, context);
        if (!address) return std::nullopt;
        slot = Address{*address};
        return memory.read_u64(slot);
      }
      case Kind::val_expression:
        return evaluate_value(rule.expression, context);
    }
    return std::nullopt;
  };

  for (std::size_t n = 0; n < 16; ++n) {
    const auto gpr = gpr_of_dwarf(n);
    if (!gpr) continue;
    const RegisterRule& rule = row.registers[n];
    const auto unchanged = callee.registers.get(*gpr);
    Address slot;
    if (const auto value = recover(rule, unchanged, slot)) caller.registers.set(*gpr, *value);
    callee.saved_at[static_cast<std::size_t>(*gpr)] = slot;
    if (rule.kind != RegisterRule::Kind::unspecified || row.go) continue;
    const bool kept =
        std::find(kCalleeSaved.begin(), kCalleeSaved.end(), *gpr) != kCalleeSaved.end();
    if (kept && unchanged) caller.registers.set(*gpr, *unchanged);
  }
  if (row.registers[kDwarfRsp].kind == RegisterRule::Kind::unspecified) {
    caller.registers.set(Gpr::rsp, *cfa);
  }
  if (row.go) {
    // Go's CFI tells nothing of rbp. On amd64 a function with a frame saves it below the return
    // address and points rbp there (cmd/internal/obj/x86/obj6.go, preprocess); before and after
    // that, and in functions without a frame, rbp is still the caller's. All other registers are
    // the callee's to change (Go's internal ABI, abi-internal.md).
    if (const auto rbp = callee.registers.get(Gpr::rbp)) {
      const Address slot{*cfa - 16};
      // crosscall2 has a second record further down its frame, linked to that one, where Go gives
      // it a frame of its own (1.26 does, 1.19 does not; runtime/cgo/abi_amd64.h).
      const bool linked = *rbp >= callee.sp().value && *rbp < slot.value &&
                          memory.read_u64(Address{*rbp}) == slot.value;
      if (*rbp == slot.value || linked) {
        if (const auto saved = memory.read_u64(slot)) {
          caller.registers.set(Gpr::rbp, *saved);
          callee.saved_at[static_cast<std::size_t>(Gpr::rbp)] = slot;
        }
      } else {
        caller.registers.set(Gpr::rbp, *rbp);
      }
    }
  }

  const RegisterRule& ra = row.registers[kDwarfReturnAddress];
  if (ra.kind == RegisterRule::Kind::undefined) {
    return stop(UnwindStop::outermost, "the CFI marks the outermost frame");
  }
  Address slot;
  std::optional<std::uint64_t> pc;
  if (ra.kind == RegisterRule::Kind::unspecified) {
    slot = Address{*cfa - 8};
    pc = memory.read_u64(slot);
  } else {
    pc = recover(ra, callee.registers.values.rip, slot);
  }
  if (slot) callee.return_address_slot = slot;
  if (!pc) {
    return stop(UnwindStop::memory, "the return address at " + to_hex(slot) + " cannot be read");
  }
  if (row.go && !plausible_return(*pc) && by_go_frame_record()) return true;
  caller.registers.values.rip = *pc;
  caller.registers.valid_pc = true;
  caller.pc = Address{*pc};
  caller.pc_kind = row.signal_frame ? PcKind::exact : PcKind::return_address;
  result.caller = caller;
  return true;
}

// Go's assembly aligns or replaces rsp around calls of C code and of the vdso (runtime.nanotime1,
// sys_linux_amd64.s), which its CFI does not follow; its frame record at rbp stays good, be it on
// another stack.
bool Stepper::by_go_frame_record() {
  Frame& callee = result.callee;
  const auto rbp = callee.registers.get(Gpr::rbp);
  if (!rbp || *rbp % 8 != 0) return false;
  const auto saved = memory.read_u64(Address{*rbp});
  const auto pc = memory.read_u64(Address{*rbp + 8});
  if (!saved || !pc || *pc == 0 || !plausible_return(*pc)) return false;
  set_frame_record(*rbp, *saved, *pc);
  switched_stack = true;
  return true;
}

void Stepper::set_frame_record(std::uint64_t rbp, std::uint64_t saved, std::uint64_t pc) {
  Frame& callee = result.callee;
  Frame caller;
  caller.pc = Address{pc};
  finish_caller(caller);
  caller.registers.set(Gpr::rsp, rbp + 16);
  caller.registers.set(Gpr::rbp, saved);
  callee.cfa = Address{rbp + 16};
  callee.return_address_slot = Address{rbp + 8};
  callee.saved_at = {};
  callee.saved_at[static_cast<std::size_t>(Gpr::rbp)] = Address{rbp};
  callee.rule = UnwindRule::frame_pointer;
  result.caller = caller;
}

// Zero ends a stack; anything else must be code after a call.
bool Stepper::plausible_return(std::uint64_t pc) const {
  return executable(map, Address{pc}) && follows_call(map, memory, Address{pc});
}

bool Stepper::by_sigreturn() {
  // struct ucontext: uc_flags, uc_link (8 each), uc_stack (24), then struct sigcontext: r8..r15,
  // rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip (arch/x86/include/uapi/asm/sigcontext.h).
  constexpr std::uint64_t kContext = 40;
  static constexpr std::array<Gpr, 16> kOrder{
      Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11, Gpr::r12, Gpr::r13, Gpr::r14, Gpr::r15,
      Gpr::rdi, Gpr::rsi, Gpr::rbp, Gpr::rbx, Gpr::rdx, Gpr::rax, Gpr::rcx, Gpr::rsp};
  Frame& callee = result.callee;
  const Address base = callee.sp() + static_cast<std::int64_t>(kContext);
  Frame caller;
  for (std::size_t i = 0; i < kOrder.size(); ++i) {
    const Address slot = base + static_cast<std::int64_t>(8 * i);
    const auto value = memory.read_u64(slot);
    if (!value) return stop(UnwindStop::memory, "the signal frame cannot be read");
    caller.registers.set(kOrder[i], *value);
    callee.saved_at[static_cast<std::size_t>(kOrder[i])] = slot;
  }
  const Address slot = base + static_cast<std::int64_t>(8 * kOrder.size());
  const auto pc = memory.read_u64(slot);
  if (!pc) return stop(UnwindStop::memory, "the signal frame cannot be read");
  caller.registers.values.rip = *pc;
  caller.registers.valid_pc = true;
  caller.registers.values.fs_base = callee.registers.values.fs_base;
  caller.registers.values.gs_base = callee.registers.values.gs_base;
  caller.registers.valid_segments = callee.registers.valid_segments;
  caller.pc = Address{*pc};
  caller.pc_kind = PcKind::exact;
  callee.is_signal_frame = true;
  callee.rule = UnwindRule::eh_frame;
  callee.cfa = callee.sp();
  callee.return_address_slot = slot;
  result.caller = caller;
  return true;
}

void Stepper::finish_caller(Frame& caller) {
  const PartialRegisters& from = result.callee.registers;
  caller.registers.values.fs_base = from.values.fs_base;
  caller.registers.values.gs_base = from.values.gs_base;
  caller.registers.valid_segments = from.valid_segments;
  caller.registers.values.rip = caller.pc.value;
  caller.registers.valid_pc = true;
  caller.pc_kind = PcKind::return_address;
}

// The return address lies at `slot` and nothing else of the frame is known to have changed.
bool Stepper::by_leaf(Address slot, UnwindRule rule) {
  const auto pc = memory.read_u64(slot);
  if (!pc) return stop(UnwindStop::memory, "the stack cannot be read");
  Frame& callee = result.callee;
  Frame caller;
  caller.pc = Address{*pc};
  for (const Gpr reg : kCalleeSaved) {
    if (const auto value = callee.registers.get(reg)) caller.registers.set(reg, *value);
  }
  finish_caller(caller);
  caller.registers.set(Gpr::rsp, slot.value + 8);
  callee.cfa = slot + 8;
  callee.return_address_slot = slot;
  callee.rule = rule;
  result.caller = caller;
  return true;
}

bool Stepper::by_frame_pointer() {
  Frame& callee = result.callee;
  const auto rbp = callee.registers.get(Gpr::rbp);
  if (!rbp || *rbp % 8 != 0) return false;
  const std::uint64_t sp = callee.sp().value;
  if (*rbp < sp || *rbp - sp > kMaxPointerFrame) return false;
  const auto saved = memory.read_u64(Address{*rbp});
  const auto pc = memory.read_u64(Address{*rbp + 8});
  if (!saved || !pc) return false;
  if (*pc != 0 && !plausible_return(*pc)) return false;
  set_frame_record(*rbp, *saved, *pc);
  return true;
}

// Lazy-binding stubs, which ld gives no CFI if no object file had any: 16-byte entries, of which
// the first pushes the link map and jumps to the resolver, the others push their index and jump to
// the first (psABI, "Procedure Linkage Table"). Nothing elsewhere.
std::optional<std::int64_t> pushed_by_plt(const ModuleMap& map, Address pc) {
  const Module* module = map.module_at(pc);
  if (module == nullptr || module->binary == nullptr) return std::nullopt;
  const std::uint64_t address = module->file_address(pc);
  for (const ElfFile::Section& s : module->binary->elf().sections()) {
    if (address < s.address || address - s.address >= s.size) continue;
    if (s.name == ".plt.got" || s.name == ".plt.sec") return 0;
    if (s.name != ".plt") continue;
    const std::uint64_t offset = address - s.address;
    if (offset < 16) return offset < 6 ? 8 : 16;
    // "jmp *slot" (6 bytes), "push index" (5); with IBT "endbr64" (4) and the push come first.
    const auto code = module->binary->elf().at_address(s.address + offset / 16 * 16, 5);
    const bool ibt = code.size() == 5 && code[0] == std::byte{0xF3} && code[4] == std::byte{0x68};
    return offset % 16 >= (ibt ? 9 : 11) ? 8 : 0;
  }
  return std::nullopt;
}

bool Stepper::without_cfi() {
  Frame& callee = result.callee;
  const Address pc = callee.pc;
  const Address sp = callee.sp();
  if (callee.pc_kind == PcKind::exact) {
    if (const auto pushed = pushed_by_plt(map, pc)) {
      return by_leaf(sp + *pushed, UnwindRule::leaf_guess);
    }
  }
  if (callee.pc_kind == PcKind::exact && callee.registers.has(Gpr::rsp)) {
    std::array<std::byte, 5> code{};
    const std::size_t got = code_bytes(map, memory, pc, code);
    const auto top = memory.read_u64(sp);
    const bool plausible =
        top && executable(map, Address{*top}) && follows_call(map, memory, Address{*top});
    Address entry;
    const Module* module = map.module_at(pc);
    if (module != nullptr && module->binary != nullptr) {
      const auto* symbol = module->binary->symbols().at(module->file_address(pc), true);
      if (symbol != nullptr) entry = Address{symbol->address + module->bias};
    }
    // At a return instruction, at the entry, or called directly with nothing pushed since.
    const bool at_return = got > 0 && (code[0] == std::byte{0xC3} || code[0] == std::byte{0xC2});
    if (plausible && (at_return || (entry && entry == pc) || !executable(map, pc))) {
      return by_leaf(sp, UnwindRule::leaf_guess);
    }
    if (plausible && entry && called_from(map, memory, Address{*top}, entry)) {
      return by_leaf(sp, UnwindRule::leaf_guess);
    }
    // Right after "push %rbp": the return address is one slot up.
    if (entry && pc.value > entry.value && pc.value - entry.value <= 5) {
      std::array<std::byte, 1> before{};
      const auto next = memory.read_u64(sp + 8);
      if (code_bytes(map, memory, pc - 1, before) == 1 && before[0] == std::byte{0x55} && next &&
          executable(map, Address{*next}) && follows_call(map, memory, Address{*next})) {
        return by_leaf(sp + 8, UnwindRule::leaf_guess);
      }
    }
    if (by_frame_pointer()) return true;
    if (plausible) return by_leaf(sp, UnwindRule::leaf_guess);
  } else if (by_frame_pointer()) {
    return true;
  }
  return stop(UnwindStop::no_rule,
              "no call frame information for " + to_hex(pc) + ", and no plausible frame pointer");
}

}  // namespace

const char* to_string(UnwindRule rule) {
  switch (rule) {
    case UnwindRule::none:
      return "none";
    case UnwindRule::eh_frame:
      return "eh_frame";
    case UnwindRule::debug_frame:
      return "debug_frame";
    case UnwindRule::frame_pointer:
      return "frame pointer";
    case UnwindRule::leaf_guess:
      return "leaf guess";
  }
  return "?";
}

const char* to_string(UnwindStop stop) {
  switch (stop) {
    case UnwindStop::outermost:
      return "outermost frame";
    case UnwindStop::no_rule:
      return "no unwind rule";
    case UnwindStop::memory:
      return "stack not readable";
    case UnwindStop::no_progress:
      return "no progress";
    case UnwindStop::bad_cfi:
      return "malformed call frame information";
    case UnwindStop::limit:
      return "frame limit";
  }
  return "?";
}

Frame Unwinder::start(const Registers& registers) {
  Frame frame;
  frame.pc = registers.pc();
  frame.registers = PartialRegisters::all(registers);
  return frame;
}

Frame Unwinder::resume_at(Address pc, Address sp, std::optional<Address> bp, PcKind kind) {
  Frame frame;
  frame.pc = pc;
  frame.pc_kind = kind;
  frame.registers.values.rip = pc.value;
  frame.registers.valid_pc = true;
  frame.registers.set(Gpr::rsp, sp.value);
  if (bp) frame.registers.set(Gpr::rbp, bp->value);
  return frame;
}

UnwindStep Unwinder::step(const Frame& frame, const MemoryReader& memory) const {
  Stepper stepper{*map_, memory, {}, false};
  UnwindStep& result = stepper.result;
  result.callee = frame;
  result.callee.cfa.reset();
  result.callee.return_address_slot.reset();
  result.callee.saved_at = {};
  result.callee.is_signal_frame = false;
  result.callee.rule = UnwindRule::none;
  if (frame.pc.value == 0 && frame.pc_kind == PcKind::return_address) {
    stepper.stop(UnwindStop::outermost, "the return address is zero");
    return result;
  }
  if (!frame.registers.has(Gpr::rsp)) {
    stepper.stop(UnwindStop::no_rule, "the stack pointer is not known");
    return result;
  }
  const Address lookup = frame.pc_kind == PcKind::return_address ? frame.pc - 1 : frame.pc;
  const Module* module = map_->module_at(lookup);
  bool done = false;
  if (module != nullptr && module->binary != nullptr) {
    const auto answer = module->binary->cfi().find(module->file_address(lookup));
    // A trampoline may lack the 'S' mark, or any CFI.
    const bool signal = !(answer.lookup == CfiTable::Lookup::found && answer.row.signal_frame) &&
                        is_sigreturn(*map_, memory, frame.pc);
    if (signal) {
      done = stepper.by_sigreturn();
    } else if (answer.lookup == CfiTable::Lookup::found) {
      done = stepper.by_cfi(*module, answer.row);
    } else if (answer.lookup == CfiTable::Lookup::malformed) {
      if (!stepper.by_frame_pointer()) {
        stepper.stop(UnwindStop::bad_cfi,
                     "malformed call frame information for " + to_hex(frame.pc));
        return result;
      }
      done = true;
    } else {
      done = stepper.without_cfi();
    }
  } else if (is_sigreturn(*map_, memory, frame.pc)) {
    done = stepper.by_sigreturn();
  } else {
    done = stepper.without_cfi();
  }
  if (!done || !result.caller) return result;
  if (result.caller->pc.value == 0) {
    stepper.stop(UnwindStop::outermost, "the return address is zero");
    return result;
  }
  // The stack grows down: but for a signal on an alternate stack, callers are above.
  if (!result.callee.is_signal_frame && !stepper.switched_stack &&
      result.caller->sp() <= result.callee.sp()) {
    stepper.stop(UnwindStop::no_progress, "the caller's frame at " + to_hex(result.caller->sp()) +
                                              " is not above its callee's");
  }
  return result;
}

Backtrace Unwinder::unwind(const Registers& registers, const MemoryReader& memory,
                           UnwindLimits limits) const {
  Backtrace trace;
  Frame frame = start(registers);
  int switches = 0;
  while (true) {
    if (trace.frames.size() + 1 > std::max<std::size_t>(limits.max_frames, 1)) {
      trace.stop = UnwindStop::limit;
      trace.detail = "more than " + std::to_string(limits.max_frames) + " frames";
      return trace;
    }
    UnwindStep next = step(frame, memory);
    trace.frames.push_back(next.callee);
    if (!next.caller) {
      trace.stop = next.stop;
      trace.detail = std::move(next.detail);
      return trace;
    }
    // Frames that go downwards are rare; many of them are a loop.
    const bool downwards = next.caller->sp() <= next.callee.sp();
    if ((next.callee.is_signal_frame || downwards) && ++switches > kMaxStackSwitches) {
      trace.stop = UnwindStop::no_progress;
      trace.detail = "the stack is switched again and again";
      return trace;
    }
    frame = *next.caller;
  }
}

}  // namespace culprit::binary
