// The options of every command that records (`record`, `run`).
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "recorder/record.h"

namespace culprit::cli {

/// Raw values as CLI11 binds them.
struct RecordFlags {
  unsigned retries = 0;
  double timeout_s = 0;
  std::string output;
  std::string until = "any";
  std::vector<std::string> texts;
  std::string engine = "auto";
  bool no_verify = false;
  double hold_s = 3;
  double starve_s = 4;
  std::vector<std::string> command;

  /// Adds the options and, last, the command as remaining arguments.
  /// `searches`: --engine may name how the trace is searched, too.
  void add_to(CLI::App& command_app, bool searches = false);
  /// Checks and converts. Errors: usage.
  [[nodiscard]] Result<recorder::RecordOptions> options() const;
};

}  // namespace culprit::cli
