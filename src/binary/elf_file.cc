#include "binary/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "binary/byte_reader.h"
#include "llvm/Support/Compression.h"
#include "llvm/Support/Error.h"

namespace culprit::binary {
namespace {

// Bounds far above real files (Chromium's debug build: some 10^5 sections with
// -ffunction-sections before linking, below 100 after).
constexpr std::uint64_t kMaxSections = 1U << 17;
constexpr std::uint64_t kMaxSegments = 4096;
constexpr std::uint64_t kMaxDecompressed = std::uint64_t{4} << 30;
// zlib cannot exceed 1032:1; zstd can, but not on anything a linker writes.
constexpr std::uint64_t kMaxRatio = 4096;

Error malformed(const std::string& path, std::string_view what) {
  return Error{ErrorCode::bad_input, path + ": " + std::string(what)};
}

template <typename T>
std::optional<T> load(std::span<const std::byte> bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::string to_hex_digits(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    text += kDigits[std::to_integer<unsigned>(b) >> 4U];
    text += kDigits[std::to_integer<unsigned>(b) & 15U];
  }
  return text;
}

// Zeroed memory fresh from the system: a vector would write each page once more.
Result<ElfFile::Buffer> inflate(llvm::compression::Format format, std::span<const std::byte> input,
                                std::uint64_t size) {
  if (llvm::compression::getReasonIfUnsupported(format) != nullptr) {
    return Error{ErrorCode::bad_input, "compressed with a method that this build cannot read"};
  }
  if (size > kMaxDecompressed || size / kMaxRatio > input.size()) {
    return Error{ErrorCode::bad_input, "compressed section claims an impossible size"};
  }
  ElfFile::Buffer output;
  output.size = static_cast<std::size_t>(size);
  output.data.reset(static_cast<std::byte*>(std::calloc(std::max<std::size_t>(output.size, 1), 1)));
  if (output.data == nullptr) {
    return Error{ErrorCode::io,
                 "not enough memory to decompress " + std::to_string(size) + " bytes"};
  }
  const llvm::ArrayRef<std::uint8_t> source(reinterpret_cast<const std::uint8_t*>(input.data()),
                                            input.size());
  const auto type = format == llvm::compression::Format::Zlib ? llvm::DebugCompressionType::Zlib
                                                              : llvm::DebugCompressionType::Zstd;
  // LLVM reports corrupt data, but not a result that is too short: the rest stays zero.
  if (llvm::Error error = llvm::compression::decompress(
          type, source, reinterpret_cast<std::uint8_t*>(output.data.get()), output.size)) {
    return Error{ErrorCode::bad_input, llvm::toString(std::move(error))};
  }
  return output;
}

}  // namespace

Result<std::unique_ptr<ElfFile>> ElfFile::open(const std::string& path) {
  // O_NONBLOCK: a FIFO at that path must not hang the tool.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return Error{ErrorCode::io, path + ": " + std::generic_category().message(errno)};
  }
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular || status.st_size < static_cast<off_t>(sizeof(Elf64_Ehdr))) {
    ::close(fd);
    return malformed(path, regular ? "too short for an ELF file" : "not a regular file");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int map_errno = errno;
  ::close(fd);
  if (mapping == MAP_FAILED) {
    return Error{ErrorCode::io, path + ": " + std::generic_category().message(map_errno)};
  }
  std::unique_ptr<ElfFile> file(new ElfFile);
  file->path_ = path;
  file->mapping_ = mapping;
  file->mapping_size_ = size;
  file->bytes_ = {static_cast<const std::byte*>(mapping), size};
  CULPRIT_TRY(file->parse());
  return file;
}

Result<std::unique_ptr<ElfFile>> ElfFile::from_image(std::string name,
                                                     std::vector<std::byte> image) {
  std::unique_ptr<ElfFile> file(new ElfFile);
  file->path_ = std::move(name);
  file->image_ = std::move(image);
  file->bytes_ = file->image_;
  CULPRIT_TRY(file->parse());
  return file;
}

ElfFile::~ElfFile() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_size_);
}

void ElfFile::drop_pages() const {
  if (mapping_ != nullptr) ::madvise(mapping_, mapping_size_, MADV_DONTNEED);
}

Status ElfFile::parse() {
  const auto header = load<Elf64_Ehdr>(bytes_, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    return malformed(path_, "not an ELF file");
  }
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != EM_X86_64) {
    return malformed(path_, "not an x86-64 ELF file");
  }
  type_ = header->e_type;
  entry_ = header->e_entry;

  if (header->e_phnum != 0) {
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > kMaxSegments) {
      return malformed(path_, "bad program header table");
    }
    for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
      const std::uint64_t offset = header->e_phoff + i * sizeof(Elf64_Phdr);
      if (offset < header->e_phoff) return malformed(path_, "bad program header table");
      const auto p = load<Elf64_Phdr>(bytes_, offset);
      if (!p) return malformed(path_, "program header table past the end of the file");
      segments_.push_back(
          {p->p_type, p->p_flags, p->p_offset, p->p_vaddr, p->p_filesz, p->p_memsz, p->p_align});
    }
    headers_size_ = sizeof(Elf64_Ehdr);
    if (header->e_phoff == sizeof(Elf64_Ehdr)) {
      headers_size_ += header->e_phnum * sizeof(Elf64_Phdr);
    }
  }

  // A file without (readable) section headers is still usable for its segments: a stripped or
  // truncated one, and some in-memory images.
  if (header->e_shoff != 0 && header->e_shentsize == sizeof(Elf64_Shdr)) {
    std::uint64_t count = header->e_shnum;
    std::uint64_t names_index = header->e_shstrndx;
    const auto first = load<Elf64_Shdr>(bytes_, header->e_shoff);
    if (first && count == 0) count = first->sh_size;  // gabi: more than 0xff00 sections
    if (first && names_index == SHN_XINDEX) names_index = first->sh_link;
    if (!first || count > kMaxSections) count = 0;
    std::vector<Elf64_Shdr> raw_sections;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t offset = header->e_shoff + i * sizeof(Elf64_Shdr);
      const auto s = offset < header->e_shoff ? std::nullopt : load<Elf64_Shdr>(bytes_, offset);
      if (!s) {
        raw_sections.clear();
        break;
      }
      raw_sections.push_back(*s);
    }
    std::span<const std::byte> names;
    if (names_index < raw_sections.size()) {
      const Elf64_Shdr& table = raw_sections[names_index];
      if (table.sh_type != SHT_NOBITS) {
        names = raw(table.sh_offset, table.sh_size).value_or(std::span<const std::byte>{});
      }
    }
    sections_.reserve(raw_sections.size());
    for (const Elf64_Shdr& s : raw_sections) {
      ByteReader reader(names, s.sh_name);
      const std::string_view name = reader.c_string();
      sections_.push_back({reader.ok() ? name : std::string_view{}, s.sh_type, s.sh_flags,
                           s.sh_addr, s.sh_offset, s.sh_size, s.sh_link, s.sh_entsize});
    }
  }
  find_build_id();
  return {};
}

bool ElfFile::has_interpreter() const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [](const Segment& s) { return s.type == PT_INTERP; });
}

const ElfFile::Section* ElfFile::section(std::string_view name) const {
  const auto it = std::find_if(sections_.begin(), sections_.end(),
                               [&](const Section& s) { return s.name == name; });
  return it == sections_.end() ? nullptr : &*it;
}

bool ElfFile::is_go() const {
  return section(".gopclntab") != nullptr || section(".go.buildinfo") != nullptr ||
         section(".data.rel.ro.gopclntab") != nullptr;
}

std::optional<std::span<const std::byte>> ElfFile::raw(std::uint64_t offset,
                                                       std::uint64_t size) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) return std::nullopt;
  return bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

Result<std::span<const std::byte>> ElfFile::contents(const Section& section) {
  if (section.type == SHT_NOBITS) return std::span<const std::byte>{};
  const auto stored = raw(section.offset, section.size);
  if (!stored) {
    return malformed(path_,
                     "section " + std::string(section.name) + " is past the end of the file");
  }
  const bool old_style = section.name.substr(0, 8) == ".zdebug_";
  if ((section.flags & SHF_COMPRESSED) == 0 && !old_style) return *stored;
  if (const auto it = decompressed_.find(section.offset); it != decompressed_.end()) {
    return it->second.bytes();
  }

  Result<Buffer> output = Error{};
  if ((section.flags & SHF_COMPRESSED) != 0) {
    const auto header = load<Elf64_Chdr>(*stored, 0);
    // Value of ELFCOMPRESS_ZSTD (gabi, 2022), newer than some <elf.h>.
    constexpr std::uint32_t kZstd = 2;
    if (!header || (header->ch_type != ELFCOMPRESS_ZLIB && header->ch_type != kZstd)) {
      return malformed(
          path_, "section " + std::string(section.name) + " has an unknown compression header");
    }
    output = inflate(header->ch_type == kZstd ? llvm::compression::Format::Zstd
                                              : llvm::compression::Format::Zlib,
                     stored->subspan(sizeof(Elf64_Chdr)), header->ch_size);
  } else {
    // GNU's old form, also Go's before 1.19: "ZLIB", the size in 8 big-endian bytes, data.
    if (stored->size() < 12 || std::memcmp(stored->data(), "ZLIB", 4) != 0) return *stored;
    std::uint64_t size = 0;
    for (std::size_t i = 4; i < 12; ++i) {
      size = (size << 8U) | std::to_integer<std::uint64_t>((*stored)[i]);
    }
    output = inflate(llvm::compression::Format::Zlib, stored->subspan(12), size);
  }
  if (!output) return output.error().with_context(path_ + ": " + std::string(section.name));
  auto& kept = decompressed_[section.offset];
  kept = std::move(output).value();
  return kept.bytes();
}

std::span<const std::byte> ElfFile::contents_of(std::string_view name) {
  const Section* s = section(name);
  if (s == nullptr) return {};
  return contents(*s).value_or(std::span<const std::byte>{});
}

std::span<const std::byte> ElfFile::at_address(std::uint64_t address, std::uint64_t size) const {
  for (const Segment& s : segments_) {
    if (s.type != PT_LOAD || address < s.address) continue;
    const std::uint64_t delta = address - s.address;
    if (delta >= s.file_size || s.offset > bytes_.size()) continue;
    const std::uint64_t available = std::min<std::uint64_t>(s.file_size, bytes_.size() - s.offset);
    if (delta >= available) continue;
    return bytes_.subspan(static_cast<std::size_t>(s.offset + delta),
                          static_cast<std::size_t>(std::min(size, available - delta)));
  }
  return {};
}

void ElfFile::find_build_id() {
  // Note layout: namesz, descsz, type, name, desc, the last two padded to 4 bytes.
  const auto search = [&](std::span<const std::byte> notes, std::uint64_t address) {
    ByteReader reader(notes);
    while (reader.remaining() >= 12) {
      const std::uint32_t name_size = reader.u32();
      const std::uint32_t desc_size = reader.u32();
      const std::uint32_t note_type = reader.u32();
      const auto name = reader.bytes(name_size);
      reader.skip((4 - name_size % 4) % 4);
      const std::uint64_t desc_offset = reader.offset();
      const auto desc = reader.bytes(desc_size);
      if (!reader.ok()) return false;
      if (note_type == NT_GNU_BUILD_ID && name_size == 4 &&
          std::memcmp(name.data(), "GNU", 4) == 0 && !desc.empty() && desc.size() <= 64) {
        build_id_ = to_hex_digits(desc);
        build_id_address_ = address == 0 ? 0 : address + desc_offset;
        return true;
      }
      const std::uint64_t padding = (4 - desc_size % 4) % 4;
      if (padding > reader.remaining()) return false;
      reader.skip(padding);
    }
    return false;
  };
  for (const Segment& s : segments_) {
    if (s.type != PT_NOTE) continue;
    if (const auto notes = raw(s.offset, s.file_size); notes && search(*notes, s.address)) return;
  }
  for (const Section& s : sections_) {
    if (s.type != SHT_NOTE) continue;
    if (const auto notes = raw(s.offset, s.size); notes && search(*notes, s.address)) return;
  }
}

}  // namespace culprit::binary
