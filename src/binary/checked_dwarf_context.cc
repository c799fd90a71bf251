#include "binary/checked_dwarf_context.h"

#include <algorithm>
#include <utility>

#include "binary/byte_reader.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/DebugInfo/DWARF/DWARFObject.h"
#include "llvm/DebugInfo/DWARF/DWARFRelocMap.h"
#include "llvm/DebugInfo/DWARF/DWARFSection.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;

constexpr std::size_t kMaxAbbreviations = 1U << 20;
constexpr std::size_t kMaxForms = 1U << 22;

llvm::StringRef text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The sections of one linked file, or of a split one: nothing is relocated.
class Sections final : public llvm::DWARFObject {
 public:
  Sections(const DwarfSections& s, bool split)
      : split_(split),
        info_{text_of(s.info)},
        types_{text_of(s.types)},
        str_offsets_{text_of(s.str_offsets)},
        addr_{text_of(s.addr)},
        ranges_{text_of(s.ranges)},
        rnglists_{text_of(s.rnglists)},
        loc_{text_of(s.loc)},
        loclists_{text_of(s.loclists)},
        abbrev_(text_of(s.abbrev)),
        str_(text_of(s.str)),
        line_str_(text_of(s.line_str)) {
    for (const auto& bytes : s.more_info) more_info_.push_back({text_of(bytes)});
    for (const auto& bytes : s.more_types) more_types_.push_back({text_of(bytes)});
  }

  llvm::StringRef getFileName() const override { return ""; }
  bool isLittleEndian() const override { return true; }
  std::uint8_t getAddressSize() const override { return 8; }
  void forEachInfoSections(
      llvm::function_ref<void(const llvm::DWARFSection&)> visit) const override {
    if (!split_) visit(info_);
  }
  void forEachTypesSections(
      llvm::function_ref<void(const llvm::DWARFSection&)> visit) const override {
    if (!split_ && !types_.Data.empty()) visit(types_);
  }
  void forEachInfoDWOSections(
      llvm::function_ref<void(const llvm::DWARFSection&)> visit) const override {
    if (!split_) return;
    visit(info_);
    for (const llvm::DWARFSection& section : more_info_) visit(section);
  }
  void forEachTypesDWOSections(
      llvm::function_ref<void(const llvm::DWARFSection&)> visit) const override {
    if (!split_) return;
    if (!types_.Data.empty()) visit(types_);
    for (const llvm::DWARFSection& section : more_types_) visit(section);
  }
  llvm::StringRef getAbbrevDWOSection() const override { return abbrev_; }
  llvm::StringRef getStrDWOSection() const override { return str_; }
  const llvm::DWARFSection& getStrOffsetsDWOSection() const override { return str_offsets_; }
  const llvm::DWARFSection& getRnglistsDWOSection() const override { return rnglists_; }
  const llvm::DWARFSection& getLocDWOSection() const override { return loc_; }
  const llvm::DWARFSection& getLoclistsDWOSection() const override { return loclists_; }
  llvm::StringRef getAbbrevSection() const override { return abbrev_; }
  llvm::StringRef getStrSection() const override { return str_; }
  llvm::StringRef getLineStrSection() const override { return line_str_; }
  const llvm::DWARFSection& getStrOffsetsSection() const override { return str_offsets_; }
  const llvm::DWARFSection& getAddrSection() const override { return addr_; }
  const llvm::DWARFSection& getRangesSection() const override { return ranges_; }
  const llvm::DWARFSection& getRnglistsSection() const override { return rnglists_; }
  const llvm::DWARFSection& getLocSection() const override { return loc_; }
  const llvm::DWARFSection& getLoclistsSection() const override { return loclists_; }
  std::optional<llvm::RelocAddrEntry> find(const llvm::DWARFSection& section,
                                           std::uint64_t offset) const override {
    (void)section;
    (void)offset;
    return std::nullopt;
  }

 private:
  bool split_;
  llvm::DWARFSection info_, types_, str_offsets_, addr_, ranges_, rnglists_, loc_, loclists_;
  std::vector<llvm::DWARFSection> more_info_, more_types_;
  llvm::StringRef abbrev_, str_, line_str_;
};

void ignore(llvm::Error error) { llvm::consumeError(std::move(error)); }

enum class Skip : std::uint8_t { done, unknown_form, out_of_bounds };

// Moves over one attribute value (DWARF 5, section 7.5.6, and GNU's forms).
Skip skip_value(ByteReader& reader, std::uint64_t form, const llvm::DWARFUnit& unit) {
  const std::uint64_t offset_size = unit.getDwarfOffsetByteSize();
  switch (form) {
    case dwarf::DW_FORM_flag_present:
    case dwarf::DW_FORM_implicit_const:
      break;
    case dwarf::DW_FORM_data1:
    case dwarf::DW_FORM_ref1:
    case dwarf::DW_FORM_flag:
    case dwarf::DW_FORM_strx1:
    case dwarf::DW_FORM_addrx1:
      reader.skip(1);
      break;
    case dwarf::DW_FORM_data2:
    case dwarf::DW_FORM_ref2:
    case dwarf::DW_FORM_strx2:
    case dwarf::DW_FORM_addrx2:
      reader.skip(2);
      break;
    case dwarf::DW_FORM_strx3:
    case dwarf::DW_FORM_addrx3:
      reader.skip(3);
      break;
    case dwarf::DW_FORM_data4:
    case dwarf::DW_FORM_ref4:
    case dwarf::DW_FORM_ref_sup4:
    case dwarf::DW_FORM_strx4:
    case dwarf::DW_FORM_addrx4:
      reader.skip(4);
      break;
    case dwarf::DW_FORM_addr:
    case dwarf::DW_FORM_data8:
    case dwarf::DW_FORM_ref8:
    case dwarf::DW_FORM_ref_sig8:
    case dwarf::DW_FORM_ref_sup8:
      reader.skip(8);
      break;
    case dwarf::DW_FORM_data16:
      reader.skip(16);
      break;
    case dwarf::DW_FORM_ref_addr:
      reader.skip(unit.getRefAddrByteSize());
      break;
    case dwarf::DW_FORM_strp:
    case dwarf::DW_FORM_line_strp:
    case dwarf::DW_FORM_strp_sup:
    case dwarf::DW_FORM_sec_offset:
    case dwarf::DW_FORM_GNU_ref_alt:
    case dwarf::DW_FORM_GNU_strp_alt:
      reader.skip(offset_size);
      break;
    case dwarf::DW_FORM_sdata:
    case dwarf::DW_FORM_udata:
    case dwarf::DW_FORM_ref_udata:
    case dwarf::DW_FORM_strx:
    case dwarf::DW_FORM_addrx:
    case dwarf::DW_FORM_loclistx:
    case dwarf::DW_FORM_rnglistx:
    case dwarf::DW_FORM_GNU_addr_index:
    case dwarf::DW_FORM_GNU_str_index:
      reader.uleb();
      break;
    case dwarf::DW_FORM_string:
      reader.c_string();
      break;
    case dwarf::DW_FORM_block1:
      reader.skip(reader.u8());
      break;
    case dwarf::DW_FORM_block2:
      reader.skip(reader.u16());
      break;
    case dwarf::DW_FORM_block4:
      reader.skip(reader.u32());
      break;
    case dwarf::DW_FORM_block:
    case dwarf::DW_FORM_exprloc:
      reader.skip(reader.uleb());
      break;
    default:
      return Skip::unknown_form;
  }
  return reader.ok() ? Skip::done : Skip::out_of_bounds;
}

}  // namespace

bool is_named_type(dwarf::Tag tag) {
  switch (tag) {
    case dwarf::DW_TAG_structure_type:
    case dwarf::DW_TAG_class_type:
    case dwarf::DW_TAG_union_type:
    case dwarf::DW_TAG_enumeration_type:
    case dwarf::DW_TAG_typedef:
    case dwarf::DW_TAG_base_type:
    case dwarf::DW_TAG_pointer_type:
    case dwarf::DW_TAG_array_type:
    case dwarf::DW_TAG_subroutine_type:
      return true;
    default:
      return false;
  }
}

CheckedDwarfContext::CheckedDwarfContext(const DwarfSections& sections, bool split)
    : llvm::DWARFContext(std::make_unique<Sections>(sections, split), "", ignore, ignore),
      sections_(sections) {}

CheckedDwarfContext::~CheckedDwarfContext() = default;

const CheckedDwarfContext::AbbreviationTable& CheckedDwarfContext::abbreviations(
    std::uint64_t offset) {
  const auto [it, fresh] = tables_.try_emplace(offset);
  AbbreviationTable& table = it->second;
  if (!fresh || offset >= sections_.abbrev.size()) return table;
  ByteReader reader(sections_.abbrev, static_cast<std::size_t>(offset));
  while (table.by_code.size() < kMaxAbbreviations && table.forms.size() < kMaxForms) {
    const std::uint64_t code = reader.uleb();
    if (!reader.ok()) return table;
    if (code == 0) {
      table.valid = true;
      return table;
    }
    Abbreviation abbreviation;
    abbreviation.type = is_named_type(static_cast<dwarf::Tag>(reader.uleb() & 0xFFFF));
    abbreviation.has_children = reader.u8() == dwarf::DW_CHILDREN_yes;
    abbreviation.first = static_cast<std::uint32_t>(table.forms.size());
    while (true) {
      const std::uint64_t attribute = reader.uleb();
      const std::uint64_t form = reader.uleb();
      if (!reader.ok() || table.forms.size() >= kMaxForms || form > UINT16_MAX) return table;
      if (attribute == 0 && form == 0) break;
      // One without the other is malformed, and LLVM takes it for the end.
      if (attribute == 0 || form == 0) return table;
      if (form == dwarf::DW_FORM_implicit_const) reader.sleb();
      abbreviation.declaration |= attribute == dwarf::DW_AT_declaration;
      if (attribute == dwarf::DW_AT_name) {
        abbreviation.name = static_cast<std::uint32_t>(table.forms.size()) - abbreviation.first;
      }
      table.forms.push_back(static_cast<std::uint16_t>(form));
    }
    abbreviation.count = static_cast<std::uint32_t>(table.forms.size()) - abbreviation.first;
    // A code defined twice would leave it open which definition LLVM takes.
    if (!table.by_code.emplace(code, abbreviation).second) return table;
  }
  return table;
}

std::optional<std::string_view> CheckedDwarfContext::name_at(ByteReader reader, std::uint64_t form,
                                                             bool wide) const {
  if (form == dwarf::DW_FORM_string) return reader.c_string();
  if (form != dwarf::DW_FORM_strp && form != dwarf::DW_FORM_line_strp) return std::nullopt;
  const std::uint64_t offset = wide ? reader.u64() : reader.u32();
  const auto section = form == dwarf::DW_FORM_strp ? sections_.str : sections_.line_str;
  if (!reader.ok() || offset >= section.size()) return std::string_view{};
  return ByteReader(section, static_cast<std::size_t>(offset)).c_string();
}

bool CheckedDwarfContext::check(llvm::DWARFUnit& unit, bool root_only) {
  TypeMention none = TypeMention::none;
  return walk(unit, root_only, std::nullopt, none);
}

CheckedDwarfContext::TypeMention CheckedDwarfContext::type_mention(llvm::DWARFUnit& unit,
                                                                   std::string_view name) {
  TypeMention found = TypeMention::none;
  walk(unit, false, name, found);
  return found;
}

bool CheckedDwarfContext::walk(llvm::DWARFUnit& unit, bool root_only,
                               std::optional<std::string_view> type_name, TypeMention& found) {
  if (unit.getAddressByteSize() != 8 || unit.getVersion() < 2 || unit.getVersion() > 5) {
    return false;
  }
  const AbbreviationTable& table = abbreviations(unit.getAbbrOffset());
  if (!table.valid) return false;
  const llvm::StringRef section = unit.getInfoSection().Data;
  const std::uint64_t begin = unit.getOffset() + unit.getHeaderSize();
  const std::uint64_t end = std::min<std::uint64_t>(unit.getNextUnitOffset(), section.size());
  if (begin >= end) return false;
  ByteReader reader(
      std::span(reinterpret_cast<const std::byte*>(section.data()), static_cast<std::size_t>(end)),
      static_cast<std::size_t>(begin));
  std::uint64_t depth = 0;
  while (!reader.at_end()) {
    const std::uint64_t code = reader.uleb();
    if (!reader.ok()) return false;
    if (code == 0) {
      if (depth <= 1) return true;
      --depth;
      continue;
    }
    const auto it = table.by_code.find(code);
    if (it == table.by_code.end()) return false;
    const bool looks = type_name && it->second.type;
    for (std::uint32_t i = 0; i < it->second.count; ++i) {
      if (looks && i == it->second.name) {
        const auto name =
            name_at(reader, table.forms[it->second.first + i], unit.getDwarfOffsetByteSize() == 8);
        if (!name || (*name == *type_name && !it->second.declaration)) {
          found = TypeMention::definition;
          return true;
        }
        if (*name == *type_name) found = TypeMention::declaration;
      }
      if (skip_value(reader, table.forms[it->second.first + i], unit) != Skip::done) return false;
    }
    if (root_only) return true;
    if (it->second.has_children) {
      ++depth;
    } else if (depth == 0) {
      return true;  // a unit of one entry
    }
  }
  // Without the closing nulls: LLVM stops at the end of the unit.
  return true;
}

bool CheckedDwarfContext::usable(llvm::DWARFUnit& unit) {
  Verdict& verdict = verdicts_[&unit];
  if (!verdict.all) verdict.all = root_usable(unit) && check(unit, false);
  return *verdict.all;
}

bool CheckedDwarfContext::root_usable(llvm::DWARFUnit& unit) {
  Verdict& verdict = verdicts_[&unit];
  if (!verdict.root) {
    verdict.root = check(unit, true);
    // LLVM tells only the first who asks for the root that it could not set the unit up (its string
    // offsets are malformed); to all others it gives a unit without a table of locations, and reads
    // that.
    if (*verdict.root) {
      if (llvm::Error error = unit.tryExtractDIEsIfNeeded(/*CUDieOnly=*/true)) {
        llvm::consumeError(std::move(error));
        verdict.root = false;
      }
    }
  }
  return *verdict.root;
}

}  // namespace culprit::binary
