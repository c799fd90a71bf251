#include "binary/symbol_table.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "binary/byte_reader.h"

namespace culprit::binary {
namespace {

// More symbols than the largest shared libraries have; bounds memory on hostile input.
constexpr std::size_t kMaxSymbols = 8U << 20;
// Symbols may nest (aliases, hand-written assembly); looking further back finds nothing real.
constexpr int kMaxLookBack = 64;

// "memcpy@@GLIBC_2.14" names memcpy: link editors put versions into .symtab names.
std::string_view without_version(std::string_view name) {
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos || at == 0 || at + 1 >= name.size()) return name;
  const char next = name[at + 1];
  return next == '@' || (next >= 'A' && next <= 'Z') ? name.substr(0, at) : name;
}

}  // namespace

SymbolTable::SymbolTable(ElfFile& main, ElfFile* debug) {
  for (const ElfFile::Section& s : main.sections()) {
    if ((s.flags & SHF_ALLOC) == 0 || s.size == 0 || (s.flags & SHF_TLS) != 0) continue;
    if (s.address + s.size < s.address) continue;
    sections_.push_back({s.address, s.address + s.size, (s.flags & SHF_EXECINSTR) != 0});
  }
  std::sort(sections_.begin(), sections_.end(),
            [](const SectionRange& a, const SectionRange& b) { return a.begin < b.begin; });
  add(main, SHT_SYMTAB);
  if (debug != nullptr) add(*debug, SHT_SYMTAB);
  add(main, SHT_DYNSYM);
  // Of several symbols at one address the best comes last, where at() looks first.
  const auto rank = [](const Symbol& s) {
    const int kind = s.kind == Kind::function ? 2 : s.kind == Kind::object ? 1 : 0;
    return std::tuple(kind, s.size != 0, s.global);
  };
  std::sort(symbols_.begin(), symbols_.end(), [&](const Symbol& a, const Symbol& b) {
    if (a.address != b.address) return a.address < b.address;
    const auto ra = rank(a);
    const auto rb = rank(b);
    if (ra != rb) return ra < rb;
    return std::tie(b.name, a.size) < std::tie(a.name, b.size);
  });
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end(),
                             [](const Symbol& a, const Symbol& b) {
                               return a.address == b.address && a.name == b.name &&
                                      a.kind == b.kind;
                             }),
                 symbols_.end());
}

void SymbolTable::add(ElfFile& file, std::uint32_t section_type) {
  for (const ElfFile::Section& s : file.sections()) {
    if (s.type != section_type || s.link >= file.sections().size()) continue;
    const auto table = file.contents(s);
    const auto strings = file.contents(file.sections()[s.link]);
    if (!table || !strings) continue;
    const std::size_t count = table->size() / sizeof(Elf64_Sym);
    for (std::size_t i = 1; i < count && symbols_.size() + thread_local_.size() < kMaxSymbols;
         ++i) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, table->data() + i * sizeof(Elf64_Sym), sizeof(symbol));
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS) continue;
      Kind kind = Kind::other;
      switch (ELF64_ST_TYPE(symbol.st_info)) {
        case STT_FUNC:
        case STT_GNU_IFUNC:
          kind = Kind::function;
          break;
        case STT_OBJECT:
        case STT_COMMON:
          kind = Kind::object;
          break;
        case STT_TLS:
          kind = Kind::tls;
          break;
        case STT_NOTYPE:
          break;
        default:
          continue;
      }
      ByteReader reader(*strings, symbol.st_name);
      const std::string_view name = reader.c_string();
      if (!reader.ok() || name.empty()) continue;
      auto& list = kind == Kind::tls ? thread_local_ : symbols_;
      list.push_back({symbol.st_value, symbol.st_size, without_version(name), kind,
                      ELF64_ST_BIND(symbol.st_info) != STB_LOCAL});
    }
  }
}

const SymbolTable::SectionRange* SymbolTable::section_of(std::uint64_t address) const {
  auto it = std::upper_bound(sections_.begin(), sections_.end(), address,
                             [](std::uint64_t a, const SectionRange& s) { return a < s.begin; });
  if (it == sections_.begin()) return nullptr;
  --it;
  return address < it->end ? &*it : nullptr;
}

const SymbolTable::Symbol* SymbolTable::at(std::uint64_t address, bool code) const {
  auto it = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                             [](std::uint64_t a, const Symbol& s) { return a < s.address; });
  const SectionRange* section = section_of(address);
  const Symbol* unsized = nullptr;
  for (int back = 0; it != symbols_.begin() && back < kMaxLookBack; ++back) {
    const Symbol& s = *--it;
    if (s.kind == Kind::function && !code) continue;
    if (s.kind == Kind::object && code) continue;
    if (s.size != 0) {
      if (address - s.address < s.size) return &s;
      continue;
    }
    // A symbol without a size reaches as far as its section at most.
    if (unsized == nullptr && section != nullptr && section->code == code &&
        s.address >= section->begin) {
      unsized = &s;
    }
  }
  if (unsized == nullptr) return nullptr;
  return address < end_of(*unsized) ? unsized : nullptr;
}

std::uint64_t SymbolTable::end_of(const Symbol& symbol) const {
  if (symbol.size != 0) return symbol.address + symbol.size;
  const auto next =
      std::upper_bound(symbols_.begin(), symbols_.end(), symbol.address,
                       [](std::uint64_t a, const Symbol& s) { return a < s.address; });
  const SectionRange* section = section_of(symbol.address);
  const std::uint64_t limit = section != nullptr ? section->end : symbol.address;
  if (next == symbols_.end()) return limit;
  return std::min(limit, next->address);
}

std::vector<const SymbolTable::Symbol*> SymbolTable::named(std::string_view name) const {
  std::vector<const Symbol*> found;
  for (const Symbol& s : symbols_) {
    if (s.name.size() == name.size() && s.name == name) found.push_back(&s);
  }
  for (const Symbol& s : thread_local_) {
    if (s.name == name) found.push_back(&s);
  }
  return found;
}

const SymbolTable::Symbol* SymbolTable::thread_local_at(std::uint64_t offset) const {
  for (const Symbol& s : thread_local_) {
    if (offset >= s.address && offset - s.address < std::max<std::uint64_t>(s.size, 1)) return &s;
  }
  return nullptr;
}

}  // namespace culprit::binary
