#include "provenance/failed_check.h"

#include <algorithm>
#include <array>

#include "provenance/value_source.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

/// A part that the compiler split off has the function's name and a suffix: "_Znwm.cold".
std::string_view without_suffix(std::string_view name) {
  for (const std::string_view suffix : {".cold", ".part.", ".constprop.", ".isra."}) {
    if (const std::size_t at = name.find(suffix); at != std::string_view::npos)
      name = name.substr(0, at);
  }
  return name;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <std::size_t N>
bool has_one_of(const std::array<std::string_view, N>& parts, std::string_view name) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

/// operator new(size_t), new[], and those with an alignment: they throw, the nothrow forms do not.
bool is_operator_new(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"_Znwm", "_Znam", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t"});
  return is_one_of(kNames, name);
}

/// The functions of the C++ libraries that have no name in a stripped shared object: parts that
/// were split off, and what is not exported.
bool is_nameless_library_code(const binary::CodeLocation& code) {
  if (!code.symbol_linkage.empty() || code.module == nullptr) return false;
  constexpr auto kLibraries = std::to_array<std::string_view>(
      {"/libstdc++.so", "/libc++.so", "/libc++abi.so", "/libgcc_s.so"});
  return has_one_of(kLibraries, code.module->path);
}

/// Where a direct call goes, through a stub of the procedure linkage table if there is one.
std::string called_function(const ProcessImage& image, const x86::Instruction& call,
                            const MemoryReader& memory) {
  Address at;
  if (call.target) {
    at = *call.target;
  } else {
    // call [rip+x]: -fno-plt, and how Rust calls.
    for (const x86::MemOperand& m : call.memory) {
      if (!m.rip_relative || !m.read) continue;
      const auto to = memory.read_u64(Address{static_cast<std::uint64_t>(m.disp)});
      return to ? image.symbols().locate(Address{*to}).symbol_linkage : std::string();
    }
    return {};
  }
  Address step = at;
  for (int i = 0; i < 2; ++i) {
    const auto instruction = x86::decode_at(memory, step);
    if (!instruction.ok()) break;
    if (instruction->flow == x86::Flow::indirect_jump) {
      for (const x86::MemOperand& m : instruction->memory) {
        const auto to = m.rip_relative
                            ? memory.read_u64(Address{static_cast<std::uint64_t>(m.disp)})
                            : std::nullopt;
        if (to) return image.symbols().locate(Address{*to}).symbol_linkage;
      }
      break;
    }
    if (instruction->flow != x86::Flow::fallthrough) break;
    step = instruction->end();
  }
  return image.symbols().locate(at).symbol_linkage;
}

}  // namespace

bool stops_the_program(std::string_view linkage) {
  const std::string_view name = without_suffix(linkage);
  constexpr auto kNames =
      std::to_array<std::string_view>({"abort",
                                       "__GI_abort",
                                       "raise",
                                       "__GI_raise",
                                       "gsignal",
                                       "pthread_kill",
                                       "__pthread_kill",
                                       "__pthread_kill_internal",
                                       "__pthread_kill_implementation",
                                       "tgkill",
                                       "kill",
                                       "__libc_message",
                                       "__assert_fail",
                                       "__GI___assert_fail",
                                       "__assert_fail_base",
                                       "__assert_perror_fail",
                                       "__assert",
                                       "__chk_fail",
                                       "__GI___chk_fail",
                                       "__fortify_fail",
                                       "__GI___fortify_fail",
                                       "__fortify_fail_abort",
                                       "__cxa_throw",
                                       "__cxa_rethrow",
                                       "__cxa_pure_virtual",
                                       "__cxa_deleted_virtual",
                                       "__cxa_bad_cast",
                                       "__cxa_bad_typeid",
                                       "__cxa_throw_bad_array_new_length",
                                       "__cxa_throw_bad_array_length",
                                       "__cxa_call_unexpected",
                                       "__clang_call_terminate",
                                       "__gxx_personality_v0",
                                       "_Unwind_RaiseException",
                                       "_Unwind_Resume",
                                       "_Unwind_RaiseException_Phase2",
                                       "_ZSt9terminatev",
                                       "_ZSt10unexpectedv",
                                       "_ZN10__cxxabiv111__terminateEPFvvE",
                                       "_ZN9__gnu_cxx27__verbose_terminate_handlerEv",
                                       "_ZSt20__replacement_assertPKciS0_S0_",
                                       "abort_message",
                                       "rust_begin_unwind",
                                       "rust_panic",
                                       "__rust_start_panic",
                                       "__rust_alloc_error_handler"});
  if (is_one_of(kNames, name)) return true;
  // "__memcpy_chk" and its like.
  if (name.starts_with("__") && name.ends_with("_chk")) return true;
  constexpr auto kParts = std::to_array<std::string_view>(
      {// libstdc++ and libc++: std::__throw_*, the assertions.
       "__throw_", "__glibcxx_assert_fail", "__libcpp_verbose_abort", "__libcpp_assertion_handler",
       // Rust, in both manglings.
       "4core9panicking", "3std9panicking", "_ZN11panic_abort", "11panic_abort", "12panic_unwind",
       "__rust_end_short_backtrace", "expect_failed", "unwrap_failed", "_index_len_fail",
       "slice_index_order_fail", "slice_error_fail", "capacity_overflow"});
  return has_one_of(kParts, name) || name.find("handle_alloc_error") != std::string_view::npos;
}

bool is_missing_virtual(std::string_view linkage) {
  const std::string_view name = without_suffix(linkage);
  return name == "__cxa_pure_virtual" || name == "__cxa_deleted_virtual";
}

std::optional<RefusedArgument> refused_argument(std::string_view linkage) {
  const std::string_view name = without_suffix(linkage);
  constexpr auto kIndexAndLength =
      std::to_array<std::string_view>({"panic_bounds_check", "slice_start_index_len_fail",
                                       "slice_end_index_len_fail", "slice_index_order_fail"});
  if (has_one_of(kIndexAndLength, name))
    return RefusedArgument{Gpr::rdi, Gpr::rsi, CheckedAs::index};
  if (is_operator_new(name)) return RefusedArgument{Gpr::rdi, std::nullopt, CheckedAs::size};
  constexpr auto kThirdAndFourth = std::to_array<std::string_view>(
      {"__memcpy_chk", "__memmove_chk", "__mempcpy_chk", "__memset_chk", "__strncpy_chk",
       "__stpncpy_chk", "__strncat_chk", "__read_chk", "__wmemcpy_chk", "__wmemset_chk"});
  if (is_one_of(kThirdAndFourth, name)) return RefusedArgument{Gpr::rdx, Gpr::rcx, CheckedAs::size};
  if (name == "__fgets_chk") return RefusedArgument{Gpr::rdx, Gpr::rsi, CheckedAs::size};
  if (name == "__snprintf_chk" || name == "__vsnprintf_chk") {
    return RefusedArgument{Gpr::rsi, Gpr::rcx, CheckedAs::size};
  }
  return std::nullopt;
}

CheckedAs checked_as(std::string_view linkage) {
  if (const auto argument = refused_argument(linkage)) return argument->as;
  if (is_missing_virtual(linkage)) return CheckedAs::virtual_table;
  constexpr auto kSizes = std::to_array<std::string_view>(
      {"__throw_length_error", "__throw_bad_alloc", "bad_array_", "capacity_overflow"});
  if (has_one_of(kSizes, linkage)) return CheckedAs::size;
  if (linkage.find("__throw_out_of_range") != std::string_view::npos) return CheckedAs::index;
  return CheckedAs::value;
}

std::optional<FailedCheck> find_failed_check(const ProcessImage& image, const Moment& moment,
                                             std::optional<Address> trap,
                                             const MemoryReader& memory) {
  FailedCheck check;
  if (trap) {
    check.failing = *trap;
    return check;
  }
  std::size_t outer = 0;
  while (outer < moment.frames.size()) {
    const binary::CodeLocation& code = moment.frames[outer].code;
    const std::string_view name = without_suffix(code.symbol_linkage);
    // operator new stops nothing; it is a part of the failure where it threw.
    const bool threw = outer > 0 && is_operator_new(name);
    if (!stops_the_program(name) && !threw && !(outer > 0 && is_nameless_library_code(code))) break;
    if (!name.empty()) check.function = std::string(name);
    ++outer;
  }
  if (outer == 0 || outer >= moment.frames.size()) return std::nullopt;
  const auto call = call_before(moment.frames[outer], memory);
  if (!call) return std::nullopt;
  check.frame = outer;
  check.failing = call->address;
  // The frame's own name may be missing or that of a function it jumped on to.
  if (const std::string called = called_function(image, *call, memory); !called.empty()) {
    check.function = std::string(without_suffix(called));
  }
  return check;
}

}  // namespace culprit::provenance
