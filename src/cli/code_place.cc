#include "cli/code_place.h"

#include <filesystem>
#include <vector>

#include "binary/module_map.h"
#include "binary/symbolizer.h"

namespace culprit::cli {

std::string name_code_place(const recorder::CodePlace& place) {
  if (place.file.empty()) return "";
  constexpr std::uint64_t page = 4096;
  binary::Mapping mapping;
  mapping.range = ByteRange{Address{place.address & ~(page - 1)}, page};
  mapping.file_offset = place.file_offset & ~(page - 1);
  mapping.readable = mapping.executable = true;
  mapping.path = place.file.string();
  binary::ModuleCache cache;
  std::vector<binary::Mapping> mappings;
  mappings.push_back(std::move(mapping));
  const binary::ModuleMap map(std::move(mappings), cache);
  const binary::CodeLocation location = binary::Symbolizer(map).locate(Address{place.address});
  std::string out(location.best_name());
  if (out.empty()) return out;
  if (!location.frames.empty() && location.frames.front().position.known()) {
    const binary::SourcePosition& position = location.frames.front().position;
    out += ", " + std::filesystem::path(position.file).filename().string() + ":" +
           std::to_string(position.line);
  } else {
    out += " in " + place.file.filename().string();
  }
  return out;
}

}  // namespace culprit::cli
