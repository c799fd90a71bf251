#include "cli/run_cli.h"

#include <cstdio>
#include <exception>

#include "base/signals.h"
#include "cli/command.h"
#include "cli/exit_codes.h"

#ifndef CULPRIT_VERSION
#define CULPRIT_VERSION "unknown"
#endif

namespace culprit::cli {
namespace {

int parse_and_run(int argc, char** argv) {
  CLI::App app("Who wrote this bad pointer, and where did that value come from?", "culprit");
  app.require_subcommand(1);
  app.set_version_flag("--version", "culprit " CULPRIT_VERSION);
  app.fallthrough();
  CommonOptions common;
  app.add_flag("-q,--quiet", common.quiet, "No status line");
  app.add_flag("-v,--verbose", common.verbose, "Say what is being done");
  app.footer(
      "Exit codes: 0 done, 1 internal error, 2 usage, 3 chain incomplete, 4 the program did not\n"
      "fail, 5 cannot record here, 6 replay failed, 130 interrupted.\n"
      "Start with `culprit doctor`.");

  const std::vector<std::unique_ptr<Command>> commands = all_commands();
  std::vector<CLI::App*> subcommands;
  for (const auto& command : commands) subcommands.push_back(command->add_to(app));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (subcommands[i]->parsed()) return commands[i]->run(common);
  }
  return exit_usage;
}

}  // namespace

ExitCode report_error(const Error& error) {
  std::fprintf(stderr, "culprit: %s\n", error.message.c_str());
  return exit_code(error.code);
}

int run_cli(int argc, char** argv) {
  install_interrupt_handlers();
  try {
    return parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    return report_error(Error{ErrorCode::internal, std::string("internal error: ") + error.what()});
  }
}

}  // namespace culprit::cli
