// One subcommand of `culprit`. Each has a file of its own and is listed in commands.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <vector>

#include "base/progress.h"

namespace culprit::cli {

/// Options of the program itself, before or after the subcommand's name.
struct CommonOptions {
  bool quiet = false;
  bool verbose = false;
  Progress::Verbosity verbosity() const {
    if (quiet) return Progress::Verbosity::quiet;
    return verbose ? Progress::Verbosity::verbose : Progress::Verbosity::automatic;
  }
};

class Command {
 public:
  virtual ~Command() = default;
  /// Adds the subcommand with its options, its description and, as footer, an example. Options are
  /// bound to members of this object.
  virtual CLI::App* add_to(CLI::App& app) = 0;
  /// Runs it after parsing; returns the exit code.
  virtual int run(const CommonOptions& common) = 0;
};

/// All subcommands, in the order of `culprit --help`.
std::vector<std::unique_ptr<Command>> all_commands();

}  // namespace culprit::cli
