// One recorded process as the engine sees it: its modules and names, its runtimes, its trace index.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/types.h"
#include "binary/module_map.h"
#include "binary/source_line.h"
#include "binary/symbolizer.h"
#include "binary/unwinder.h"
#include "binary/variables.h"
#include "replay/replay.h"
#include "replay/trace_index.h"
#include "runtimes/detect.h"

namespace culprit::provenance {

/// Built once for each triage, from the mappings at the crash: modules that were unloaded before it are
/// not named. Not thread-safe (the symbol caches are lazy).
class ProcessImage {
 public:
  ProcessImage(const replay::TraceIndex& index, ProcessId process, EventNumber at,
               std::vector<std::pair<std::string, std::string>> source_prefixes,
               binary::DebugFileSearch debug_files = {});

  /// Compares the modules' files with the program's memory; those that differ are not used, and a
  /// warning says so. Then looks for runtimes. Call once, at the first stopped moment.
  void verify(const MemoryReader& memory);

  [[nodiscard]] const replay::TraceIndex& index() const { return index_; }
  [[nodiscard]] ProcessId process() const { return process_; }
  [[nodiscard]] EventNumber mapped_at() const { return at_; }
  /// The mapping that holds the address at the crash; null if there is none.
  [[nodiscard]] const replay::Mapping* mapping_of(Address a) const;
  /// True for an address in memory that could be read at the crash.
  [[nodiscard]] bool is_mapped(Address a) const;
  /// All of them, by address.
  [[nodiscard]] const std::vector<replay::Mapping>& mappings() const { return mappings_; }
  [[nodiscard]] const binary::ModuleMap& modules() const { return map_; }
  [[nodiscard]] const binary::Symbolizer& symbols() const { return symbols_; }
  [[nodiscard]] const binary::Unwinder& unwinder() const { return unwinder_; }
  [[nodiscard]] const binary::VariableFinder& variables() const { return variables_; }
  [[nodiscard]] const binary::SourceReader& sources() const { return sources_; }
  [[nodiscard]] const std::vector<std::unique_ptr<runtimes::Runtime>>& runtimes() const {
    return detected_.runtimes;
  }
  /// The allocators of the process; null if none is known, or their calls are too many to be followed.
  [[nodiscard]] const replay::HeapSpec* heap() const { return heap_ ? &*heap_ : nullptr; }
  /// No pass keeps the heap's book any more.
  void give_up_heap(std::string why);
  /// The same without a word: the process does not use the allocators that it has.
  void forget_heap() { heap_.reset(); }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  void warn(std::string warning);

 private:
  const replay::TraceIndex& index_;
  ProcessId process_;
  EventNumber at_;
  std::vector<replay::Mapping> mappings_;  ///< at the crash, by address
  binary::ModuleCache cache_;
  binary::ModuleMap map_;
  binary::Symbolizer symbols_;
  binary::Unwinder unwinder_;
  binary::VariableFinder variables_;
  binary::SourceReader sources_;
  runtimes::Detected detected_;
  std::optional<replay::HeapSpec> heap_;
  std::vector<std::string> warnings_;
};

/// The program's code bytes as its authors compiled them (from the modules' files), for slices that
/// run after the moment has gone. Nothing outside the modules can be read.
class ModuleCode : public MemoryReader {
 public:
  explicit ModuleCode(const binary::ModuleMap& map) : map_(map) {}
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override;

 private:
  const binary::ModuleMap& map_;
};

}  // namespace culprit::provenance
