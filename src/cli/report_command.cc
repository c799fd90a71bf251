#include "cli/report_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/completion_model.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"
#include "report/formats/format.h"
#include "report/write.h"

namespace culprit::cli {
namespace {

// One format, and where it goes.
struct Output {
  report::Format format = report::Format::text;
  std::string path;
};

std::string format_list() {
  std::string list;
  for (const report::FormatInfo& format : report::formats()) {
    list += fmt::format("  {:<15} {} ({})\n", format.name, format.description, format.file_name);
  }
  return list;
}

std::vector<std::string_view> format_names() {
  std::vector<std::string_view> names{"all"};
  for (const report::FormatInfo& format : report::formats()) names.push_back(format.name);
  return names;
}

class ReportCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("report", "Show a report, or write it in other formats");
    command->add_option("report", report_, "The report's JSON; - is stdin")
        ->required()
        ->type_name("REPORT.json");
    command
        ->add_option("-f,--format", formats_,
                     "A format, and a file for it; may be repeated; 'all' with --output-dir")
        ->type_name("FORMAT[=FILE]")
        ->check(suggested_values(format_names()))
        ->allow_extra_args(false);
    command->add_option("-o,--output", output_, "Write to this file; - is stdout")
        ->type_name("FILE");
    command
        ->add_option("-d,--output-dir", directory_,
                     "Write each format to a file of its own name in this directory")
        ->type_name("DIR");
    command
        ->add_option(
            "--source-root", source_root_,
            "The repository's directory where the program was built, for formats that name "
            "files of a repository (default: the directory that the program was started in)")
        ->type_name("DIR");
    command
        ->add_option(
            "--strip-prefix", strip_prefixes_,
            "Files below this directory are at the repository's root, too (may be repeated)")
        ->type_name("DIR")
        ->allow_extra_args(false);
    command->add_flag("--backtraces", backtraces_, "text: the backtrace of each hop");
    command->footer(
        "Formats (and their names in --output-dir):\n" + format_list() +
        "Examples:\n"
        "  culprit report report.json\n"
        "  culprit report report.json --format markdown -o issue.md\n"
        "  culprit report report.json -f sarif=culprit.sarif -f github --source-root \"$PWD\"\n"
        "  culprit report report.json -f github-summary >> \"$GITHUB_STEP_SUMMARY\"\n"
        "  culprit report report.json -f all -d artefacts");
    return command;
  }

  int run(const CommonOptions&) override {
    const Result<std::vector<Output>> outputs = plan();
    if (!outputs.ok()) return report_error(outputs.error());
    const Result<report::Report> report = report::read_report(report_);
    if (!report.ok()) {
      // A file that was named and is not there is a mistake of the call.
      const bool missing = report.error().code == ErrorCode::not_found;
      report_error(report.error());
      return missing ? exit_usage : exit_code(report.error().code);
    }
    if (!directory_.empty()) {
      std::error_code code;
      std::filesystem::create_directories(directory_, code);
      if (code) {
        return report_error({ErrorCode::io, "cannot create " + directory_ + ": " + code.message()});
      }
    }
    const Terminal terminal = stdout_terminal();
    for (const Output& output : *outputs) {
      report::FormatOptions options;
      options.source_root = source_root_;
      options.strip_prefixes = strip_prefixes_;
      options.backtraces = backtraces_;
      if (output.path == "-") {
        options.colour = terminal.present;
        options.columns = terminal.columns;
      }
      const std::string text = report::render(*report, output.format, options);
      if (const Status written = report::write_output(output.path, text); !written.ok()) {
        return report_error(written.error());
      }
    }
    return exit_ok;
  }

 private:
  // Which format goes where. Errors: usage.
  [[nodiscard]] Result<std::vector<Output>> plan() const {
    const auto usage = [](std::string message) {
      return Error{ErrorCode::usage, std::move(message)};
    };
    std::vector<Output> outputs;
    for (const std::string& wanted : formats_) {
      const std::size_t equals = wanted.find('=');
      const std::string name = wanted.substr(0, equals);
      const std::string path = equals == std::string::npos ? "" : wanted.substr(equals + 1);
      if (equals != std::string::npos && path.empty()) {
        return usage(fmt::format("--format {}: name a file after the '='", wanted));
      }
      if (name == "all") {
        if (!path.empty() || directory_.empty()) {
          return usage("--format all writes several files: name a directory with --output-dir");
        }
        for (const report::FormatInfo& format : report::formats())
          outputs.push_back({format.id, ""});
        continue;
      }
      const auto format = report::format_named(name);
      if (!format) {
        return usage(
            fmt::format("--format {}: no such format; culprit report --help lists them", wanted));
      }
      outputs.push_back({*format, path});
    }
    if (outputs.empty()) outputs.push_back({report::Format::text, ""});
    if (!output_.empty() && !directory_.empty()) {
      return usage("--output names one file and --output-dir a directory: choose one");
    }
    std::size_t without_file = 0;
    for (Output& output : outputs) {
      if (!output.path.empty()) continue;
      ++without_file;
      if (!directory_.empty()) {
        output.path =
            (std::filesystem::path(directory_) / report::info(output.format).file_name).string();
      } else {
        output.path = output_.empty() ? "-" : output_;
      }
    }
    if (without_file == 0 && !output_.empty()) {
      return usage("--output: each --format names its own file already");
    }
    if (without_file > 1 && directory_.empty()) {
      return usage("several formats: name a file for each (--format FORMAT=FILE), or --output-dir");
    }
    return outputs;
  }

  std::string report_;
  std::vector<std::string> formats_;
  std::string output_;
  std::string directory_;
  std::string source_root_;
  std::vector<std::string> strip_prefixes_;
  bool backtraces_ = false;
};

}  // namespace

std::unique_ptr<Command> make_report_command() { return std::make_unique<ReportCommand>(); }

}  // namespace culprit::cli
