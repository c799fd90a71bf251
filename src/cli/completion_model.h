// What shells need to know of the command line, taken from the CLI11 application that parses it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culprit::cli {

/// What can stand for a value.
struct ValueHint {
  enum class Kind : std::uint8_t {
    none,       ///< nothing that a shell could know: a number, a text
    values,     ///< one of `values`
    file,       ///< a file or a directory
    directory,  ///< a directory
    command,    ///< a program and its arguments
  };
  Kind kind = Kind::none;
  std::vector<std::string> values;
};

struct OptionModel {
  std::vector<std::string> shorts;  ///< without "-"
  std::vector<std::string> longs;   ///< without "--"
  std::string description;
  std::string type;          ///< the value's name in --help
  bool takes_value = false;  ///< false: a flag
  bool repeatable = false;
  ValueHint hint;
};

struct CommandModel {
  std::string name;
  std::string description;
  std::vector<OptionModel> options;
  ValueHint positional;
};

/// The program: its name, its own options (valid before and after a command), its commands.
struct ProgramModel {
  std::string name;
  std::vector<OptionModel> options;
  std::vector<CommandModel> commands;
};

/// Of an application whose subcommands have all been added. Closed lists come from CLI::IsMember
/// and suggested_values(); files, directories and commands are told by the name of an option's type
/// ("DIR", "FILE|-", "TRACE", "CMD...").
[[nodiscard]] ProgramModel completion_model(CLI::App& app);

/// A validator that accepts everything, and tells a shell what can be completed where an option
/// takes more than the names of a closed list ("FORMAT[=FILE]"). It shows nothing in --help.
[[nodiscard]] CLI::Validator suggested_values(const std::vector<std::string_view>& values);

}  // namespace culprit::cli
