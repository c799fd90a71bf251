// The options of every command that triages (`triage`, `run`).
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/triage.h"

namespace culprit::cli {

/// Raw values as CLI11 binds them.
struct TriageFlags {
  std::uint32_t max_hops = 32;
  double timeout_s = 120;
  std::int32_t pid = 0;
  std::string engine = "auto";
  std::string rsp_log;
  std::string json;
  std::string pointer;
  std::string address;
  std::string at;
  std::string report_file;
  std::vector<std::string> source_maps;
  std::uint32_t slot_size = 0;
  bool backtraces = false;
  CLI::Option* timeout_option = nullptr;  ///< null before add_to()

  /// `timeout_name`: `run` has another --timeout already.
  void add_to(CLI::App& command, const std::string& timeout_name);
  /// --engine of a command that does not record.
  void add_engine_to(CLI::App& command);
  /// Checks and converts; the trace is the caller's. Errors: usage, and those of reading --report's file.
  [[nodiscard]] Result<TriageRequest> request() const;
  [[nodiscard]] ReportOutput output() const;
};

}  // namespace culprit::cli
