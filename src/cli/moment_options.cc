#include "cli/moment_options.h"

#include <array>
#include <limits>
#include <string_view>

#include "base/registers.h"
#include "crash/overrides.h"

namespace culprit::cli {
namespace {

constexpr std::string_view kOption = "--at-registers";

/// By Gpr.
constexpr std::array<std::string_view, 16> kNames = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                     "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                     "r12", "r13", "r14", "r15"};

Error usage(std::string_view why) {
  return Error{ErrorCode::usage, std::string(kOption) + ": " + std::string(why) +
                                     ", write all sixteen like rax=0x1,rbx=0x2"};
}

Result<std::array<std::uint64_t, 16>> parse_registers(std::string_view text) {
  std::array<std::uint64_t, 16> out{};
  std::array<bool, 16> seen{};
  constexpr std::size_t kLongest = 16 * 32;
  if (text.size() > kLongest) return usage("too long");
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const std::size_t equals = item.find('=');
    std::size_t at = 0;
    while (at < kNames.size() && kNames[at] != item.substr(0, equals)) ++at;
    if (equals == std::string_view::npos || at == kNames.size()) {
      return usage("no general-purpose register is named");
    }
    if (seen[at]) return usage("a register is named twice");
    seen[at] = true;
    CULPRIT_ASSIGN(out[at], crash::parse_hex(kOption, item.substr(equals + 1)));
  }
  for (const bool one : seen) {
    if (!one) return usage("a register is missing");
  }
  return out;
}

}  // namespace

void MomentFlags::add_to(CLI::App& command) {
  command
      .add_option("--at-event", event,
                  "With --address: look back from this event of rr (the newest one), not from the "
                  "crash")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()));
  command.add_option("--at-thread", thread, "The thread of that moment")
      ->check(CLI::Range(1, 4194304));
  command
      .add_option("--at-pc", pc, "The instruction that the thread executes next, in hexadecimal")
      ->type_name("HEX");
  command
      .add_option(
          "--at-hit", hit,
          "The K-th execution of it since the thread's last system call (default: the last)")
      ->check(CLI::Range(std::uint64_t{1}, std::numeric_limits<std::uint64_t>::max()));
  command.add_option(std::string(kOption), registers, "The thread's registers at that moment")
      ->type_name("rax=HEX,…");
}

Result<std::optional<provenance::AskedMoment>> MomentFlags::moment() const {
  if (event == 0 && thread == 0 && pc.empty() && hit == 0 && registers.empty()) {
    return std::optional<provenance::AskedMoment>{};
  }
  if (event == 0 || thread == 0 || pc.empty()) {
    return Error{ErrorCode::usage,
                 "a moment is named by --at-event, --at-thread and --at-pc together"};
  }
  provenance::AskedMoment out;
  out.event = EventNumber{event};
  out.thread = ThreadId{thread};
  CULPRIT_ASSIGN(const std::uint64_t address, crash::parse_hex("--at-pc", pc));
  out.pc = Address{address};
  if (hit != 0) out.hit = hit;
  if (!registers.empty()) {
    CULPRIT_ASSIGN(out.registers, parse_registers(registers));
  }
  return std::optional<provenance::AskedMoment>{out};
}

}  // namespace culprit::cli
