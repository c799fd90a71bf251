// Call frame information: from a pc to the rules that recover the caller's registers (internal).
//
// Formats: .eh_frame and .eh_frame_hdr of the Linux Standard Base 5.0, "DWARF Extensions";
// .debug_frame of DWARF 5, section 6.4. Register numbers are those of the x86-64 psABI.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "binary/elf_file.h"

namespace culprit::binary {

/// rax..r15 by DWARF number, and 16: the return address.
inline constexpr std::size_t kCfiRegisters = 17;
inline constexpr std::uint64_t kDwarfRsp = 7;
inline constexpr std::uint64_t kDwarfReturnAddress = 16;

struct RegisterRule {
  enum class Kind : std::uint8_t {
    unspecified,  ///< the ABI's default
    undefined,    ///< not recoverable; for the return address: outermost frame
    same_value,
    offset,          ///< saved at cfa + value
    val_offset,      ///< is cfa + value
    reg,             ///< is in register `value`
    expression,      ///< saved at the address that the expression gives
    val_expression,  ///< is what the expression gives
  };
  Kind kind = Kind::unspecified;
  std::int64_t value = 0;
  std::span<const std::byte> expression;
};

/// The unwind rules in force at one pc.
struct CfiRow {
  bool from_debug_frame = false;
  bool signal_frame = false;
  bool go = false;        ///< written by Go's linker: it does not describe rbp
  std::uint64_t low = 0;  ///< the FDE's range, as in the ELF file
  std::uint64_t high = 0;
  bool cfa_is_expression = false;
  std::uint64_t cfa_register = 0;
  std::int64_t cfa_offset = 0;
  std::span<const std::byte> cfa_expression;
  std::array<RegisterRule, kCfiRegisters> registers{};
};

/// The CFI of one module. Borrows the files' bytes.
class CfiTable {
 public:
  /// `debug` may hold a .debug_frame that `main` lacks; null if there is none.
  CfiTable(ElfFile& main, ElfFile* debug);

  enum class Lookup : std::uint8_t { found, absent, malformed };
  struct Answer {
    Lookup lookup = Lookup::absent;
    CfiRow row;
  };
  /// The row for a file address. .eh_frame is preferred to .debug_frame.
  [[nodiscard]] Answer find(std::uint64_t address) const;

 private:
  struct FdeEntry {
    std::uint64_t low, high;
    std::size_t offset;  ///< of the FDE in its section
  };
  struct Section {
    std::span<const std::byte> bytes;
    std::uint64_t address = 0;  ///< of bytes[0] in the ELF file's address space
    bool eh = false;
  };
  struct Cie;
  struct Fde;
  [[nodiscard]] std::optional<Cie> read_cie(const Section& section, std::size_t offset) const;
  [[nodiscard]] std::optional<Fde> read_fde(const Section& section, std::size_t offset) const;
  [[nodiscard]] std::optional<std::size_t> search_header(std::uint64_t address) const;
  [[nodiscard]] static const FdeEntry* search(const std::vector<FdeEntry>& index,
                                              std::uint64_t address);
  [[nodiscard]] std::vector<FdeEntry> build_index(const Section& section) const;
  [[nodiscard]] std::optional<CfiRow> run(const Section& section, const Fde& fde,
                                          std::uint64_t address) const;

  Section eh_;
  Section debug_;
  // .eh_frame_hdr's sorted table: pairs of 32-bit offsets from the header's own address.
  std::span<const std::byte> header_table_;
  std::uint64_t header_address_ = 0;
  bool go_ = false;
  mutable bool eh_indexed_ = false;
  mutable bool debug_indexed_ = false;
  mutable std::vector<FdeEntry> eh_index_;
  mutable std::vector<FdeEntry> debug_index_;
};

}  // namespace culprit::binary
