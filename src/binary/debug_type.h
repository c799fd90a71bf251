// A type of the program, read from DWARF on demand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "binary/module_map.h"
#include "binary/symbolizer.h"

namespace culprit::binary {

enum class TypeKind : std::uint8_t {
  unknown,
  base,
  pointer,
  reference,
  structure,
  class_type,
  union_type,
  enumeration,
  array,
  function,
  alias,      ///< typedef
  qualified,  ///< const, volatile, restrict, atomic
};

struct Member;

/// A handle to one type. Valid as long as the ModuleCache; cheap to copy. A default-constructed
/// one is invalid: every query answers "unknown". Void is invalid with name "void".
class Type {
 public:
  Type() = default;
  /// For this layer only: `unit` and `entry` are LLVM's DWARFUnit and DWARFDebugInfoEntry.
  Type(Binary* binary, void* unit, const void* entry)
      : binary_(binary), unit_(unit), entry_(entry) {}

  [[nodiscard]] bool valid() const { return binary_ != nullptr; }
  [[nodiscard]] TypeKind kind() const;
  /// As the language writes it: "struct ArrowSchema", "const char*", "int[4]", "std::pair<int, A>",
  /// Go's own names ("*main.T", "[]uint8").
  [[nodiscard]] std::string name() const;
  /// Bytes, through typedefs; nothing for incomplete types (declarations are resolved to a
  /// definition of the same name in the same file where there is one).
  [[nodiscard]] std::optional<std::uint64_t> size() const;
  /// Pointee, element, underlying or return type; invalid if none or void.
  [[nodiscard]] Type target() const;
  /// Without typedefs and qualifiers, declarations resolved.
  [[nodiscard]] Type stripped() const;
  /// Array: number of elements of the first dimension; nothing for flexible arrays.
  [[nodiscard]] std::optional<std::uint64_t> array_count() const;
  /// Members of a structure, class or union in declaration order; base classes first as members
  /// with is_base. At most 65536.
  [[nodiscard]] std::vector<Member> members() const;
  /// A member by name; looks into anonymous members and base classes (offset from this type).
  [[nodiscard]] std::optional<Member> member(std::string_view name) const;
  /// "Go", "C", "C++", ...: the language of the unit that declares it.
  [[nodiscard]] std::string language() const;
  [[nodiscard]] SourcePosition declared() const;

  [[nodiscard]] Binary* binary() const { return binary_; }
  [[nodiscard]] void* unit() const { return unit_; }
  [[nodiscard]] const void* entry() const { return entry_; }
  bool operator==(const Type&) const = default;

 private:
  Binary* binary_ = nullptr;
  void* unit_ = nullptr;
  const void* entry_ = nullptr;
};

/// A data member or base class.
struct Member {
  std::string name;          ///< empty for anonymous members
  std::uint64_t offset = 0;  ///< bytes from the start of the type asked
  std::uint64_t size = 0;    ///< bytes of its type (the storage unit for a bit field); 0 unknown
  Type type;
  bool is_base = false;
  std::optional<std::uint32_t> bit_offset;  ///< bit fields: bits from the start of the type asked
  std::uint32_t bit_size = 0;               ///< 0: no bit field
  SourcePosition declared;
};

/// A place inside a type.
struct TypePath {
  std::string path;  ///< ".format", "[3].x", "" for a scalar at offset 0
  Type type;         ///< of the scalar there (invalid inside padding)
  std::string type_name;
  std::uint64_t offset = 0;  ///< where that scalar begins, from the start of the outer type
  std::uint64_t size = 0;    ///< its bytes, 0 if unknown
  std::uint64_t offset_in_scalar = 0;
  std::string field;           ///< last member name on the path, empty if none
  std::string container_type;  ///< the type that declares `field`: "struct ArrowSchema"
  Type container;
  SourcePosition field_declared;
  bool padding = false;        ///< no member covers the byte
  std::uint32_t bit_size = 0;  ///< of a bit field
};

/// A type's name for people, where the C++ library's own typedef of a pointer is that pointer:
/// "Cursor*", not "std::__uniq_ptr_impl<Cursor, std::default_delete<Cursor> >::pointer".
[[nodiscard]] std::string plain_pointer_name(const Type& type);

/// Names the byte at `offset` inside `type`, down to a scalar. Where several union members cover
/// it, the first is taken. Nothing if the offset is outside the type or the type is not known.
[[nodiscard]] std::optional<TypePath> describe_in_type(const Type& type, std::uint64_t offset);

/// Finds a type by its name: a C tag with or without its keyword ("ArrowSchema",
/// "struct ArrowSchema"), a typedef, a qualified C++ name, a Go name ("runtime.g"). Searches the
/// given module, or all in order; definitions win over declarations.
[[nodiscard]] std::optional<Type> find_type(const ModuleMap& map, std::string_view name,
                                            const Module* module = nullptr);

}  // namespace culprit::binary
