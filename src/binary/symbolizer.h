// From a program counter to module, symbol, function, source line and inlined calls; and back from
// a name to addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "binary/module_map.h"

namespace culprit::binary {

/// How to read a program counter.
enum class PcKind : std::uint8_t {
  exact,           ///< the instruction at pc is meant (innermost frame, signal frame, a writer)
  return_address,  ///< the call before pc is meant: everything is looked up at pc - 1
};

struct SourcePosition {
  std::string file;          ///< as recorded by the compiler, made absolute with its directory
  std::uint32_t line = 0;    ///< 0: unknown (compiler generated)
  std::uint32_t column = 0;  ///< 0: unknown
  [[nodiscard]] bool known() const { return !file.empty() && line != 0; }
  bool operator==(const SourcePosition&) const = default;
};

/// One function at a pc: the physical one, or one inlined into it.
struct FunctionFrame {
  std::string name;          ///< demangled, with parameters where the language has them
  std::string linkage_name;  ///< as in the symbol table; equals `name` for C and Go
  SourcePosition position;   ///< innermost: the pc's line; others: the line of the inlined call
  SourcePosition declared;   ///< where the function is declared
  bool inlined = false;      ///< false for the last (physical) one only
};

/// Everything known about one code address.
struct CodeLocation {
  Address pc;                       ///< as asked
  const Module* module = nullptr;   ///< null: no module there (JIT, unmapped)
  std::uint64_t file_address = 0;   ///< pc as the ELF file counts it; 0 without a module
  std::string symbol;               ///< the symbol table's name, demangled; empty if none
  std::string symbol_linkage;       ///< the same as it stands in the table
  std::uint64_t symbol_offset = 0;  ///< pc minus the symbol's address
  /// The contiguous range [lo, hi) of the physical function that holds pc (a cold part has its own
  /// range). From DWARF, else the symbol's size, else the FDE; empty if unknown.
  ByteRange function;
  Address entry;  ///< the function's entry pc (differs in a cold part); 0 unknown
  std::vector<FunctionFrame> frames;  ///< innermost first; empty if not even a symbol is known
  bool has_debug_info = false;
  /// Why, if has_debug_info is false; else what of it is missing, if anything is: one clause.
  std::string no_debug_info;
  std::string language;       ///< "C", "C++", "Go", "Rust", "assembly" or empty
  bool variadic = false;      ///< the physical function takes unnamed arguments, after its named ones

  /// The best short name: frames' innermost, else symbol, else "".
  [[nodiscard]] std::string_view best_name() const;
};

/// A named code or data object of a symbol table.
struct SymbolAddress {
  const Module* module = nullptr;
  std::string linkage_name;
  Address address;
  std::uint64_t size = 0;  ///< 0: not recorded
  bool function = false;
};

/// One place where a function was inlined.
struct InlinedInstance {
  const Module* module = nullptr;
  Address entry;  ///< DW_AT_entry_pc, else the lowest address
  std::vector<ByteRange> ranges;
  std::string caller;  ///< the physical function
};

/// Symbol and line queries over one map. Borrows the map; copies are cheap.
class Symbolizer {
 public:
  explicit Symbolizer(const ModuleMap& map) : map_(&map) {}

  /// Never fails: what is not known stays empty, and no_debug_info says why.
  [[nodiscard]] CodeLocation locate(Address pc, PcKind kind = PcKind::exact) const;

  /// All symbols with exactly this linkage name (as in the table; a symbol version "@..." is not
  /// part of it), local ones included, in module order. Empty if none.
  [[nodiscard]] std::vector<SymbolAddress> find_symbol(std::string_view linkage_name) const;
  /// The symbol that covers the address: data objects and functions.
  [[nodiscard]] std::optional<SymbolAddress> symbol_at(Address a) const;
  /// The entry pcs of all functions of this name (linkage or plain, "runtime.copystack",
  /// "cache_schema"), from symbol tables and DWARF, sorted, unique. Only `module` if given.
  [[nodiscard]] std::vector<Address> function_entries(std::string_view name,
                                                      const Module* module = nullptr) const;
  /// The places where a function of this (plain or linkage) name was inlined. Scans the units of
  /// the module's debug information that mention the name: ask for one module where possible.
  [[nodiscard]] std::vector<InlinedInstance> inlined_instances(
      std::string_view name, const Module* module = nullptr) const;
  /// The start of each source statement in [range), sorted by address: the line table's rows of one
  /// function. Empty without line information.
  struct LineRow {
    Address address;
    SourcePosition position;
    bool is_statement = false;
    bool prologue_end = false;
  };
  [[nodiscard]] std::vector<LineRow> line_rows(ByteRange range) const;

 private:
  const ModuleMap* map_;
};

}  // namespace culprit::binary
