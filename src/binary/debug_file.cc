#include "binary/debug_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "binary/byte_reader.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/CRC.h"

namespace culprit::binary {
namespace {

struct DebugLink {
  std::string name;
  std::uint32_t crc = 0;
};

// .gnu_debuglink: file name, NUL, padding to 4, CRC-32 (the zlib polynomial) of the whole file.
std::optional<DebugLink> read_debug_link(ElfFile& main) {
  const auto bytes = main.contents_of(".gnu_debuglink");
  if (bytes.empty()) return std::nullopt;
  ByteReader reader(bytes);
  const std::string_view name = reader.c_string();
  reader.skip((4 - reader.offset() % 4) % 4);
  const std::uint32_t crc = reader.u32();
  // A name with a slash could point anywhere; the format allows a base name only.
  if (!reader.ok() || name.empty() || name.size() > 255 ||
      name.find('/') != std::string_view::npos) {
    return std::nullopt;
  }
  return DebugLink{std::string(name), crc};
}

std::uint32_t crc_of(const ElfFile& file) {
  const auto bytes = file.bytes();
  return llvm::crc32(llvm::ArrayRef<std::uint8_t>(
      reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

}  // namespace

DebugFileResult find_debug_file(ElfFile& main, const std::string& original_path,
                                const DebugFileSearch& search) {
  DebugFileResult result;
  const auto link = read_debug_link(main);
  const std::string& id = main.build_id();

  if (id.size() > 2) {
    for (const std::string& directory : search.directories) {
      const std::string path =
          directory + "/.build-id/" + id.substr(0, 2) + "/" + id.substr(2) + ".debug";
      auto file = ElfFile::open(path);
      if (!file) continue;
      if ((*file)->build_id() == id) {
        result.file = std::move(file).value();
        return result;
      }
      result.problem = "debug file " + path + " has another build id";
    }
  }
  if (link) {
    // Where the program was loaded from, and where its file lies now.
    std::vector<std::string> folders;
    for (const std::string& path : {original_path, main.path()}) {
      std::string folder = std::filesystem::path(path).parent_path().string();
      if (std::find(folders.begin(), folders.end(), folder) == folders.end()) {
        folders.push_back(std::move(folder));
      }
    }
    std::vector<std::string> candidates;
    for (const std::string& folder : folders) {
      candidates.push_back(folder + "/" + link->name);
      candidates.push_back(folder + "/.debug/" + link->name);
      for (const std::string& directory : search.directories) {
        candidates.push_back(directory + folder + "/" + link->name);
      }
    }
    for (const std::string& path : candidates) {
      auto file = ElfFile::open(path);
      if (!file) continue;
      const bool same_id = !id.empty() && (*file)->build_id() == id;
      // Reading the whole file for its CRC is for files without a build id only.
      const bool same =
          (*file)->build_id().empty() || id.empty() ? crc_of(**file) == link->crc : same_id;
      if (same) {
        result.file = std::move(file).value();
        result.problem.clear();
        return result;
      }
      result.problem = "debug file " + path + " belongs to another build";
    }
    if (result.problem.empty()) {
      result.problem = "its separate debug file " + link->name + " was not found";
    }
  }
  return result;
}

}  // namespace culprit::binary
