// Which file, and which byte of it, stands behind an address of the recorded process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "base/types.h"
#include "binary/mapping.h"

namespace culprit::binary {

class Binary;  // an opened ELF file with its symbols and debug information (internal)
class ModuleCache;

/// Whether a module's file is the one that the process had mapped.
enum class FileCheck : std::uint8_t {
  unchecked,   ///< verify() has not run, or the memory could not be read
  matches,     ///< ELF header, program headers and build id (or text samples) agree with memory
  mismatch,    ///< the file changed since the recording: it is NOT used for anything
  unreadable,  ///< the file cannot be opened or is no valid ELF file
};

/// One loaded instance of an ELF file. Owned by its ModuleMap.
struct Module {
  /// One PT_LOAD segment at its place in the process.
  struct Segment {
    ByteRange range;  ///< in the process, [bias + p_vaddr, + p_memsz)
    std::uint64_t file_offset = 0;
    std::uint64_t file_size = 0;  ///< bytes of `range` that come from the file (rest: .bss)
    bool writable = false;
    bool executable = false;
  };

  std::string path;               ///< as the recorded process saw it
  std::string file;               ///< the file that was read (the trace's copy or `path`)
  std::string build_id;           ///< lower-case hex, empty if the file has none
  std::uint64_t bias = 0;         ///< run-time address minus the ELF file's virtual address
  std::vector<Segment> segments;  ///< sorted by address; empty if the file is unreadable
  FileCheck check = FileCheck::unchecked;
  std::string problem;     ///< one line when check is mismatch or unreadable
  std::string debug_file;  ///< separate debug file in use, empty if none
  /// Null when check is mismatch or unreadable. Lives as long as the ModuleCache.
  Binary* binary = nullptr;

  /// The file name without its folders.
  [[nodiscard]] std::string_view name() const;
  /// The address as the ELF file counts it (what `objdump -d` and addr2line take).
  [[nodiscard]] std::uint64_t file_address(Address a) const { return a.value - bias; }
  [[nodiscard]] bool contains(Address a) const;
};

/// The path of the separate debug file that is used for a module; empty if none is. The first call for a
/// module searches for it.
[[nodiscard]] std::string debug_file_of(const Module& module);

/// What kind of memory an address lies in, as far as the map alone tells.
enum class RegionKind : std::uint8_t {
  unmapped,
  module_code,  ///< an executable segment of a module
  module_data,  ///< another segment of a module, its .bss included
  file,         ///< a mapped file that is no module
  anonymous,
  heap,    ///< [heap] (brk)
  stack,   ///< [stack], the main thread's
  vdso,    ///< [vdso]
  kernel,  ///< [vvar], [vsyscall] and the kernel's other names
};

/// The answer to "what is at this address".
struct Region {
  RegionKind kind = RegionKind::unmapped;
  std::string name;                ///< "[stack]", "libc.so.6 .data", "anonymous 0x7f..-0x7f.."
  ByteRange range;                 ///< the mapping; empty if unmapped
  const Module* module = nullptr;  ///< for module_code, module_data (and a loaded vdso)
  bool readable = false;
  bool writable = false;
  bool executable = false;
};

/// Where to look for separate debug files.
struct DebugFileSearch {
  /// Folders with a ".build-id" folder and/or a copy of the file tree (gdb's
  /// debug-file-directory, "Separate Debug Files" in its manual).
  std::vector<std::string> directories = {"/usr/lib/debug"};
};

/// Opens each file once and keeps what was parsed, for any number of ModuleMaps. All lookups are
/// lazy and cached, also those behind const methods: one thread at a time.
class ModuleCache {
 public:
  explicit ModuleCache(DebugFileSearch search = {});
  ~ModuleCache();
  ModuleCache(const ModuleCache&) = delete;
  ModuleCache& operator=(const ModuleCache&) = delete;

  /// The ELF file at `file`; a failed open is remembered and returned again.
  /// `original_path` is where its debuglink is relative to (may equal `file`).
  [[nodiscard]] Result<Binary*> open(const std::string& file, const std::string& original_path);
  /// An ELF image that exists only in memory (the vdso). `key` makes it unique.
  [[nodiscard]] Result<Binary*> open_image(const std::string& key, std::vector<std::byte> image);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All modules and regions of one process at one moment. Cheap to build again after a dlopen: the
/// files stay open in the cache, which must outlive the map.
class ModuleMap {
 public:
  /// Takes the mappings in any order. Never fails: a file that cannot be read becomes a Module
  /// whose `problem` says why. At most 65536 mappings are kept.
  ModuleMap(std::vector<Mapping> mappings, ModuleCache& cache);
  ~ModuleMap();
  ModuleMap(ModuleMap&&) noexcept;
  ModuleMap& operator=(ModuleMap&&) noexcept;

  /// Compares every module's headers and build id with the process's memory, drops the files
  /// that differ, and loads the vdso's image. Returns the modules whose check is mismatch.
  std::vector<const Module*> verify(const MemoryReader& memory);

  /// The module whose segments hold the address, or null.
  [[nodiscard]] const Module* module_at(Address a) const;
  /// The first module with this file name ("libc.so.6") or full path, or null.
  [[nodiscard]] const Module* module_named(std::string_view name) const;
  /// The main program: the module of the lowest [first] mapping that has an entry point and is
  /// an executable (ET_EXEC, or ET_DYN with an interpreter), else the first module, else null.
  [[nodiscard]] const Module* main_module() const;
  [[nodiscard]] std::span<const std::unique_ptr<Module>> modules() const;
  [[nodiscard]] Region region_at(Address a) const;
  /// Sorted by address.
  [[nodiscard]] std::span<const Mapping> mappings() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The original code bytes at an address, from the module's file and not from memory: what the
/// program's authors compiled, without breakpoints or patches. Up to `size` (at most 1 MiB) bytes,
/// fewer at the segment's end. Errors: not_found (no module, not backed by the file).
[[nodiscard]] Result<std::vector<std::byte>> read_code(const ModuleMap& map, Address address,
                                                       std::size_t size);

}  // namespace culprit::binary
