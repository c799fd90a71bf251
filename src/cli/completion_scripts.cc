#include "cli/completion_scripts.h"

#include <fmt/format.h>

#include <string_view>

namespace culprit::cli {
namespace {

using Kind = ValueHint::Kind;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

/// With their dashes.
std::vector<std::string> names_of(const OptionModel& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.shorts) out.push_back("-" + name);
  for (const std::string& name : option.longs) out.push_back("--" + name);
  return out;
}

/// One word of a shell. fish differs from POSIX inside quotes: there \' and \\ are escapes.
std::string shell_word(std::string_view text, bool fish = false) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += fish ? "\\'" : "'\\''";
    } else if (c == '\\' && fish) {
      out += "\\\\";
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out + "'";
}

// ---- bash

std::string bash_action(const ValueHint& hint) {
  switch (hint.kind) {
    case Kind::values:
      return "_culprit_words " + shell_word(joined(hint.values));
    case Kind::file:
      return "_culprit_files -f";
    case Kind::directory:
      return "_culprit_files -d";
    case Kind::command:
      return "_culprit_files -c";
    case Kind::none:
      break;
  }
  return ":";
}

std::string bash_values(const std::string& command, const std::vector<OptionModel>& options) {
  std::string out;
  for (const OptionModel& option : options) {
    if (!option.takes_value) continue;
    std::string pattern;
    for (const std::string& name : names_of(option)) {
      pattern += fmt::format("{}{}:{}", pattern.empty() ? "" : "|", command, name);
    }
    out += fmt::format("    {}) {}; return ;;\n", pattern, bash_action(option.hint));
  }
  return out;
}

std::string bash_names(const std::vector<OptionModel>& options) {
  std::vector<std::string> names;
  for (const OptionModel& option : options) {
    for (std::string& name : names_of(option)) names.push_back(std::move(name));
  }
  return joined(names);
}

// ---- zsh

/// Inside the specification of _arguments: brackets and colons end parts of it.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const ValueHint& hint) {
  switch (hint.kind) {
    case Kind::values:
      return "(" + joined(hint.values) + ")";
    case Kind::file:
      return "_files";
    case Kind::directory:
      return "_files -/";
    case Kind::command:
      return "_normal";
    case Kind::none:
      break;
  }
  return " ";
}

// One line for each name of the option; all of them are excluded once one of them is there.
std::string zsh_option(const OptionModel& option) {
  const std::vector<std::string> names = names_of(option);
  const std::string head = option.repeatable ? "*" : "(" + joined(names) + ")";
  std::string value;
  if (option.takes_value) {
    value = fmt::format(":{}:{}", zsh_text(option.type), zsh_action(option.hint));
  }
  std::string out;
  for (const std::string& name : names) {
    const char* joint = !option.takes_value ? "" : name.starts_with("--") ? "=" : "+";
    out += fmt::format("        {} \\\n",
                       shell_word(fmt::format("{}{}{}[{}]{}", head, name, joint,
                                              zsh_text(option.description), value)));
  }
  return out;
}

std::string zsh_options(const std::vector<OptionModel>& options) {
  std::string out;
  for (const OptionModel& option : options) out += zsh_option(option);
  return out;
}

// ---- fish

std::string fish_action(const ValueHint& hint) {
  switch (hint.kind) {
    case Kind::values:
      return "-x -a " + shell_word(joined(hint.values), true);
    case Kind::file:
      return "-r -F";
    case Kind::directory:
      return "-x -a '(__fish_complete_directories)'";
    case Kind::command:
      return "-r -F -a '(__fish_complete_command)'";
    case Kind::none:
      break;
  }
  return "-x";
}

std::string fish_options(const std::string& condition, const std::vector<OptionModel>& options) {
  std::string out;
  for (const OptionModel& option : options) {
    std::string line = "complete -c culprit" + condition;
    for (const std::string& name : option.shorts) line += " -s " + name;
    for (const std::string& name : option.longs) line += " -l " + name;
    if (option.takes_value) line += " " + fish_action(option.hint);
    out += line + " -d " + shell_word(option.description, true) + "\n";
  }
  return out;
}

}  // namespace

std::string bash_completion(const ProgramModel& program) {
  std::vector<std::string> commands;
  std::string values;
  std::string options;
  std::string positionals;
  const std::string common = bash_names(program.options);
  for (const CommandModel& command : program.commands) {
    commands.push_back(command.name);
    values += bash_values(command.name, command.options);
    options += fmt::format("      {}) _culprit_words {} ;;\n", command.name,
                           shell_word(bash_names(command.options) + " " + common));
    positionals += fmt::format("    {}) {} ;;\n", command.name, bash_action(command.positional));
  }
  return R"(# bash completion of culprit. Generated by `culprit completion bash`.
_culprit_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}
_culprit_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
  if [[ $1 == -c ]]; then
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
  fi
}
_culprit() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' after='' i
  COMPREPLY=()
  # bash takes --name=value apart at the '='.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ -z $command && ${COMP_WORDS[i]} != -* ]]; then
      command=${COMP_WORDS[i]}
    elif [[ -n $command && ${COMP_WORDS[i]} == -- ]]; then
      after=$((COMP_CWORD - i))
      break
    fi
  done
  if [[ -z $command ]]; then
    if [[ $cur == -* ]]; then
      _culprit_words )" +
         shell_word(common) + R"(
    else
      _culprit_words )" +
         shell_word(joined(commands)) + R"(
    fi
    return
  fi
  if [[ -n $after && $after -gt 1 ]]; then
    _culprit_files -f
    return
  fi
  [[ -n $after ]] || case $command:$prev in
)" + values +
         R"(  esac
  if [[ -z $after && $cur == -* ]]; then
    case $command in
)" + options +
         R"(    esac
    return
  fi
  case $command in
)" + positionals +
         R"(  esac
}
complete -F _culprit culprit
)";
}

std::string zsh_completion(const ProgramModel& program) {
  std::string commands;
  std::string cases;
  const std::string common = zsh_options(program.options);
  for (const CommandModel& command : program.commands) {
    commands +=
        fmt::format("    {}\n", shell_word(zsh_text(command.name) + ":" + command.description));
    cases += fmt::format("    {})\n      _arguments -s -S \\\n", command.name);
    for (const OptionModel& option : command.options) cases += zsh_option(option);
    for (const OptionModel& option : program.options) {
      // --help is in both.
      if (option.longs.size() != 1 || option.longs.front() != "help") cases += zsh_option(option);
    }
    // Three colons: what comes after belongs to another command, with its own words.
    const bool other = command.positional.kind == Kind::command;
    cases += fmt::format("        {}\n      ;;\n",
                         shell_word(fmt::format("*{}argument:{}", other ? ":::" : ":",
                                                zsh_action(command.positional))));
  }
  return R"(#compdef culprit
# zsh completion of culprit. Generated by `culprit completion zsh`.
_culprit() {
  local curcontext=$curcontext state line
  local -a subcommands  # not "commands": that is zsh's table of all programs
  subcommands=(
)" + commands +
         R"(  )
  _arguments -C \
)" + common +
         R"(        '1:command:->command' \
        '*::argument:->arguments' && return
  if [[ $state == command ]]; then
    _describe -t commands command subcommands
    return
  fi
  case $words[1] in
)" + cases +
         R"(  esac
}
if [[ $funcstack[1] == _culprit ]]; then
  _culprit "$@"
else
  compdef _culprit culprit
fi
)";
}

std::string fish_completion(const ProgramModel& program) {
  std::string out =
      "# fish completion of culprit. Generated by `culprit completion fish`.\n"
      "complete -c culprit -f\n";
  out += fish_options("", program.options);
  for (const CommandModel& command : program.commands) {
    out += fmt::format("complete -c culprit -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       shell_word(command.description, true));
  }
  for (const CommandModel& command : program.commands) {
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", command.name);
    std::vector<OptionModel> own;
    for (const OptionModel& option : command.options) {
      if (option.longs.size() != 1 || option.longs.front() != "help") own.push_back(option);
    }
    out += fish_options(condition, own);
    if (command.positional.kind == Kind::none) continue;
    std::string action = fish_action(command.positional);
    // No value of an option: what can stand here needs not be there.
    action.replace(
        0, 2,
        command.positional.kind == Kind::values || command.positional.kind == Kind::directory ? "-f"
                                                                                              : "");
    out += fmt::format("complete -c culprit{} {}\n", condition, action);
  }
  return out;
}

}  // namespace culprit::cli
