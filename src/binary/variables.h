// Local variables, parameters and globals: where they live, what they hold, and which of them an
// address belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "base/types.h"
#include "binary/debug_type.h"
#include "binary/module_map.h"
#include "binary/unwinder.h"

namespace culprit::binary {

enum class LocationKind : std::uint8_t {
  memory,                ///< at `address`
  gpr,                   ///< in `reg`
  value,                 ///< computed or constant: `bytes`; it has no place
  other_register,        ///< in a register that Registers does not hold (xmm ...): see `note`
  thread_local_storage,  ///< `address` is the offset in the module's TLS block; not resolved
  optimized_out,
  unknown,  ///< could not be evaluated: see `note`
};

/// Where a part of a variable is.
struct LocationPiece {
  LocationKind kind = LocationKind::unknown;
  Address address;
  std::optional<Gpr> reg;
  std::vector<std::byte> bytes;  ///< for value
  std::uint64_t size = 0;        ///< bytes of this piece
  std::uint64_t offset = 0;      ///< of its first byte in the variable
  std::string note;
};

/// A variable's place: one piece, or several that follow one another.
struct VariableLocation {
  std::vector<LocationPiece> pieces;  ///< never empty
  /// The address if the whole variable lies in memory at one place.
  [[nodiscard]] std::optional<Address> address() const;
  [[nodiscard]] LocationKind kind() const;  ///< of the first piece
  [[nodiscard]] std::string note() const;   ///< first non-empty note
};

enum class VariableScope : std::uint8_t { parameter, local, global };

struct Variable {
  std::string name;
  std::string linkage_name;  ///< globals; may be empty
  Type type;
  std::string type_name;
  std::uint64_t size = 0;  ///< bytes; 0 unknown
  SourcePosition declared;
  VariableScope scope = VariableScope::local;
  std::string function;            ///< that declares it (an inlined one, maybe)
  std::uint32_t inline_depth = 0;  ///< 0: the innermost function at pc, counting outwards
  bool in_scope = true;            ///< false: its block or location list does not cover the pc
  VariableLocation location;
};

/// A frame to look variables up in. `caller` (of a backtrace) makes entry values resolvable.
struct FrameView {
  const Frame* frame = nullptr;
  const Frame* caller = nullptr;  ///< may be null
  const MemoryReader* memory = nullptr;
};

/// A byte of a variable, named.
struct AddressDescription {
  std::string expression;     ///< "c_schema.format", "out->format", "arr[3].x"
  std::string variable;       ///< "c_schema", "out"
  std::string variable_type;  ///< "struct ArrowSchema", "*main._Ctype_struct_ArrowSchema"
  VariableScope scope = VariableScope::local;
  bool through_pointer = false;  ///< the address is in what the variable points to
  bool in_scope = true;          ///< false: the frame owns the slot, but not at this pc
  std::string function;          ///< of locals and parameters
  const Module* module = nullptr;
  SourcePosition declared;         ///< of the variable
  std::uint64_t offset = 0;        ///< of the byte from the variable's (or pointee's) start
  std::uint64_t size = 0;          ///< of the whole variable (or pointee); 0 unknown
  Address start;                   ///< its first byte
  TypePath place;                  ///< the scalar at the byte; see TypePath
  bool from_symbol_table = false;  ///< no debug information: only the symbol's name is known
};

/// Variable queries over one map. Borrows the map.
class VariableFinder {
 public:
  explicit VariableFinder(const ModuleMap& map) : map_(&map) {}

  /// Parameters and locals of the frame's function and of the functions inlined at its pc,
  /// innermost scope first. With `whole_function`, also those whose scope does not cover pc
  /// (in_scope false). At most 4096. Errors: not_found (no debug information: the reason).
  [[nodiscard]] Result<std::vector<Variable>> variables(const FrameView& view,
                                                        bool whole_function = false) const;

  /// The local or parameter of this frame that holds the address, variables in scope first, then
  /// those of the whole function. Nothing if no variable covers it.
  [[nodiscard]] std::optional<AddressDescription> describe_address(const FrameView& view,
                                                                   Address address) const;
  /// The object that a pointer variable of this frame points to, if the address lies in
  /// [p, p + size of the pointee): "out->format" (C, C++), "out.format" (Go).
  [[nodiscard]] std::optional<AddressDescription> describe_pointee(const FrameView& view,
                                                                   Address address) const;
  /// The global, static or thread-local variable at the address, from DWARF or else from the
  /// symbol table. `fs_base`, where known, resolves the main program's thread-local variables.
  [[nodiscard]] std::optional<AddressDescription> describe_global(
      Address address, std::optional<std::uint64_t> fs_base = {}) const;
  /// A global or static variable by plain or linkage name; the location is a memory address.
  [[nodiscard]] std::optional<Variable> find_global(std::string_view name,
                                                    const Module* module = nullptr) const;

  /// The bytes of a variable (at most `max_bytes`). Errors: not_found with the reason
  /// (optimized out, memory not readable).
  [[nodiscard]] Result<std::vector<std::byte>> read(const FrameView& view, const Variable& variable,
                                                    std::size_t max_bytes = 4096) const;

 private:
  const ModuleMap* map_;
};

}  // namespace culprit::binary
