#include "binary/elf_file.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "binary/test_support.h"

namespace culprit::binary {
namespace {

using testing::TemporaryFolder;

std::vector<std::byte> header_only(std::uint16_t machine = EM_X86_64) {
  Elf64_Ehdr h{};
  std::memcpy(h.e_ident, ELFMAG, SELFMAG);
  h.e_ident[EI_CLASS] = ELFCLASS64;
  h.e_ident[EI_DATA] = ELFDATA2LSB;
  h.e_type = ET_DYN;
  h.e_machine = machine;
  std::vector<std::byte> bytes(sizeof h);
  std::memcpy(bytes.data(), &h, sizeof h);
  return bytes;
}

TEST(ElfFile, ReadsThisProgram) {
  auto file = ElfFile::open("/proc/self/exe");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ElfFile& elf = **file;
  ASSERT_NE(elf.section(".text"), nullptr);
  EXPECT_FALSE(elf.contents_of(".text").empty());
  EXPECT_TRUE(elf.contents_of(".bss").empty());
  EXPECT_TRUE(elf.contents_of(".no_such").empty());
  EXPECT_FALSE(elf.is_go());
  EXPECT_TRUE(elf.has_interpreter());
  const auto code = elf.at_address(elf.section(".text")->address, 16);
  ASSERT_EQ(code.size(), 16U);
  EXPECT_EQ(std::memcmp(code.data(), elf.contents_of(".text").data(), 16), 0);
}

TEST(ElfFile, RefusesWhatIsNoElfFile) {
  EXPECT_FALSE(ElfFile::open("/no/such/file").ok());
  EXPECT_FALSE(ElfFile::open("/").ok());
  EXPECT_FALSE(ElfFile::open("/dev/zero").ok());
  EXPECT_FALSE(ElfFile::from_image("x", {}).ok());
  EXPECT_FALSE(ElfFile::from_image("x", std::vector<std::byte>(100)).ok());
  EXPECT_TRUE(ElfFile::from_image("x", header_only()).ok());
  auto arm = ElfFile::from_image("x", header_only(EM_AARCH64));
  ASSERT_FALSE(arm.ok());
  EXPECT_EQ(arm.error().message, "x: not an x86-64 ELF file");
}

TEST(ElfFile, TablesOutOfTheFileAreRefusedOrDropped) {
  auto bytes = header_only();
  auto* h = reinterpret_cast<Elf64_Ehdr*>(bytes.data());
  h->e_phnum = 3;
  h->e_phentsize = sizeof(Elf64_Phdr);
  h->e_phoff = ~std::uint64_t{0} - 8;
  EXPECT_FALSE(ElfFile::from_image("x", bytes).ok());
  h->e_phnum = 0;
  h->e_shoff = 60;
  h->e_shnum = 100;
  h->e_shentsize = sizeof(Elf64_Shdr);
  auto file = ElfFile::from_image("x", bytes);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->sections().empty());
}

TEST(ElfFile, CompressedSectionsThatLieAreRefused) {
  // header, one section header table of two entries, one compressed section that claims 1 TB.
  auto bytes = header_only();
  const std::uint64_t data_at = bytes.size();
  Elf64_Chdr c{};
  c.ch_type = ELFCOMPRESS_ZLIB;
  c.ch_size = std::uint64_t{1} << 40;
  bytes.resize(data_at + sizeof c + 16);
  std::memcpy(bytes.data() + data_at, &c, sizeof c);
  const std::uint64_t table = bytes.size();
  Elf64_Shdr s[2]{};
  s[1].sh_type = SHT_PROGBITS;
  s[1].sh_flags = SHF_COMPRESSED;
  s[1].sh_offset = data_at;
  s[1].sh_size = sizeof c + 16;
  bytes.resize(table + sizeof s);
  std::memcpy(bytes.data() + table, s, sizeof s);
  auto* h = reinterpret_cast<Elf64_Ehdr*>(bytes.data());
  h->e_shoff = table;
  h->e_shnum = 2;
  h->e_shentsize = sizeof(Elf64_Shdr);
  auto file = ElfFile::from_image("x", bytes);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ((*file)->sections().size(), 2U);
  EXPECT_FALSE((*file)->contents((*file)->sections()[1]).ok());
}

}  // namespace
}  // namespace culprit::binary
