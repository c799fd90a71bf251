// What a unit's entries say about a type's name, on units that are written down byte by byte.
#include "binary/checked_dwarf_context.h"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

using namespace llvm::dwarf;  // NOLINT: the entries' tags and forms
using Mention = CheckedDwarfContext::TypeMention;

using Bytes = std::vector<std::byte>;

void add(Bytes& out, std::initializer_list<int> bytes) {
  for (const int b : bytes) out.push_back(static_cast<std::byte>(b));
}

void add(Bytes& out, std::string_view text) {
  for (const char c : text) out.push_back(static_cast<std::byte>(c));
  out.push_back(std::byte{0});
}

/// One DWARF 4 unit; its first entry is the unit's, with the children that a test adds.
class Unit {
 public:
  enum Code { unit = 1, structure, declared, variable, by_offset, by_index };
  Unit() {
    const auto entry = [this](Code code, int tag, bool children, std::initializer_list<int> forms) {
      add(abbrev_, {code, tag, children ? 1 : 0});
      add(abbrev_, forms);
      add(abbrev_, {0, 0});
    };
    entry(unit, DW_TAG_compile_unit, true, {});
    entry(structure, DW_TAG_structure_type, false, {DW_AT_name, DW_FORM_string});
    entry(declared, DW_TAG_structure_type, false,
          {DW_AT_name, DW_FORM_string, DW_AT_declaration, DW_FORM_flag_present});
    entry(variable, DW_TAG_variable, false, {DW_AT_name, DW_FORM_string});
    entry(by_offset, DW_TAG_typedef, false, {DW_AT_name, DW_FORM_strp});
    entry(by_index, DW_TAG_structure_type, false, {DW_AT_name, DW_FORM_strx1});
    add(abbrev_, {0});
    add(info_, {0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, unit});
  }
  Unit& child(Code code, std::string_view name) {
    add(info_, {code});
    if (code == by_offset) {
      const auto at = static_cast<int>(str_.size());
      add(str_, name);
      add(info_, {at, 0, 0, 0});
    } else if (code == by_index) {
      add(info_, {0});
    } else {
      add(info_, name);
    }
    return *this;
  }
  [[nodiscard]] Bytes bytes() const {
    Bytes info = info_;
    add(info, {0});
    const auto length = static_cast<std::uint32_t>(info.size() - 4);
    std::memcpy(info.data(), &length, 4);
    return info;
  }
  [[nodiscard]] const Bytes& abbreviations() const { return abbrev_; }
  Mention says(std::string_view name) {
    const Bytes info = bytes();
    DwarfSections sections;
    sections.info = info;
    sections.abbrev = abbrev_;
    sections.str = str_;
    CheckedDwarfContext context(sections);
    EXPECT_EQ(context.getNumCompileUnits(), 1U);
    llvm::DWARFUnit* first = context.getUnitAtIndex(0);
    EXPECT_TRUE(context.usable(*first));
    return context.type_mention(*first, name);
  }

 private:
  Bytes info_, abbrev_, str_;
};

TEST(TypeMention, ADefinitionWinsOverADeclaration) {
  EXPECT_EQ(Unit().child(Unit::structure, "Node").says("Node"), Mention::definition);
  EXPECT_EQ(Unit().child(Unit::declared, "Node").says("Node"), Mention::declaration);
  EXPECT_EQ(Unit().child(Unit::declared, "Node").child(Unit::structure, "Node").says("Node"),
            Mention::definition);
  EXPECT_EQ(Unit().child(Unit::structure, "Node").child(Unit::declared, "Node").says("Node"),
            Mention::definition);
}

TEST(TypeMention, OnlyTypesOfExactlyThatNameCount) {
  EXPECT_EQ(Unit().says("Node"), Mention::none);
  EXPECT_EQ(Unit().child(Unit::variable, "Node").says("Node"), Mention::none);
  EXPECT_EQ(Unit().child(Unit::structure, "Nodes").child(Unit::structure, "Nod").says("Node"),
            Mention::none);
}

TEST(TypeMention, NamesMayBeInTheStringSection) {
  Unit named;
  named.child(Unit::by_offset, "Other").child(Unit::by_offset, "Node");
  EXPECT_EQ(named.says("Node"), Mention::definition);
  EXPECT_EQ(named.says("Other"), Mention::definition);
  EXPECT_EQ(named.says("her"), Mention::none);
}

TEST(TypeMention, AnIndexedNameMayBeAny) {
  EXPECT_EQ(Unit().child(Unit::by_index, "").says("Node"), Mention::definition);
}

TEST(UsableUnit, IsNoneThatCannotBeSetUp) {
  const auto with = [](std::size_t string_offsets) {
    const Bytes strings(string_offsets);
    const Bytes info = Unit().child(Unit::structure, "Node").bytes();
    const Bytes abbreviations = Unit().abbreviations();
    DwarfSections sections;
    sections.info = info;
    sections.abbrev = abbreviations;
    sections.str_offsets = strings;
    CheckedDwarfContext context(sections, /*split=*/true);
    EXPECT_EQ(context.getNumDWOCompileUnits(), 1U);
    llvm::DWARFUnit& unit = *context.getDWOUnitAtIndex(0);
    const bool root = context.root_usable(unit);
    EXPECT_EQ(context.usable(unit), root);
    return root;
  };
  EXPECT_TRUE(with(8));
  EXPECT_FALSE(with(7)) << "no whole number of offsets: LLVM would have no table of locations";
}

}  // namespace
}  // namespace culprit::binary
