// The cases of a batch: where they come from, and how they are named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace culprit::batch {

/// Bounds of what is read; what is over them is an error and not cut.
inline constexpr std::size_t kMaxListBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxLineBytes = std::size_t{128} << 10;
inline constexpr std::size_t kMaxCases = 1'000'000;

/// One reproducer, or one recording.
struct Case {
  enum class Kind : std::uint8_t {
    command,  ///< `words` is a program and its arguments
    trace,    ///< `words` is the directory of one recording
  };
  Kind kind = Kind::command;
  std::vector<std::string> words;
  /// 32 hex digits: a hash of the kind, the words and how often they came before in the same batch.
  /// The same list gives the same ids; lines that are added elsewhere in it change none.
  std::string id;
};

/// The words as a shell would be given them, for people.
[[nodiscard]] std::string shown_words(const Case& one);

/// One line as a POSIX shell splits it into words (2.2 and 2.3 of its chapter "Shell Command
/// Language"): blanks, '…', "…", backslashes, and a comment from a # that begins a word. Nothing is
/// expanded. Errors: bad_input for an open quote, a NUL, and for unquoted characters that only a
/// shell can carry out (| & ; < > ( ) $ and backticks).
[[nodiscard]] Result<std::vector<std::string>> split_words(std::string_view line);

/// True for a directory that looks like a recording of rr.
[[nodiscard]] bool is_trace(const std::filesystem::path& path);

/// A list: one command line a line; a line of one word that names a recording is that recording.
/// Blank lines and comments are passed over. Errors: bad_input, with the line's number.
[[nodiscard]] Result<std::vector<Case>> parse_case_list(std::string_view text);

/// All recordings and all programs (regular files that may be executed, run without arguments) in
/// or below a directory, in the byte order of their paths; or the one recording that it is. Nothing
/// in `except` (the batch's own output) is looked at, and links to directories are not followed.
/// Errors: io; bad_input (too many).
[[nodiscard]] Result<std::vector<Case>> find_cases(const std::filesystem::path& directory,
                                                   const std::filesystem::path& except);

/// Fills in Case::id of all cases of a batch.
void number_cases(std::vector<Case>& cases);

}  // namespace culprit::batch
