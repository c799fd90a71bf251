// A checked reader of x86-64 ELF files (internal to this layer).
//
// Format: System V ABI, "Object Files" (gabi 4.x), <elf.h>. Every offset and size is checked
// against the file; nothing is trusted. LLVM's own ELF classes are not used for this since several
// of their accessors end the process on malformed input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace culprit::binary {

/// One ELF file (or image), mapped read-only for the lifetime of this object.
class ElfFile {
 public:
  struct Section {
    std::string_view name;
    std::uint32_t type = 0;
    std::uint64_t flags = 0;
    std::uint64_t address = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    std::uint32_t link = 0;
    std::uint64_t entry_size = 0;
  };
  struct Segment {
    std::uint32_t type = 0;
    std::uint32_t flags = 0;
    std::uint64_t offset = 0;
    std::uint64_t address = 0;
    std::uint64_t file_size = 0;
    std::uint64_t memory_size = 0;
    std::uint64_t alignment = 0;
  };

  /// A decompressed section.
  struct Buffer {
    struct Free {
      void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> data;
    std::size_t size = 0;
    [[nodiscard]] std::span<const std::byte> bytes() const { return {data.get(), size}; }
  };

  /// Errors: io (cannot be opened), bad_input (no x86-64 ELF file).
  [[nodiscard]] static Result<std::unique_ptr<ElfFile>> open(const std::string& path);
  /// `name` is for messages.
  [[nodiscard]] static Result<std::unique_ptr<ElfFile>> from_image(std::string name,
                                                                   std::vector<std::byte> image);
  ~ElfFile();
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  /// Gives the pages back that a search through the whole file has touched; they are read again when they
  /// are needed. Nothing that was read becomes invalid.
  void drop_pages() const;
  [[nodiscard]] std::uint16_t type() const { return type_; }  ///< ET_EXEC, ET_DYN, ...
  [[nodiscard]] std::uint64_t entry() const { return entry_; }
  [[nodiscard]] bool has_interpreter() const;
  [[nodiscard]] const std::vector<Section>& sections() const { return sections_; }
  [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
  /// The size of the ELF header and program headers, which begin every loaded image.
  [[nodiscard]] std::uint64_t headers_size() const { return headers_size_; }

  /// The first section with this name, or null.
  [[nodiscard]] const Section* section(std::string_view name) const;
  /// The bytes of a section, decompressed if need be (then kept). Empty for SHT_NOBITS. Errors:
  /// bad_input.
  [[nodiscard]] Result<std::span<const std::byte>> contents(const Section& section);
  /// contents() of the first section with this name; empty if absent or malformed.
  [[nodiscard]] std::span<const std::byte> contents_of(std::string_view name);
  /// As stored in the file, [offset, offset + size); nothing if out of the file.
  [[nodiscard]] std::optional<std::span<const std::byte>> raw(std::uint64_t offset,
                                                              std::uint64_t size) const;
  /// Up to `size` bytes at a virtual address, from the file part of its PT_LOAD segment.
  [[nodiscard]] std::span<const std::byte> at_address(std::uint64_t address,
                                                      std::uint64_t size) const;

  /// NT_GNU_BUILD_ID as lower-case hex, empty if there is none.
  [[nodiscard]] const std::string& build_id() const { return build_id_; }
  /// Where that note's whole PT_NOTE segment or section lies in the loaded image, for comparing it
  /// with memory; size 0 if unknown.
  [[nodiscard]] std::uint64_t build_id_address() const { return build_id_address_; }
  [[nodiscard]] std::size_t build_id_size() const { return build_id_.size() / 2; }
  /// Made by the Go toolchain (has .gopclntab or .go.buildinfo).
  [[nodiscard]] bool is_go() const;

 private:
  ElfFile() = default;
  Status parse();
  void find_build_id();

  std::string path_;
  std::span<const std::byte> bytes_;
  void* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
  std::vector<std::byte> image_;
  std::uint16_t type_ = 0;
  std::uint64_t entry_ = 0;
  std::uint64_t headers_size_ = 0;
  std::vector<Section> sections_;
  std::vector<Segment> segments_;
  std::string build_id_;
  std::uint64_t build_id_address_ = 0;
  std::map<std::uint64_t, Buffer> decompressed_;  // by section offset
};

}  // namespace culprit::binary
