#include "cli/completion_model.h"

#include <utility>

namespace culprit::cli {
namespace {

constexpr std::string_view kSuggested = "suggested:";

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    out.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

// CLI::IsMember describes itself as "{a,b,c}", which is what --help shows.
std::vector<std::string> values_of(CLI::Option& option) {
  try {
    for (int i = 0;; ++i) {
      const CLI::Validator& validator = *option.get_validator(i);
      const std::string description = validator.get_description();
      if (description.size() > 2 && description.front() == '{' && description.back() == '}') {
        return split_at_commas(std::string_view(description).substr(1, description.size() - 2));
      }
      if (validator.get_name().starts_with(kSuggested)) {
        return split_at_commas(std::string_view(validator.get_name()).substr(kSuggested.size()));
      }
    }
  } catch (const CLI::OptionNotFound&) {  // the library's way to say that there are no more
    return {};
  }
}

ValueHint hint_of(CLI::Option& option) {
  ValueHint hint;
  hint.values = values_of(option);
  const std::string type = option.get_type_name();
  const auto has = [&](std::string_view part) { return type.find(part) != std::string::npos; };
  if (!hint.values.empty()) {
    hint.kind = ValueHint::Kind::values;
  } else if (has("CMD")) {
    hint.kind = ValueHint::Kind::command;
  } else if (has("FILE") || has(".json") || has("LIST")) {
    hint.kind = ValueHint::Kind::file;
  } else if (has("DIR") || has("TRACE")) {
    hint.kind = ValueHint::Kind::directory;
  }
  return hint;
}

// Of the positionals the last one counts: what is still to be typed.
void add_options(CLI::App& app, std::vector<OptionModel>& options, ValueHint* positional) {
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) {
    if (!option->nonpositional()) {
      if (positional != nullptr) *positional = hint_of(*option);
      continue;
    }
    OptionModel out;
    out.shorts = option->get_snames();
    out.longs = option->get_lnames();
    out.description = option->get_description();
    out.takes_value = option->get_items_expected_max() > 0;
    out.repeatable = option->get_items_expected_max() > 1;
    if (out.takes_value) {
      out.type = option->get_type_name();
      out.hint = hint_of(*option);
    }
    options.push_back(std::move(out));
  }
}

}  // namespace

ProgramModel completion_model(CLI::App& app) {
  ProgramModel program;
  program.name = app.get_name();
  add_options(app, program.options, nullptr);
  for (CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; })) {
    CommandModel command;
    command.name = sub->get_name();
    command.description = sub->get_description();
    add_options(*sub, command.options, &command.positional);
    program.commands.push_back(std::move(command));
  }
  return program;
}

CLI::Validator suggested_values(const std::vector<std::string_view>& values) {
  std::string name(kSuggested);
  for (const std::string_view value : values) {
    if (name.size() > kSuggested.size()) name += ',';
    name += value;
  }
  return CLI::Validator([](std::string&) { return std::string(); }, "", name);
}

}  // namespace culprit::cli
