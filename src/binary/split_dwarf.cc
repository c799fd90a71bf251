#include "binary/split_dwarf.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "binary/byte_reader.h"
#include "binary/dwarf_index.h"
#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;
using llvm::DWARFDie;
using llvm::DWARFUnit;

// A process may have 65,530 mappings (vm.max_map_count).
constexpr std::size_t kMaxFiles = 16384;
constexpr std::size_t kLargeFile = std::size_t{64} << 20;
constexpr std::size_t kMaxOpenedForAll = 4096;
constexpr std::size_t kMaxName = 4096;
constexpr std::size_t kMaxTypeSections = 1U << 16;
constexpr std::uint32_t kMaxColumns = 16;

std::optional<std::span<const std::byte>> cut(std::span<const std::byte> section,
                                              std::uint64_t offset, std::uint64_t size) {
  if (offset > section.size() || size > section.size() - offset) return std::nullopt;
  return section.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

// The section of a column of the index; null for those that are not needed here.
std::span<const std::byte> DwarfSections::*column(std::uint32_t kind, bool gnu) {
  switch (kind) {
    case 1:
      return &DwarfSections::info;
    case 3:
      return &DwarfSections::abbrev;
    case 5:
      return gnu ? &DwarfSections::loc : &DwarfSections::loclists;
    case 6:
      return &DwarfSections::str_offsets;
    case 8:
      return gnu ? nullptr : &DwarfSections::rnglists;
    default:
      return nullptr;
  }
}

}  // namespace

std::optional<DwarfSections> package_part(const DwarfSections& package,
                                          std::span<const std::byte> index, std::uint64_t id) {
  ByteReader header(index);
  const std::uint32_t version = header.u32();  // of DWARF 5 two bytes, and two of padding
  const std::uint32_t columns = header.u32();
  const std::uint32_t units = header.u32();
  const std::uint32_t slots = header.u32();
  const bool gnu = version == 2;
  if (!header.ok() || (!gnu && (version & 0xFFFF) != 5) || columns == 0 || columns > kMaxColumns ||
      slots == 0 || (slots & (slots - 1)) != 0) {
    return std::nullopt;
  }
  const std::uint64_t ids = 16;
  const std::uint64_t rows = ids + std::uint64_t{slots} * 8;
  const std::uint64_t kinds = rows + std::uint64_t{slots} * 4;
  const std::uint64_t offsets = kinds + std::uint64_t{columns} * 4;
  const std::uint64_t sizes = offsets + std::uint64_t{units} * columns * 4;
  if (sizes + std::uint64_t{units} * columns * 4 > index.size()) return std::nullopt;
  const auto number = [&](std::uint64_t at) {
    return ByteReader(index, static_cast<std::size_t>(at)).u32();
  };

  const std::uint32_t mask = slots - 1;
  auto slot = static_cast<std::uint32_t>(id) & mask;
  const std::uint32_t step = (static_cast<std::uint32_t>(id >> 32) & mask) | 1U;
  std::uint32_t row = 0;
  for (std::uint32_t tried = 0; tried < slots; ++tried, slot = (slot + step) & mask) {
    row = number(rows + std::uint64_t{slot} * 4);
    if (row == 0) return std::nullopt;
    const auto at = static_cast<std::size_t>(ids + std::uint64_t{slot} * 8);
    if (ByteReader(index, at).u64() == id) break;
    row = 0;
  }
  if (row == 0 || row > units) return std::nullopt;

  DwarfSections part;
  part.str = package.str;
  for (std::uint32_t i = 0; i < columns; ++i) {
    const auto section = column(number(kinds + std::uint64_t{i} * 4), gnu);
    if (section == nullptr) continue;
    const std::uint64_t cell = (std::uint64_t{row - 1} * columns + i) * 4;
    const auto bytes = cut(package.*section, number(offsets + cell), number(sizes + cell));
    if (!bytes) return std::nullopt;
    part.*section = *bytes;
  }
  return part;
}

struct SplitDwarf::File {
  std::unique_ptr<ElfFile> elf;
  DwarfSections sections;
  std::span<const std::byte> index;              ///< of a package
  std::unique_ptr<CheckedDwarfContext> context;  ///< of a .dwo file, made at the first need
};

SplitDwarf::SplitDwarf(CheckedDwarfContext& skeletons, std::vector<std::string> module_paths)
    : skeletons_(skeletons), module_paths_(std::move(module_paths)) {}

SplitDwarf::~SplitDwarf() = default;

std::optional<std::string> SplitDwarf::split_name(DWARFUnit& unit) {
  // Of DWARF 4 only units of files with indexed addresses can be skeletons: the roots of all others
  // need not be read.
  const bool may_be = unit.getVersion() >= 5 ? unit.getUnitType() == dwarf::DW_UT_skeleton
                                             : !skeletons_.sections().addr.empty();
  if (!may_be || unit.isTypeUnit() || !skeletons_.root_usable(unit)) return std::nullopt;
  const DWARFDie root = unit.getUnitDIE();
  if (!root) return std::nullopt;
  const auto value = root.find({dwarf::DW_AT_dwo_name, dwarf::DW_AT_GNU_dwo_name});
  if (!value && unit.getVersion() < 5) return std::nullopt;
  return dwarf::toStringRef(value).substr(0, kMaxName).str();
}

const SplitDwarf::Found& SplitDwarf::full_unit(DWARFUnit& unit) {
  const auto [it, fresh] = found_.try_emplace(&unit);
  if (!fresh) return it->second;
  if (const auto name = split_name(unit)) {
    ++looked_for_;
    it->second = look_for(unit, *name);
    if (DWARFUnit* full = it->second.unit) attach(*full, unit);
  }
  return it->second;
}

std::vector<DWARFUnit*> SplitDwarf::full_units() {
  std::vector<DWARFUnit*> all;
  for (const auto& unit : skeletons_.info_section_units()) {
    const bool known = found_.contains(unit.get());
    if (!known && opened_for_all_ >= kMaxOpenedForAll) continue;
    const Found& found = full_unit(*unit);
    if (!known && (found.unit != nullptr || !found.problem.empty())) ++opened_for_all_;
    if (found.unit != nullptr) all.push_back(found.unit);
  }
  return all;
}

void SplitDwarf::drop_pages() const {
  for (const auto& [path, file] : files_) {
    if (file != nullptr && file->elf->bytes().size() > kLargeFile) file->elf->drop_pages();
  }
}

SplitDwarf::Found SplitDwarf::look_for(DWARFUnit& skeleton, const std::string& name) {
  Found out;
  const DWARFDie root = skeleton.getUnitDIE();
  const std::uint16_t version = skeleton.getVersion();
  const std::string file = "it is in the split file " + name;
  const auto id = version >= 5 ? skeleton.getDWOId() : die_unsigned(root, dwarf::DW_AT_GNU_dwo_id);
  if (!id) {
    out.problem = file + ", and no id says which part of that";
    return out;
  }
  out.unit = in_package(*id, version);
  if (out.unit != nullptr) return out;

  std::vector<std::string> paths;
  const std::filesystem::path given(name);
  const std::filesystem::path folder(
      dwarf::toStringRef(root.find(dwarf::DW_AT_comp_dir)).substr(0, kMaxName).str());
  const auto add = [&](const std::filesystem::path& path) {
    std::string text = path.string();
    if (!path.is_absolute() || path.filename().empty()) return;
    if (std::find(paths.begin(), paths.end(), text) == paths.end()) {
      paths.push_back(std::move(text));
    }
  };
  add(folder / given);
  // Builds that must not name their folder have "." for it: then it is the module's. Or the files
  // have come along with the module.
  for (const std::string& module : module_paths_) {
    const std::filesystem::path beside = std::filesystem::path(module).parent_path();
    add(beside / folder / given);
    add(beside / given.filename());
  }
  std::string trouble = ", which was not found";
  for (const std::string& path : paths) {
    std::string problem;
    File* opened = open(path, problem);
    if (opened == nullptr) {
      if (!problem.empty()) trouble = ", which cannot be read: " + problem;
      continue;
    }
    if (opened->context == nullptr) {
      opened->context = std::make_unique<CheckedDwarfContext>(opened->sections, true);
    }
    out.unit = in_context(*opened->context, *id, version);
    if (out.unit != nullptr) return out;
    trouble = ", and the one at " + path + " is of another build";
  }
  out.problem = file + trouble;
  return out;
}

SplitDwarf::File* SplitDwarf::open(const std::string& path, std::string& problem) {
  if (const auto known = files_.find(path); known != files_.end()) return known->second.get();
  if (files_.size() >= kMaxFiles) {
    problem = "too many such files";
    return nullptr;
  }
  std::unique_ptr<File>& kept = files_[path];
  auto elf = ElfFile::open(path);
  if (!elf.ok()) {
    if (elf.error().code != ErrorCode::io) problem = elf.error().message;
    return nullptr;
  }
  auto file = std::make_unique<File>();
  file->elf = std::move(elf).value();
  const auto load = [&](const std::string& name) {
    return file->elf->contents_of(".debug_" + name + ".dwo");
  };
  DwarfSections& s = file->sections;
  const auto load_all = [&](std::string_view name, std::span<const std::byte>& first,
                            std::vector<std::span<const std::byte>>& more) {
    for (const ElfFile::Section& section : file->elf->sections()) {
      if (section.name != name || more.size() >= kMaxTypeSections) continue;
      const auto bytes = file->elf->contents(section);
      if (!bytes.ok() || bytes->empty()) continue;
      if (first.empty()) {
        first = *bytes;
      } else {
        more.push_back(*bytes);
      }
    }
  };
  load_all(".debug_info.dwo", s.info, s.more_info);
  load_all(".debug_types.dwo", s.types, s.more_types);
  s.abbrev = load("abbrev");
  s.str = load("str");
  s.str_offsets = load("str_offsets");
  s.rnglists = load("rnglists");
  s.loc = load("loc");
  s.loclists = load("loclists");
  file->index = file->elf->contents_of(".debug_cu_index");
  if (s.info.empty() || s.abbrev.empty()) {
    problem = path + " holds no split debug information";
    return nullptr;
  }
  kept = std::move(file);
  return kept.get();
}

DWARFUnit* SplitDwarf::in_package(std::uint64_t id, std::uint16_t version) {
  if (!packages_opened_) {
    packages_opened_ = true;
    for (const std::string& module : module_paths_) {
      std::string problem;
      File* package = module.empty() ? nullptr : open(module + ".dwp", problem);
      // Offsets in a package's index have 32 bits, whatever its size.
      if (package == nullptr || package->index.empty() ||
          package->elf->bytes().size() > UINT32_MAX) {
        continue;
      }
      if (std::find(packages_.begin(), packages_.end(), package) == packages_.end()) {
        packages_.push_back(package);
      }
    }
  }
  for (const File* package : packages_) {
    const auto part = package_part(package->sections, package->index, id);
    if (!part || part->info.empty() || part->abbrev.empty()) continue;
    auto context = std::make_unique<CheckedDwarfContext>(*part, true);
    if (DWARFUnit* unit = in_context(*context, id, version)) {
      parts_.push_back(std::move(context));
      return unit;
    }
  }
  return nullptr;
}

DWARFUnit* SplitDwarf::in_context(CheckedDwarfContext& context, std::uint64_t id,
                                  std::uint16_t version) {
  for (const auto& unit : context.dwo_info_section_units()) {
    if (unit->isTypeUnit() || unit->getVersion() != version || !context.root_usable(*unit)) {
      continue;
    }
    const DWARFDie root = unit->getUnitDIE();
    if (!root) continue;
    const auto own = version >= 5 ? unit->getDWOId() : die_unsigned(root, dwarf::DW_AT_GNU_dwo_id);
    // One full unit has one skeleton: with another one's addresses it would be wrong.
    if (own == id && !attached_.contains(unit.get())) return unit.get();
  }
  return nullptr;
}

void SplitDwarf::attach(DWARFUnit& full, DWARFUnit& skeleton) {
  attached_.insert(&full);
  const DWARFDie root = skeleton.getUnitDIE();
  const llvm::DWARFObject& sections = skeletons_.getDWARFObj();
  full.setSkeletonUnit(&skeleton);
  const auto base =
      dwarf::toSectionOffset(root.find({dwarf::DW_AT_addr_base, dwarf::DW_AT_GNU_addr_base}));
  if (base) full.setAddrOffsetSection(&sections.getAddrSection(), *base);
  // Since DWARF 5 a split file has the ranges of its own.
  if (full.getVersion() < 5) {
    full.setRangesSection(
        &sections.getRangesSection(),
        dwarf::toSectionOffset(root.find(dwarf::DW_AT_GNU_ranges_base)).value_or(0));
  }
}

}  // namespace culprit::binary
