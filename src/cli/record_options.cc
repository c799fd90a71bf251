#include "cli/record_options.h"

#include <cmath>

#include "cli/code_place.h"

namespace culprit::cli {
namespace {

std::chrono::milliseconds to_milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::llround(seconds * 1000)));
}

}  // namespace

void RecordFlags::add_to(CLI::App& app, bool searches) {
  app.add_option("--retries", retries, "Run again up to N times until it fails")
      ->type_name("N")
      ->check(CLI::Range(0U, 1'000'000U));
  app.add_option("--timeout", timeout_s, "End a run after S seconds; that is its failure then")
      ->type_name("S")
      ->check(CLI::Range(0.001, 1e6));
  app.add_option("-o,--output", output, "Directory for the trace (new or empty)")->type_name("DIR");
  app.add_option("--until", until, "What counts as failure: any, signal, exit, text")
      ->type_name("KIND")
      ->check(CLI::IsMember({"any", "signal", "exit", "text"}))
      ->capture_default_str();
  app.add_option("--crash-text", texts, "A text on stderr that counts as failure too")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  std::vector<std::string> engines{"auto", "hardware", "software", "exact"};
  if (searches) engines.insert(engines.end(), {"forward", "reverse"});
  app.add_option("--engine", engine,
                 std::string("How to record: auto, hardware (counters), software (ticks) or exact (ticks by "
                             "single steps: tiny programs only)") +
                     (searches ? "; how to search: forward or reverse (exact implies it)" : ""))
      ->type_name("ENGINE")
      ->check(CLI::IsMember(engines))
      ->capture_default_str();
  app.add_flag("--no-verify", no_verify, "Do not replay the trace once to check it");
  app.add_option("--hold-limit", hold_s,
                 "Software ticks: how long a signal may wait for a system call")
      ->type_name("S")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--starve-limit", starve_s,
                 "Software ticks: how long a thread may keep others from running")
      ->type_name("S")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("command", command, "The program and its arguments, after --")
      ->type_name("CMD...")
      ->required();
  // The program's own options belong to the program.
  app.positionals_at_end();
  app.prefix_command(false);
}

Result<recorder::RecordOptions> RecordFlags::options() const {
  recorder::RecordOptions out;
  out.command = command;
  out.output = output;
  out.attempts = retries + 1;
  if (timeout_s > 0) out.timeout = to_milliseconds(timeout_s);
  if (until != "any") {
    out.until = recorder::Until{until == "signal", until == "exit", until == "text"};
  }
  out.crash_texts.insert(out.crash_texts.end(), texts.begin(), texts.end());
  if (engine == "hardware") out.engine = recorder::Engine::hardware;
  if (engine == "software") out.engine = recorder::Engine::software;
  if (engine == "exact") out.engine = recorder::Engine::exact;
  out.verify = !no_verify;
  out.hold_limit = to_milliseconds(hold_s);
  out.starve_limit = to_milliseconds(starve_s);
  out.name_place = name_code_place;
  return out;
}

}  // namespace culprit::cli
