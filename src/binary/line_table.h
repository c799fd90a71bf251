// One line number program, decoded (internal to this layer).
//
// DWARF 5 section 6.2, versions 2 to 5. Written by hand, because LLVM's decoder has undefined
// behaviour on entry formats with forms that it does not know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culprit::binary {

class LineTable {
 public:
  struct Row {
    std::uint64_t address = 0;
    std::uint32_t file = 0;
    std::uint32_t line = 0;
    std::uint16_t column = 0;
    bool is_statement = false;
    bool prologue_end = false;
    bool end_sequence = false;
  };
  struct Sections {
    std::span<const std::byte> line;      ///< .debug_line
    std::span<const std::byte> line_str;  ///< .debug_line_str
    std::span<const std::byte> str;       ///< .debug_str
  };

  /// The program at `offset` of .debug_line. What comes before malformed input is kept; nothing if
  /// the header itself cannot be read. `compilation_folder` completes relative paths.
  [[nodiscard]] static std::optional<LineTable> parse(const Sections& sections,
                                                      std::uint64_t offset,
                                                      std::string_view compilation_folder);

  /// The row in force at an address; null if no sequence covers it.
  [[nodiscard]] const Row* at(std::uint64_t address) const;
  /// The rows of [low, high), from the one in force at `low` on, end markers left out.
  [[nodiscard]] std::vector<Row> between(std::uint64_t low, std::uint64_t high) const;
  /// The path of a file number as rows and DIEs use it; empty if there is none.
  [[nodiscard]] std::string file(std::uint64_t number) const;

 private:
  struct File {
    std::string_view name;
    std::uint64_t folder = 0;
  };
  struct Sequence {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::size_t first = 0;  ///< index of its first row
    std::size_t last = 0;   ///< index of its end marker
  };
  struct Header;
  bool parse_header(const Sections& sections, std::uint64_t offset, Header& header);
  void run(const Header& header, std::span<const std::byte> program);
  [[nodiscard]] const Sequence* sequence_at(std::uint64_t address) const;
  [[nodiscard]] std::size_t row_at(const Sequence& sequence, std::uint64_t address) const;

  std::uint16_t version_ = 0;
  std::string compilation_folder_;
  std::vector<std::string_view> folders_;
  std::vector<File> files_;
  std::vector<Row> rows_;
  std::vector<Sequence> sequences_;  // sorted by low
};

}  // namespace culprit::binary
