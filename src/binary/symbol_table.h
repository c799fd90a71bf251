// .symtab and .dynsym as one sorted table (internal to this layer).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "binary/elf_file.h"

namespace culprit::binary {

/// Symbols of one module, addresses as in the ELF file. Borrows the files' bytes.
class SymbolTable {
 public:
  enum class Kind : std::uint8_t { function, object, tls, other };
  struct Symbol {
    std::uint64_t address = 0;
    std::uint64_t size = 0;  ///< as recorded; 0 for much assembly
    std::string_view name;   ///< without a symbol version
    Kind kind = Kind::other;
    bool global = false;
  };

  /// Reads both tables of `main` and, where given, of its separate debug file.
  SymbolTable(ElfFile& main, ElfFile* debug);

  [[nodiscard]] bool empty() const { return symbols_.empty(); }
  /// The symbol that covers the address: one whose size covers it, or, if none, the nearest one
  /// below without a size in the same section. `code`: functions are wanted, else data.
  [[nodiscard]] const Symbol* at(std::uint64_t address, bool code) const;
  /// First byte after the symbol: from its size, else the next symbol or its section's end.
  [[nodiscard]] std::uint64_t end_of(const Symbol& symbol) const;
  /// All symbols with exactly this name, sorted by address.
  [[nodiscard]] std::vector<const Symbol*> named(std::string_view name) const;
  /// The thread-local symbol that covers an offset in the module's TLS block.
  [[nodiscard]] const Symbol* thread_local_at(std::uint64_t offset) const;
  /// All but the thread-local ones, sorted by address.
  [[nodiscard]] const std::vector<Symbol>& symbols() const { return symbols_; }

 private:
  void add(ElfFile& file, std::uint32_t section_type);
  struct SectionRange {
    std::uint64_t begin, end;
    bool code;
  };
  [[nodiscard]] const SectionRange* section_of(std::uint64_t address) const;

  std::vector<Symbol> symbols_;       // sorted by address
  std::vector<Symbol> thread_local_;  // addresses are offsets in the TLS block
  std::vector<SectionRange> sections_;
};

}  // namespace culprit::binary
