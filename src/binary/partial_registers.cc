#include "binary/partial_registers.h"

#include <array>

namespace culprit::binary {
namespace {

// Index: DWARF number.
constexpr std::array<Gpr, 16> kByDwarf{Gpr::rax, Gpr::rdx, Gpr::rcx, Gpr::rbx, Gpr::rsi, Gpr::rdi,
                                       Gpr::rbp, Gpr::rsp, Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11,
                                       Gpr::r12, Gpr::r13, Gpr::r14, Gpr::r15};
constexpr std::array<const char*, 16> kNames{"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                             "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                             "r12", "r13", "r14", "r15"};

}  // namespace

std::optional<Gpr> gpr_of_dwarf(std::uint64_t dwarf_register) {
  if (dwarf_register >= kByDwarf.size()) return std::nullopt;
  return kByDwarf[static_cast<std::size_t>(dwarf_register)];
}

std::uint64_t dwarf_of_gpr(Gpr r) {
  std::uint64_t number = 0;
  while (number < kByDwarf.size() && kByDwarf[static_cast<std::size_t>(number)] != r) ++number;
  return number;
}

const char* gpr_name(Gpr r) { return kNames[static_cast<std::size_t>(r) % kNames.size()]; }

}  // namespace culprit::binary
