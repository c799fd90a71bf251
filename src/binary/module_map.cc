#include "binary/module_map.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "binary/binary.h"

namespace culprit::binary {
namespace {

constexpr std::size_t kMaxMappings = 65536;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMaxVdso = 1U << 20;
constexpr std::size_t kMaxCodeRead = 1U << 20;

std::string_view without_deleted(std::string_view path) {
  constexpr std::string_view kSuffix = " (deleted)";
  if (path.size() > kSuffix.size() && path.substr(path.size() - kSuffix.size()) == kSuffix) {
    path.remove_suffix(kSuffix.size());
  }
  return path;
}

std::string_view base_name(std::string_view path) {
  path = without_deleted(path);
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_file_path(std::string_view path) {
  // "/dev/zero", "/SYSV..." and "/memfd:" are shared anonymous memory under a name.
  return !path.empty() && path[0] == '/' && path.substr(0, 5) != "/dev/" &&
         path.substr(0, 5) != "/SYSV" && path.substr(0, 7) != "/memfd:";
}

std::vector<Module::Segment> segments_of(const ElfFile& elf, std::uint64_t bias) {
  std::vector<Module::Segment> segments;
  for (const ElfFile::Segment& s : elf.segments()) {
    if (s.type != PT_LOAD || s.memory_size == 0) continue;
    segments.push_back({{Address{bias + s.address}, s.memory_size},
                        s.offset,
                        std::min(s.file_size, s.memory_size),
                        (s.flags & PF_W) != 0,
                        (s.flags & PF_X) != 0});
  }
  std::sort(segments.begin(), segments.end(),
            [](const auto& a, const auto& b) { return a.range.start < b.range.start; });
  return segments;
}

// The biases at which an executable segment of the file would give this mapping.
std::vector<std::uint64_t> biases_of(const ElfFile& elf, const Mapping& m) {
  std::vector<std::uint64_t> biases;
  for (const ElfFile::Segment& s : elf.segments()) {
    if (s.type != PT_LOAD || (s.flags & PF_X) == 0) continue;
    const std::uint64_t first_page = s.offset & ~(kPage - 1);
    if (m.file_offset < first_page || m.file_offset >= s.offset + s.file_size) continue;
    biases.push_back(m.range.start.value - m.file_offset + s.offset - s.address);
  }
  return biases;
}

}  // namespace

std::string_view Module::name() const { return base_name(path); }

bool Module::contains(Address a) const {
  return std::any_of(segments.begin(), segments.end(),
                     [&](const Segment& s) { return s.range.contains(a); });
}

struct ModuleCache::Impl {
  DebugFileSearch search;
  std::map<std::pair<std::string, std::string>, Result<std::unique_ptr<Binary>>> files;
};

ModuleCache::ModuleCache(DebugFileSearch search) : impl_(std::make_unique<Impl>()) {
  impl_->search = std::move(search);
}

ModuleCache::~ModuleCache() = default;

Result<Binary*> ModuleCache::open(const std::string& file, const std::string& original_path) {
  auto key = std::make_pair(file, original_path);
  auto it = impl_->files.find(key);
  if (it == impl_->files.end()) {
    auto elf = ElfFile::open(file);
    Result<std::unique_ptr<Binary>> entry =
        elf ? Result<std::unique_ptr<Binary>>(
                  std::make_unique<Binary>(std::move(elf).value(), original_path, &impl_->search))
            : Result<std::unique_ptr<Binary>>(elf.error());
    it = impl_->files.emplace(std::move(key), std::move(entry)).first;
  }
  if (!it->second) return it->second.error();
  return it->second.value().get();
}

Result<Binary*> ModuleCache::open_image(const std::string& key, std::vector<std::byte> image) {
  // The content is part of the key: two processes may have different images of the same name.
  std::string content(reinterpret_cast<const char*>(image.data()), image.size());
  auto map_key = std::make_pair(key, std::move(content));
  auto it = impl_->files.find(map_key);
  if (it == impl_->files.end()) {
    auto elf = ElfFile::from_image(key, std::move(image));
    Result<std::unique_ptr<Binary>> entry =
        elf ? Result<std::unique_ptr<Binary>>(
                  std::make_unique<Binary>(std::move(elf).value(), key, &impl_->search))
            : Result<std::unique_ptr<Binary>>(elf.error());
    it = impl_->files.emplace(std::move(map_key), std::move(entry)).first;
  }
  if (!it->second) return it->second.error();
  return it->second.value().get();
}

struct ModuleMap::Impl {
  ModuleCache* cache = nullptr;
  std::vector<Mapping> mappings;  // sorted by start
  std::vector<std::unique_ptr<Module>> modules;
  struct Span {
    Address begin;
    Address end;
    Module* module;
    std::size_t segment;
  };
  std::vector<Span> spans;  // sorted by begin

  void index();
  [[nodiscard]] const Span* span_at(Address a) const;
  [[nodiscard]] const Mapping* mapping_at(Address a) const;
  void check(Module& module, const MemoryReader& memory) const;
};

void ModuleMap::Impl::index() {
  spans.clear();
  for (const auto& module : modules) {
    for (std::size_t i = 0; i < module->segments.size(); ++i) {
      const ByteRange& r = module->segments[i].range;
      if (r.end() <= r.start) continue;
      spans.push_back({r.start, r.end(), module.get(), i});
    }
  }
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
}

const ModuleMap::Impl::Span* ModuleMap::Impl::span_at(Address a) const {
  auto it = std::upper_bound(spans.begin(), spans.end(), a,
                             [](Address x, const Span& s) { return x < s.begin; });
  for (int back = 0; it != spans.begin() && back < 8; ++back) {
    --it;
    if (a < it->end) return &*it;
  }
  return nullptr;
}

const Mapping* ModuleMap::Impl::mapping_at(Address a) const {
  auto it = std::upper_bound(mappings.begin(), mappings.end(), a,
                             [](Address x, const Mapping& m) { return x < m.range.start; });
  if (it == mappings.begin()) return nullptr;
  --it;
  return it->range.contains(a) ? &*it : nullptr;
}

ModuleMap::ModuleMap(std::vector<Mapping> mappings, ModuleCache& cache)
    : impl_(std::make_unique<Impl>()) {
  impl_->cache = &cache;
  if (mappings.size() > kMaxMappings) mappings.resize(kMaxMappings);
  std::erase_if(mappings,
                [](const Mapping& m) { return m.range.empty() || m.range.end() < m.range.start; });
  std::stable_sort(mappings.begin(), mappings.end(), [](const Mapping& a, const Mapping& b) {
    return a.range.start < b.range.start;
  });
  impl_->mappings = std::move(mappings);

  std::set<std::string> failed;
  for (const Mapping& m : impl_->mappings) {
    if (!m.executable || !is_file_path(m.path)) continue;
    const std::string path(without_deleted(m.path));
    const std::string file = m.file.empty() ? path : m.file;
    auto binary = cache.open(file, path);
    if (!binary) {
      if (!failed.insert(file).second) continue;
      auto module = std::make_unique<Module>();
      module->path = path;
      module->file = file;
      module->check = FileCheck::unreadable;
      module->problem = binary.error().message;
      // Its extent is still known from the mappings of the same file.
      for (const Mapping& other : impl_->mappings) {
        if (without_deleted(other.path) != path) continue;
        module->segments.push_back(
            {other.range, other.file_offset, other.range.size, other.writable, other.executable});
        if (other.file_offset == 0 && module->bias == 0) module->bias = other.range.start.value;
      }
      impl_->modules.push_back(std::move(module));
      continue;
    }
    const auto biases = biases_of((*binary)->elf(), m);
    for (const std::uint64_t bias : biases) {
      const bool known = std::any_of(
          impl_->modules.begin(), impl_->modules.end(),
          [&](const auto& other) { return other->bias == bias && other->binary == *binary; });
      if (known) break;
      auto module = std::make_unique<Module>();
      module->path = path;
      module->file = file;
      module->build_id = (*binary)->elf().build_id();
      module->bias = bias;
      module->segments = segments_of((*binary)->elf(), bias);
      module->binary = *binary;
      impl_->modules.push_back(std::move(module));
      break;
    }
    if (biases.empty() && failed.insert(file).second) {
      // The file has no executable segment there: it is not the file that was mapped.
      auto module = std::make_unique<Module>();
      module->path = path;
      module->file = file;
      module->check = FileCheck::mismatch;
      module->problem = file +
                        " changed since the recording: it has no code at the mapped offset " +
                        to_hex(m.file_offset);
      module->segments.push_back({m.range, m.file_offset, m.range.size, m.writable, m.executable});
      impl_->modules.push_back(std::move(module));
    }
  }
  impl_->index();
}

ModuleMap::~ModuleMap() = default;
ModuleMap::ModuleMap(ModuleMap&&) noexcept = default;
ModuleMap& ModuleMap::operator=(ModuleMap&&) noexcept = default;

void ModuleMap::Impl::check(Module& module, const MemoryReader& memory) const {
  const ElfFile& elf = module.binary->elf();
  const auto reject = [&](std::string why) {
    module.check = FileCheck::mismatch;
    module.problem = module.file + " changed since the recording: " + std::move(why);
    module.binary = nullptr;
    module.build_id.clear();
  };
  // Reads memory at a file address; empty if it is not fully there.
  const auto in_memory = [&](std::uint64_t address, std::size_t size) {
    std::vector<std::byte> bytes(size);
    if (memory.read(Address{module.bias + address}, bytes) != size) bytes.clear();
    return bytes;
  };

  bool compared = false;
  // The ELF header and program headers are at the start of the segment with file offset 0.
  for (const ElfFile::Segment& s : elf.segments()) {
    if (s.type != PT_LOAD || s.offset != 0 || s.file_size < elf.headers_size()) continue;
    const auto size = static_cast<std::size_t>(elf.headers_size());
    const auto bytes = in_memory(s.address, size);
    if (bytes.empty()) break;
    compared = true;
    if (std::memcmp(bytes.data(), elf.bytes().data(), size) != 0) {
      return reject("its ELF headers differ from those in memory");
    }
    break;
  }
  bool id_compared = false;
  if (elf.build_id_address() != 0 && elf.build_id_size() != 0) {
    const auto bytes = in_memory(elf.build_id_address(), elf.build_id_size());
    const auto expected = elf.at_address(elf.build_id_address(), elf.build_id_size());
    if (!bytes.empty() && expected.size() == bytes.size()) {
      compared = id_compared = true;
      if (std::memcmp(bytes.data(), expected.data(), bytes.size()) != 0) {
        return reject("its build id is " + elf.build_id() + ", not that of the mapped file");
      }
    }
  }
  if (!id_compared) {
    // No build id to go by: compare code. Sixteen pages spread over each executable segment.
    for (const ElfFile::Segment& s : elf.segments()) {
      if (s.type != PT_LOAD || (s.flags & PF_X) == 0 || (s.flags & PF_W) != 0) continue;
      const std::uint64_t step = std::max<std::uint64_t>(kPage, s.file_size / 16);
      for (std::uint64_t offset = 0; offset < s.file_size; offset += step) {
        const auto size = static_cast<std::size_t>(std::min(kPage, s.file_size - offset));
        const auto bytes = in_memory(s.address + offset, size);
        const auto expected = elf.at_address(s.address + offset, size);
        if (bytes.empty() || expected.size() != bytes.size()) continue;
        compared = true;
        if (std::memcmp(bytes.data(), expected.data(), size) != 0) {
          return reject("its code at " + to_hex(s.address + offset) + " differs from memory");
        }
      }
    }
  }
  module.check = compared ? FileCheck::matches : FileCheck::unchecked;
}

std::vector<const Module*> ModuleMap::verify(const MemoryReader& memory) {
  for (const auto& module : impl_->modules) {
    if (module->binary != nullptr && module->check == FileCheck::unchecked) {
      impl_->check(*module, memory);
    }
  }
  for (const Mapping& m : impl_->mappings) {
    if (m.path != "[vdso]" || m.range.size > kMaxVdso) continue;
    if (module_at(m.range.start) != nullptr) continue;
    std::vector<std::byte> image(static_cast<std::size_t>(m.range.size));
    if (memory.read(m.range.start, image) != image.size()) continue;
    auto binary = impl_->cache->open_image("[vdso]", std::move(image));
    if (!binary) continue;
    const ElfFile& elf = (*binary)->elf();
    const auto load = std::find_if(elf.segments().begin(), elf.segments().end(),
                                   [](const auto& s) { return s.type == PT_LOAD; });
    if (load == elf.segments().end()) continue;
    auto module = std::make_unique<Module>();
    module->path = "[vdso]";
    module->file = "[vdso]";
    module->build_id = elf.build_id();
    module->bias = m.range.start.value - (load->address - load->offset);
    module->segments = segments_of(elf, module->bias);
    module->check = FileCheck::matches;
    module->binary = *binary;
    impl_->modules.push_back(std::move(module));
  }
  impl_->index();
  std::vector<const Module*> changed;
  for (const auto& module : impl_->modules) {
    if (module->check == FileCheck::mismatch) changed.push_back(module.get());
  }
  return changed;
}

const Module* ModuleMap::module_at(Address a) const {
  const Impl::Span* span = impl_->span_at(a);
  return span != nullptr ? span->module : nullptr;
}

const Module* ModuleMap::module_named(std::string_view name) const {
  for (const auto& module : impl_->modules) {
    if (module->path == name || module->name() == name) return module.get();
  }
  return nullptr;
}

const Module* ModuleMap::main_module() const {
  for (const auto& module : impl_->modules) {
    if (module->binary == nullptr) continue;
    const ElfFile& elf = module->binary->elf();
    // An executable's interpreter section also stands in some libraries that can be run
    // (libc.so.6); those come later in the map than the program, except for a PIE below mmap.
    if (elf.type() == ET_EXEC) return module.get();
  }
  for (const auto& module : impl_->modules) {
    if (module->binary == nullptr || module->path == "[vdso]") continue;
    const ElfFile& elf = module->binary->elf();
    if (elf.has_interpreter() && elf.entry() != 0 &&
        module->name().find(".so") == std::string::npos) {
      return module.get();
    }
  }
  return impl_->modules.empty() ? nullptr : impl_->modules.front().get();
}

std::span<const std::unique_ptr<Module>> ModuleMap::modules() const { return impl_->modules; }

std::span<const Mapping> ModuleMap::mappings() const { return impl_->mappings; }

Region ModuleMap::region_at(Address a) const {
  Region region;
  const Mapping* mapping = impl_->mapping_at(a);
  const Impl::Span* span = impl_->span_at(a);
  if (mapping == nullptr) {
    region.name = "unmapped";
    return region;
  }
  region.range = mapping->range;
  region.readable = mapping->readable;
  region.writable = mapping->writable;
  region.executable = mapping->executable;
  // A later mapping may have replaced a part of a module: then the path differs.
  const bool same_file = span != nullptr && (without_deleted(mapping->path) == span->module->path ||
                                             mapping->path.empty() || mapping->path == "[heap]");
  if (span != nullptr && same_file && mapping->path != "[heap]") {
    region.module = span->module;
    const Module::Segment& segment = span->module->segments[span->segment];
    region.kind = segment.executable ? RegionKind::module_code : RegionKind::module_data;
    region.name = std::string(span->module->name());
    if (span->module->binary != nullptr) {
      const std::uint64_t address = span->module->file_address(a);
      for (const ElfFile::Section& s : span->module->binary->elf().sections()) {
        if ((s.flags & SHF_ALLOC) == 0 || (s.flags & SHF_TLS) != 0) continue;
        if (address >= s.address && address - s.address < s.size) {
          region.name += " " + std::string(s.name);
          break;
        }
      }
    }
    if (span->module->path == "[vdso]") region.kind = RegionKind::vdso;
    return region;
  }
  const std::string_view path = mapping->path;
  if (path == "[stack]") {
    region.kind = RegionKind::stack;
    region.name = path;
  } else if (path == "[heap]") {
    region.kind = RegionKind::heap;
    region.name = path;
  } else if (path == "[vdso]") {
    region.kind = RegionKind::vdso;
    region.name = path;
  } else if (path.substr(0, 2) == "[v") {
    region.kind = RegionKind::kernel;
    region.name = path;
  } else if (is_file_path(path)) {
    region.kind = RegionKind::file;
    region.name = base_name(path);
  } else {
    region.kind = RegionKind::anonymous;
    region.name = (path.empty() ? std::string("anonymous") : std::string(path)) + " " +
                  to_hex(mapping->range.start) + "-" + to_hex(mapping->range.end());
  }
  return region;
}

Result<std::vector<std::byte>> read_code(const ModuleMap& map, Address address, std::size_t size) {
  const Module* module = map.module_at(address);
  if (module == nullptr || module->binary == nullptr) {
    return Error{ErrorCode::not_found,
                 "no file holds the code at " + to_hex(address) +
                     (module != nullptr && !module->problem.empty() ? ": " + module->problem : "")};
  }
  const auto bytes =
      module->binary->elf().at_address(module->file_address(address), std::min(size, kMaxCodeRead));
  if (bytes.empty()) {
    return Error{ErrorCode::not_found, to_hex(address) + " in " + std::string(module->name()) +
                                           " is not backed by the file"};
  }
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

std::string debug_file_of(const Module& module) {
  ElfFile* file = module.binary != nullptr ? module.binary->debug_elf() : nullptr;
  return file != nullptr ? file->path() : std::string();
}

}  // namespace culprit::binary
