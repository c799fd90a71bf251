#include "binary/cfi.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "binary/byte_reader.h"
#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;

constexpr std::size_t kMaxFdes = 4U << 20;
constexpr std::size_t kMaxRememberedStates = 64;
// Not in llvm/BinaryFormat/Dwarf.def (gcc's include/dwarf2.def).
constexpr std::uint8_t kGnuNegativeOffsetExtended = 0x2F;
// Go's linker writes all CIEs with this factor (cmd/link/internal/ld/dwarf.go,
// dataAlignmentFactor); gcc and clang use -8 on x86-64.
constexpr std::int64_t kGoDataAlignment = -4;

// A DW_EH_PE encoded pointer. `address` is that of the reader's first byte; `data_base` what
// DW_EH_PE_datarel counts from.
std::optional<std::uint64_t> read_encoded(ByteReader& reader, std::uint8_t encoding,
                                          std::uint64_t address, std::uint64_t data_base) {
  if (encoding == dwarf::DW_EH_PE_omit) return std::nullopt;
  std::uint64_t base = 0;
  switch (encoding & 0x70U) {
    case dwarf::DW_EH_PE_absptr:
      break;
    case dwarf::DW_EH_PE_pcrel:
      base = address + reader.offset();
      break;
    case dwarf::DW_EH_PE_datarel:
      base = data_base;
      break;
    default:
      return std::nullopt;
  }
  std::uint64_t value = 0;
  switch (encoding & 0x0FU) {
    case dwarf::DW_EH_PE_absptr:
    case dwarf::DW_EH_PE_udata8:
    case dwarf::DW_EH_PE_sdata8:
      value = reader.u64();
      break;
    case dwarf::DW_EH_PE_uleb128:
      value = reader.uleb();
      break;
    case dwarf::DW_EH_PE_sleb128:
      value = static_cast<std::uint64_t>(reader.sleb());
      break;
    case dwarf::DW_EH_PE_udata2:
      value = reader.u16();
      break;
    case dwarf::DW_EH_PE_udata4:
      value = reader.u32();
      break;
    case dwarf::DW_EH_PE_sdata2:
      value = static_cast<std::uint64_t>(std::int64_t{reader.fixed<std::int16_t>()});
      break;
    case dwarf::DW_EH_PE_sdata4:
      value = static_cast<std::uint64_t>(std::int64_t{reader.fixed<std::int32_t>()});
      break;
    default:
      return std::nullopt;
  }
  if (!reader.ok()) return std::nullopt;
  return base + value;
}

// Wraps like the machine does: overflow of untrusted numbers must not be undefined behaviour.
std::int64_t wrap_mul(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

}  // namespace

struct CfiTable::Cie {
  std::uint8_t version = 0;
  std::uint64_t code_alignment = 1;
  std::int64_t data_alignment = 1;
  std::uint64_t return_register = kDwarfReturnAddress;
  bool has_augmentation_data = false;
  bool signal_frame = false;
  std::uint8_t pointer_encoding = dwarf::DW_EH_PE_absptr;
  std::span<const std::byte> instructions;
  std::uint64_t instructions_address = 0;
};

struct CfiTable::Fde {
  Cie cie;
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::span<const std::byte> instructions;
  std::uint64_t instructions_address = 0;
};

namespace {

// The header common to CIEs and FDEs.
struct EntryHeader {
  std::size_t id_offset = 0;  // where the CIE id / pointer stands
  std::uint64_t id = 0;
  std::size_t body = 0;  // first byte after the id
  std::size_t end = 0;   // first byte after the entry
  bool wide = false;
};

// Nothing at a terminator or on malformed input.
std::optional<EntryHeader> read_entry(std::span<const std::byte> bytes, std::size_t offset,
                                      bool eh) {
  ByteReader reader(bytes, offset);
  EntryHeader entry;
  std::uint64_t length = reader.u32();
  if (length == 0xFFFFFFFF) {
    entry.wide = true;
    length = reader.u64();
  }
  if (!reader.ok() || length == 0 || length > reader.remaining()) return std::nullopt;
  entry.end = reader.offset() + static_cast<std::size_t>(length);
  entry.id_offset = reader.offset();
  // .eh_frame's CIE pointer has four bytes also in the extended-length form.
  entry.id = entry.wide && !eh ? reader.u64() : reader.u32();
  if (!reader.ok() || reader.offset() > entry.end) return std::nullopt;
  entry.body = reader.offset();
  return entry;
}

bool is_cie(const EntryHeader& entry, bool eh) {
  if (eh) return entry.id == 0;
  return entry.id == (entry.wide ? ~std::uint64_t{0} : 0xFFFFFFFF);
}

}  // namespace

CfiTable::CfiTable(ElfFile& main, ElfFile* debug) : go_(main.is_go()) {
  // The header is found by its program header, which also a file without sections has.
  for (const ElfFile::Segment& s : main.segments()) {
    if (s.type != PT_GNU_EH_FRAME) continue;
    const auto bytes = main.at_address(s.address, s.memory_size);
    ByteReader reader(bytes);
    const std::uint8_t version = reader.u8();
    const std::uint8_t frame_encoding = reader.u8();
    const std::uint8_t count_encoding = reader.u8();
    const std::uint8_t table_encoding = reader.u8();
    if (!reader.ok() || version != 1) break;
    const auto frame = read_encoded(reader, frame_encoding, s.address, s.address);
    if (!frame) break;
    eh_.bytes = main.at_address(*frame, ~std::uint64_t{0});
    eh_.address = *frame;
    eh_.eh = true;
    const auto count = read_encoded(reader, count_encoding, s.address, s.address);
    if (!count || table_encoding != (dwarf::DW_EH_PE_datarel | dwarf::DW_EH_PE_sdata4)) break;
    if (*count > reader.remaining() / 8) break;
    header_table_ = reader.bytes(*count * 8);
    header_address_ = s.address;
    break;
  }
  if (const ElfFile::Section* s = main.section(".eh_frame"); s != nullptr) {
    // The section bounds it better than the segment does.
    if (const auto bytes = main.contents(*s); bytes && !bytes->empty()) {
      if (eh_.bytes.empty() || eh_.address == s->address) {
        eh_.bytes = *bytes;
        eh_.address = s->address;
        eh_.eh = true;
      }
    }
  }
  debug_.bytes = main.contents_of(".debug_frame");
  if (debug_.bytes.empty()) debug_.bytes = main.contents_of(".zdebug_frame");
  if (debug_.bytes.empty() && debug != nullptr) debug_.bytes = debug->contents_of(".debug_frame");
}

std::optional<CfiTable::Cie> CfiTable::read_cie(const Section& section, std::size_t offset) const {
  const auto entry = read_entry(section.bytes, offset, section.eh);
  if (!entry || !is_cie(*entry, section.eh)) return std::nullopt;
  const auto bytes = section.bytes.first(entry->end);
  ByteReader reader(bytes, entry->body);
  Cie cie;
  cie.version = reader.u8();
  if (cie.version != 1 && cie.version != 3 && cie.version != 4) return std::nullopt;
  const std::string_view augmentation = reader.c_string();
  if (cie.version == 4) {
    const std::uint8_t address_size = reader.u8();
    const std::uint8_t segment_size = reader.u8();
    if (address_size != 8 || segment_size != 0) return std::nullopt;
  }
  cie.code_alignment = reader.uleb();
  cie.data_alignment = reader.sleb();
  cie.return_register = cie.version == 1 ? reader.u8() : reader.uleb();
  if (!reader.ok() || cie.return_register != kDwarfReturnAddress) return std::nullopt;
  if (!augmentation.empty()) {
    if (augmentation[0] != 'z') return std::nullopt;
    cie.has_augmentation_data = true;
    const std::uint64_t size = reader.uleb();
    if (!reader.ok() || size > reader.remaining()) return std::nullopt;
    const std::size_t data_end = reader.offset() + static_cast<std::size_t>(size);
    for (const char c : augmentation.substr(1)) {
      if (c == 'R') {
        cie.pointer_encoding = reader.u8();
      } else if (c == 'P') {
        const std::uint8_t encoding = reader.u8();
        if (encoding == dwarf::DW_EH_PE_aligned) return std::nullopt;
        (void)read_encoded(reader, encoding & 0x7FU, section.address, 0);
      } else if (c == 'L') {
        reader.u8();
      } else if (c == 'S') {
        cie.signal_frame = true;
      } else if (c != 'B' && c != 'G') {
        break;  // unknown letters: their data is skipped by the size
      }
    }
    if (!reader.ok()) return std::nullopt;
    reader.seek(data_end);
  }
  if (!reader.ok()) return std::nullopt;
  cie.instructions_address = section.address + reader.offset();
  cie.instructions = reader.bytes(reader.remaining());
  return cie;
}

std::optional<CfiTable::Fde> CfiTable::read_fde(const Section& section, std::size_t offset) const {
  const auto entry = read_entry(section.bytes, offset, section.eh);
  if (!entry || is_cie(*entry, section.eh)) return std::nullopt;
  // .eh_frame: distance back from the pointer itself; .debug_frame: offset in the section.
  if (section.eh && entry->id > entry->id_offset) return std::nullopt;
  const std::uint64_t cie_offset = section.eh ? entry->id_offset - entry->id : entry->id;
  if (cie_offset >= section.bytes.size()) return std::nullopt;
  auto cie = read_cie(section, static_cast<std::size_t>(cie_offset));
  if (!cie) return std::nullopt;
  Fde fde;
  fde.cie = *cie;
  ByteReader reader(section.bytes.first(entry->end), entry->body);
  const auto low = read_encoded(reader, cie->pointer_encoding, section.address, 0);
  const auto size = read_encoded(reader, cie->pointer_encoding & 0x0FU, section.address, 0);
  if (!low || !size) return std::nullopt;
  fde.low = *low;
  fde.high = *low + *size;
  if (fde.high < fde.low) return std::nullopt;
  if (cie->has_augmentation_data) reader.skip(reader.uleb());
  if (!reader.ok()) return std::nullopt;
  fde.instructions_address = section.address + reader.offset();
  fde.instructions = reader.bytes(reader.remaining());
  return fde;
}

std::optional<std::size_t> CfiTable::search_header(std::uint64_t address) const {
  const std::size_t count = header_table_.size() / 8;
  const auto at = [&](std::size_t index, std::size_t field) {
    std::int32_t value = 0;
    std::memcpy(&value, header_table_.data() + index * 8 + field, 4);
    return header_address_ + static_cast<std::uint64_t>(std::int64_t{value});
  };
  std::size_t low = 0;
  std::size_t high = count;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (at(middle, 0) <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return std::nullopt;
  const std::uint64_t fde = at(low - 1, 4);
  if (fde < eh_.address || fde - eh_.address >= eh_.bytes.size()) return std::nullopt;
  return static_cast<std::size_t>(fde - eh_.address);
}

std::vector<CfiTable::FdeEntry> CfiTable::build_index(const Section& section) const {
  std::vector<FdeEntry> index;
  // Only ranges are kept; CIEs repeat, so the last one is remembered.
  std::size_t cie_offset = ~std::size_t{0};
  std::optional<Cie> cie;
  std::size_t offset = 0;
  while (offset < section.bytes.size() && index.size() < kMaxFdes) {
    const auto entry = read_entry(section.bytes, offset, section.eh);
    if (!entry) {
      // A terminator may stand between the parts of two object files.
      ByteReader reader(section.bytes, offset);
      if (reader.u32() != 0 || !reader.ok()) break;
      offset += 4;
      continue;
    }
    if (!is_cie(*entry, section.eh) && !(section.eh && entry->id > entry->id_offset)) {
      const std::uint64_t wanted = section.eh ? entry->id_offset - entry->id : entry->id;
      if (wanted != cie_offset && wanted < section.bytes.size()) {
        cie_offset = static_cast<std::size_t>(wanted);
        cie = read_cie(section, cie_offset);
      }
      if (cie && wanted == cie_offset) {
        ByteReader reader(section.bytes.first(entry->end), entry->body);
        const auto low = read_encoded(reader, cie->pointer_encoding, section.address, 0);
        const auto size = read_encoded(reader, cie->pointer_encoding & 0x0FU, section.address, 0);
        if (low && size && *size != 0 && *low + *size > *low) {
          index.push_back({*low, *low + *size, offset});
        }
      }
    }
    offset = entry->end;
  }
  std::sort(index.begin(), index.end(),
            [](const FdeEntry& a, const FdeEntry& b) { return a.low < b.low; });
  return index;
}

const CfiTable::FdeEntry* CfiTable::search(const std::vector<FdeEntry>& index,
                                           std::uint64_t address) {
  auto it = std::upper_bound(index.begin(), index.end(), address,
                             [](std::uint64_t a, const FdeEntry& f) { return a < f.low; });
  for (int back = 0; it != index.begin() && back < 4; ++back) {
    --it;
    if (address < it->high) return &*it;
  }
  return nullptr;
}

CfiTable::Answer CfiTable::find(std::uint64_t address) const {
  Answer answer;
  const auto use = [&](const Section& section, std::size_t offset) {
    const auto fde = read_fde(section, offset);
    if (!fde) {
      answer.lookup = Lookup::malformed;
      return false;
    }
    if (address < fde->low || address >= fde->high) return false;
    const auto row = run(section, *fde, address);
    answer.lookup = row ? Lookup::found : Lookup::malformed;
    if (row) answer.row = *row;
    return row.has_value();
  };
  if (!eh_.bytes.empty()) {
    if (!header_table_.empty()) {
      if (const auto offset = search_header(address); offset && use(eh_, *offset)) return answer;
    } else {
      if (!eh_indexed_) eh_index_ = build_index(eh_);
      eh_indexed_ = true;
      const FdeEntry* entry = search(eh_index_, address);
      if (entry != nullptr && use(eh_, entry->offset)) return answer;
    }
  }
  if (!debug_.bytes.empty()) {
    if (!debug_indexed_) debug_index_ = build_index(debug_);
    debug_indexed_ = true;
    const FdeEntry* entry = search(debug_index_, address);
    if (entry != nullptr && use(debug_, entry->offset)) return answer;
  }
  return answer;
}

std::optional<CfiRow> CfiTable::run(const Section& section, const Fde& fde,
                                    std::uint64_t address) const {
  CfiRow row;
  row.from_debug_frame = !section.eh;
  row.signal_frame = fde.cie.signal_frame;
  row.go = go_ && !section.eh && fde.cie.data_alignment == kGoDataAlignment;
  row.low = fde.low;
  row.high = fde.high;

  CfiRow initial = row;
  std::vector<CfiRow> remembered;
  std::uint64_t location = fde.low;
  bool cfa_defined = false;

  // Runs one instruction stream; false on malformed input. Stops at the first row past `address`.
  const auto execute = [&](std::span<const std::byte> code, std::uint64_t code_address,
                           bool in_cie) {
    ByteReader reader(code);
    const auto set = [&](std::uint64_t reg, RegisterRule rule) {
      // Registers that are not tracked (xmm, ...) are skipped.
      if (reg < kCfiRegisters) row.registers[static_cast<std::size_t>(reg)] = rule;
    };
    const auto factored = [&](std::int64_t value) {
      return wrap_mul(value, fde.cie.data_alignment);
    };
    const auto restore = [&](std::uint64_t reg) {
      if (reg < kCfiRegisters) {
        row.registers[static_cast<std::size_t>(reg)] =
            initial.registers[static_cast<std::size_t>(reg)];
      }
    };
    bool past = false;
    const auto advance = [&](std::uint64_t delta) {
      location += delta * fde.cie.code_alignment;
      past = location > address;
    };
    using Kind = RegisterRule::Kind;
    while (!reader.at_end() && !past) {
      const std::uint8_t op = reader.u8();
      const std::uint64_t low6 = op & 0x3FU;
      switch (op & 0xC0U) {
        case dwarf::DW_CFA_advance_loc:
          advance(low6);
          continue;
        case dwarf::DW_CFA_offset:
          set(low6, {Kind::offset, factored(static_cast<std::int64_t>(reader.uleb())), {}});
          continue;
        case dwarf::DW_CFA_restore:
          restore(low6);
          continue;
        default:
          break;
      }
      switch (op) {
        case dwarf::DW_CFA_nop:
          break;
        case dwarf::DW_CFA_set_loc: {
          const auto next = read_encoded(reader, fde.cie.pointer_encoding, code_address, 0);
          if (!next) return false;
          location = *next;
          past = location > address;
          break;
        }
        case dwarf::DW_CFA_advance_loc1:
          advance(reader.u8());
          break;
        case dwarf::DW_CFA_advance_loc2:
          advance(reader.u16());
          break;
        case dwarf::DW_CFA_advance_loc4:
          advance(reader.u32());
          break;
        case dwarf::DW_CFA_offset_extended: {
          const std::uint64_t reg = reader.uleb();
          set(reg, {Kind::offset, factored(static_cast<std::int64_t>(reader.uleb())), {}});
          break;
        }
        case dwarf::DW_CFA_offset_extended_sf: {
          const std::uint64_t reg = reader.uleb();
          set(reg, {Kind::offset, factored(reader.sleb()), {}});
          break;
        }
        case kGnuNegativeOffsetExtended: {
          const std::uint64_t reg = reader.uleb();
          const auto value = static_cast<std::int64_t>(std::uint64_t{0} - reader.uleb());
          set(reg, {Kind::offset, factored(value), {}});
          break;
        }
        case dwarf::DW_CFA_val_offset: {
          const std::uint64_t reg = reader.uleb();
          set(reg, {Kind::val_offset, factored(static_cast<std::int64_t>(reader.uleb())), {}});
          break;
        }
        case dwarf::DW_CFA_val_offset_sf: {
          const std::uint64_t reg = reader.uleb();
          set(reg, {Kind::val_offset, factored(reader.sleb()), {}});
          break;
        }
        case dwarf::DW_CFA_restore_extended:
          restore(reader.uleb());
          break;
        case dwarf::DW_CFA_undefined:
          set(reader.uleb(), {Kind::undefined, 0, {}});
          break;
        case dwarf::DW_CFA_same_value:
          set(reader.uleb(), {Kind::same_value, 0, {}});
          break;
        case dwarf::DW_CFA_register: {
          const std::uint64_t reg = reader.uleb();
          set(reg, {Kind::reg, static_cast<std::int64_t>(reader.uleb()), {}});
          break;
        }
        case dwarf::DW_CFA_expression:
        case dwarf::DW_CFA_val_expression: {
          const std::uint64_t reg = reader.uleb();
          const auto expression = reader.bytes(reader.uleb());
          set(reg, {op == dwarf::DW_CFA_expression ? Kind::expression : Kind::val_expression, 0,
                    expression});
          break;
        }
        case dwarf::DW_CFA_remember_state:
          if (in_cie || remembered.size() == kMaxRememberedStates) return false;
          remembered.push_back(row);
          break;
        case dwarf::DW_CFA_restore_state:
          if (remembered.empty()) return false;
          row = remembered.back();
          remembered.pop_back();
          break;
        case dwarf::DW_CFA_def_cfa:
          row.cfa_is_expression = false;
          row.cfa_register = reader.uleb();
          row.cfa_offset = static_cast<std::int64_t>(reader.uleb());
          cfa_defined = true;
          break;
        case dwarf::DW_CFA_def_cfa_sf:
          row.cfa_is_expression = false;
          row.cfa_register = reader.uleb();
          row.cfa_offset = factored(reader.sleb());
          cfa_defined = true;
          break;
        case dwarf::DW_CFA_def_cfa_register:
          row.cfa_is_expression = false;
          row.cfa_register = reader.uleb();
          break;
        case dwarf::DW_CFA_def_cfa_offset:
          row.cfa_offset = static_cast<std::int64_t>(reader.uleb());
          break;
        case dwarf::DW_CFA_def_cfa_offset_sf:
          row.cfa_offset = factored(reader.sleb());
          break;
        case dwarf::DW_CFA_def_cfa_expression:
          row.cfa_expression = reader.bytes(reader.uleb());
          row.cfa_is_expression = true;
          cfa_defined = true;
          break;
        case dwarf::DW_CFA_GNU_args_size:
          reader.uleb();
          break;
        default:
          return false;
      }
      if (!reader.ok()) return false;
    }
    return true;
  };

  if (!execute(fde.cie.instructions, fde.cie.instructions_address, true)) return std::nullopt;
  initial = row;
  location = fde.low;
  if (!execute(fde.instructions, fde.instructions_address, false)) return std::nullopt;
  if (!cfa_defined) return std::nullopt;
  return row;
}

}  // namespace culprit::binary
