#include "provenance/process_image.h"

#include <algorithm>
#include <utility>

#include "provenance/heap.h"

namespace culprit::provenance {
namespace {

std::vector<binary::Mapping> modules_in(const std::vector<replay::Mapping>& mappings) {
  std::vector<binary::Mapping> out;
  for (const replay::Mapping& m : mappings) {
    if (m.kind == replay::MappingKind::recorder) continue;  // rr's own pages are not the program's
    binary::Mapping mapping;
    mapping.range = m.range;
    mapping.file_offset = m.file_offset;
    mapping.readable = m.readable;
    mapping.writable = m.writable;
    mapping.executable = m.executable;
    mapping.shared = m.shared;
    mapping.path = m.path;
    if (m.kind == replay::MappingKind::file) {
      // A copy in the trace is used only where it is the whole file (its offsets are the file's).
      mapping.file = m.bytes_offset == m.file_offset ? m.bytes_from.string() : m.path;
    }
    out.push_back(std::move(mapping));
  }
  return out;
}

/// All mappings of one file must read from one file: small segments are often not copied into the
/// trace while the code of the same module is.
std::vector<binary::Mapping> with_one_file_each(std::vector<binary::Mapping> mappings) {
  for (binary::Mapping& m : mappings) {
    if (m.path.empty() || m.file != m.path) continue;
    for (const binary::Mapping& other : mappings) {
      if (other.path == m.path && !other.file.empty() && other.file != other.path) {
        m.file = other.file;
        break;
      }
    }
  }
  return mappings;
}

}  // namespace

ProcessImage::ProcessImage(const replay::TraceIndex& index, ProcessId process, EventNumber at,
                           std::vector<std::pair<std::string, std::string>> source_prefixes,
                           binary::DebugFileSearch debug_files)
    : index_(index),
      process_(process),
      at_(at),
      mappings_(index.maps_at(at, process)),
      cache_(std::move(debug_files)),
      map_(with_one_file_each(modules_in(mappings_)), cache_),
      symbols_(map_),
      unwinder_(map_),
      variables_(map_),
      sources_(std::move(source_prefixes)),
      heap_(find_allocators(map_, symbols_)) {}

void ProcessImage::give_up_heap(std::string why) {
  heap_.reset();
  warn(std::move(why));
}

const replay::Mapping* ProcessImage::mapping_of(Address a) const {
  auto after = std::upper_bound(
      mappings_.begin(), mappings_.end(), a,
      [](Address address, const replay::Mapping& m) { return address < m.range.start; });
  if (after == mappings_.begin()) return nullptr;
  --after;
  return after->range.contains(a) ? &*after : nullptr;
}

bool ProcessImage::is_mapped(Address a) const {
  const replay::Mapping* m = mapping_of(a);
  return m != nullptr && m->readable;
}

void ProcessImage::verify(const MemoryReader& memory) {
  for (const binary::Module* module : map_.verify(memory)) {
    warn(module->path + ": " + module->problem);
  }
  detected_ = runtimes::detect(map_);
  for (std::string& problem : detected_.problems) warn(std::move(problem));
}

void ProcessImage::warn(std::string warning) {
  if (std::find(warnings_.begin(), warnings_.end(), warning) == warnings_.end()) {
    warnings_.push_back(std::move(warning));
  }
}

std::size_t ModuleCode::read(Address address, std::span<std::byte> out) const {
  const auto bytes = binary::read_code(map_, address, out.size());
  if (!bytes.ok()) return 0;
  const std::size_t count = std::min(bytes->size(), out.size());
  std::copy_n(bytes->begin(), count, out.begin());
  return count;
}

}  // namespace culprit::provenance
