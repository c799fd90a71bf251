#include "binary/line_table.h"

#include <algorithm>
#include <array>
#include <utility>

#include "binary/byte_reader.h"
#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;

constexpr std::size_t kMaxFiles = 1U << 20;

// One column of a version 5 directory or file table.
struct EntryFormat {
  std::uint64_t content = 0;
  std::uint64_t form = 0;
};

struct EntryValue {
  std::string_view text;
  std::uint64_t number = 0;
};

std::string_view string_at(std::span<const std::byte> section, std::uint64_t offset) {
  if (offset >= section.size()) return {};
  ByteReader reader(section, static_cast<std::size_t>(offset));
  const std::string_view text = reader.c_string();
  return reader.ok() ? text : std::string_view{};
}

// Reads one value; false for a form that line tables may not have (its size would be unknown).
bool read_value(ByteReader& reader, std::uint64_t form, bool wide,
                const LineTable::Sections& sections, EntryValue& value) {
  const auto offset = [&] { return wide ? reader.u64() : reader.u32(); };
  switch (form) {
    case dwarf::DW_FORM_string:
      value.text = reader.c_string();
      break;
    case dwarf::DW_FORM_line_strp:
      value.text = string_at(sections.line_str, offset());
      break;
    case dwarf::DW_FORM_strp:
      value.text = string_at(sections.str, offset());
      break;
    case dwarf::DW_FORM_udata:
      value.number = reader.uleb();
      break;
    case dwarf::DW_FORM_data1:
      value.number = reader.u8();
      break;
    case dwarf::DW_FORM_data2:
      value.number = reader.u16();
      break;
    case dwarf::DW_FORM_data4:
      value.number = reader.u32();
      break;
    case dwarf::DW_FORM_data8:
      value.number = reader.u64();
      break;
    case dwarf::DW_FORM_data16:
      reader.skip(16);
      break;
    case dwarf::DW_FORM_block:
      reader.skip(reader.uleb());
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
    default:
      return false;
  }
  return reader.ok();
}

// A version 5 table: its format, then its entries, each given to `add(name, folder)`.
template <typename Add>
bool read_table(ByteReader& reader, bool wide, const LineTable::Sections& sections, Add add) {
  std::array<EntryFormat, 255> formats;
  const std::size_t format_count = reader.u8();
  if (format_count > formats.size()) return false;
  for (std::size_t i = 0; i < format_count; ++i) {
    formats[i].content = reader.uleb();
    formats[i].form = reader.uleb();
  }
  const std::uint64_t count = reader.uleb();
  if (!reader.ok() || count > kMaxFiles || (format_count == 0 && count != 0)) return false;
  for (std::uint64_t n = 0; n < count; ++n) {
    std::string_view name;
    std::uint64_t folder = 0;
    for (std::size_t i = 0; i < format_count; ++i) {
      EntryValue value;
      if (!read_value(reader, formats[i].form, wide, sections, value)) return false;
      if (formats[i].content == dwarf::DW_LNCT_path) name = value.text;
      if (formats[i].content == dwarf::DW_LNCT_directory_index) folder = value.number;
    }
    add(name, folder);
  }
  return true;
}

}  // namespace

struct LineTable::Header {
  std::uint8_t minimum_length = 1;
  bool default_is_statement = true;
  std::int8_t line_base = 0;
  std::uint8_t line_range = 1;
  std::uint8_t opcode_base = 1;
  std::array<std::uint8_t, 256> operand_counts{};
  std::span<const std::byte> program;
};

bool LineTable::parse_header(const Sections& sections, std::uint64_t offset, Header& header) {
  if (offset >= sections.line.size()) return false;
  ByteReader outer(sections.line, static_cast<std::size_t>(offset));
  std::uint64_t length = outer.u32();
  const bool wide = length == 0xFFFFFFFF;
  if (wide) length = outer.u64();
  if (!outer.ok() || length > outer.remaining()) return false;
  const auto unit = sections.line.subspan(outer.offset(), static_cast<std::size_t>(length));

  ByteReader reader(unit);
  version_ = reader.u16();
  if (version_ < 2 || version_ > 5) return false;
  if (version_ >= 5) {
    const std::uint8_t address_size = reader.u8();
    const std::uint8_t segment_size = reader.u8();
    if (address_size != 8 || segment_size != 0) return false;
  }
  const std::uint64_t header_length = wide ? reader.u64() : reader.u32();
  if (!reader.ok() || header_length > reader.remaining()) return false;
  const std::size_t program_at = reader.offset() + static_cast<std::size_t>(header_length);
  header.minimum_length = reader.u8();
  if (version_ >= 4) reader.u8();  // operations per instruction: 1 on x86
  header.default_is_statement = reader.u8() != 0;
  header.line_base = reader.fixed<std::int8_t>();
  header.line_range = reader.u8();
  header.opcode_base = reader.u8();
  if (!reader.ok() || header.line_range == 0 || header.opcode_base == 0) return false;
  for (std::size_t op = 1; op < header.opcode_base; ++op) header.operand_counts[op] = reader.u8();
  header.program = unit.subspan(program_at);

  ByteReader tables(unit.first(program_at), reader.offset());
  if (version_ >= 5) {
    const bool folders = read_table(tables, wide, sections,
                                    [&](std::string_view name, auto) { folders_.push_back(name); });
    if (!folders) return true;  // lines without file names
    read_table(tables, wide, sections, [&](std::string_view name, std::uint64_t folder) {
      files_.push_back({name, folder});
    });
    return true;
  }
  folders_.emplace_back();  // number 0: the compilation folder
  files_.emplace_back();    // numbers begin with 1
  for (std::string_view name = tables.c_string(); tables.ok() && !name.empty();
       name = tables.c_string()) {
    if (folders_.size() == kMaxFiles) break;
    folders_.push_back(name);
  }
  for (std::string_view name = tables.c_string(); tables.ok() && !name.empty();
       name = tables.c_string()) {
    if (files_.size() == kMaxFiles) break;
    const std::uint64_t folder = tables.uleb();
    tables.uleb();  // time of modification
    tables.uleb();  // length
    files_.push_back({name, folder});
  }
  return true;
}

void LineTable::run(const Header& header, std::span<const std::byte> program) {
  Row initial;
  initial.file = 1;
  initial.line = 1;
  initial.is_statement = header.default_is_statement;
  Row row = initial;
  Sequence sequence;
  sequence.first = rows_.size();

  const auto emit = [&] {
    rows_.push_back(row);
    row.prologue_end = false;
  };
  const auto end_sequence = [&] {
    row.end_sequence = true;
    emit();
    sequence.last = rows_.size() - 1;
    sequence.low = rows_[sequence.first].address;
    sequence.high = row.address;
    // Linkers set the addresses of code that they dropped to 0 (or to the highest address).
    if (sequence.low != 0 && sequence.low < sequence.high) sequences_.push_back(sequence);
    row = initial;
    sequence.first = rows_.size();
  };
  const auto advance = [&](std::uint64_t operations) {
    row.address += operations * header.minimum_length;
  };
  const auto add_line = [&](std::int64_t delta) {
    row.line = static_cast<std::uint32_t>(row.line + static_cast<std::uint64_t>(delta));
  };

  ByteReader reader(program);
  while (!reader.at_end()) {
    const std::uint8_t op = reader.u8();
    if (op >= header.opcode_base) {
      const unsigned adjusted = static_cast<unsigned>(op - header.opcode_base);
      advance(adjusted / header.line_range);
      add_line(header.line_base + static_cast<std::int64_t>(adjusted % header.line_range));
      emit();
      continue;
    }
    switch (op) {
      case 0: {
        const std::uint64_t length = reader.uleb();
        const auto body = reader.bytes(length);
        if (!reader.ok()) return;
        ByteReader extended(body);
        switch (extended.u8()) {
          case dwarf::DW_LNE_end_sequence:
            end_sequence();
            break;
          case dwarf::DW_LNE_set_address:
            row.address = extended.unsigned_of(extended.remaining());
            break;
          default:
            break;
        }
        break;
      }
      case dwarf::DW_LNS_copy:
        emit();
        break;
      case dwarf::DW_LNS_advance_pc:
        advance(reader.uleb());
        break;
      case dwarf::DW_LNS_advance_line:
        add_line(reader.sleb());
        break;
      case dwarf::DW_LNS_set_file:
        row.file = static_cast<std::uint32_t>(reader.uleb());
        break;
      case dwarf::DW_LNS_set_column:
        row.column = static_cast<std::uint16_t>(std::min<std::uint64_t>(reader.uleb(), UINT16_MAX));
        break;
      case dwarf::DW_LNS_negate_stmt:
        row.is_statement = !row.is_statement;
        break;
      case dwarf::DW_LNS_const_add_pc:
        advance((255U - header.opcode_base) / header.line_range);
        break;
      case dwarf::DW_LNS_fixed_advance_pc:
        row.address += reader.u16();
        break;
      case dwarf::DW_LNS_set_prologue_end:
        row.prologue_end = true;
        break;
      default:  // basic block, epilogue, isa, and operations of later versions
        for (unsigned i = 0; i < header.operand_counts[op]; ++i) reader.uleb();
        break;
    }
    if (!reader.ok()) return;
  }
}

std::optional<LineTable> LineTable::parse(const Sections& sections, std::uint64_t offset,
                                          std::string_view compilation_folder) {
  LineTable table;
  table.compilation_folder_ = compilation_folder;
  Header header;
  if (!table.parse_header(sections, offset, header)) return std::nullopt;
  table.run(header, header.program);
  std::stable_sort(table.sequences_.begin(), table.sequences_.end(),
                   [](const Sequence& a, const Sequence& b) { return a.low < b.low; });
  return table;
}

const LineTable::Sequence* LineTable::sequence_at(std::uint64_t address) const {
  auto it = std::upper_bound(sequences_.begin(), sequences_.end(), address,
                             [](std::uint64_t a, const Sequence& s) { return a < s.low; });
  // Sequences of sound tables do not overlap.
  for (int back = 0; it != sequences_.begin() && back < 8; ++back) {
    --it;
    if (address < it->high) return &*it;
  }
  return nullptr;
}

std::size_t LineTable::row_at(const Sequence& sequence, std::uint64_t address) const {
  const auto first = rows_.begin() + static_cast<std::ptrdiff_t>(sequence.first);
  const auto last = rows_.begin() + static_cast<std::ptrdiff_t>(sequence.last);
  const auto after = std::upper_bound(first, last, address,
                                      [](std::uint64_t a, const Row& r) { return a < r.address; });
  const auto offset = static_cast<std::size_t>(after - first);
  return sequence.first + (offset == 0 ? 0 : offset - 1);
}

const LineTable::Row* LineTable::at(std::uint64_t address) const {
  const Sequence* sequence = sequence_at(address);
  return sequence != nullptr ? &rows_[row_at(*sequence, address)] : nullptr;
}

std::vector<LineTable::Row> LineTable::between(std::uint64_t low, std::uint64_t high) const {
  std::vector<Row> rows;
  const Sequence* sequence = sequence_at(low);
  if (sequence == nullptr) return rows;
  for (std::size_t i = row_at(*sequence, low); i < sequence->last; ++i) {
    if (rows_[i].address >= high) break;
    rows.push_back(rows_[i]);
  }
  return rows;
}

std::string LineTable::file(std::uint64_t number) const {
  if (number >= files_.size()) return {};
  const File& entry = files_[static_cast<std::size_t>(number)];
  if (entry.name.empty()) return {};
  std::string path(entry.name);
  if (path.front() == '/') return path;
  const auto prepend = [&](std::string_view folder) {
    if (!folder.empty()) {
      path = std::string(folder) + (folder.back() == '/' ? "" : "/") + path;
    }
  };
  if (entry.folder < folders_.size()) prepend(folders_[static_cast<std::size_t>(entry.folder)]);
  if (path.front() != '/') prepend(compilation_folder_);
  return path;
}

}  // namespace culprit::binary
