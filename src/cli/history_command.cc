#include "cli/history_command.h"

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "cli/exit_codes.h"
#include "cli/open_trace.h"
#include "cli/slot_option.h"
#include "crash/overrides.h"
#include "provenance/address_history.h"

namespace culprit::cli {
namespace {

/// "A..B", "A..", "..B": event numbers.
Status parse_between(std::string_view text, report::HistoryFilters& out) {
  const Error wrong{ErrorCode::usage, "--between " + std::string(text.substr(0, 60)) +
                                          ": say A..B, A.. or ..B, event numbers"};
  const std::size_t dots = text.find("..");
  if (dots == std::string_view::npos) return wrong;
  const auto number = [](std::string_view digits, std::optional<std::int64_t>& value) {
    if (digits.empty()) return true;
    std::int64_t parsed = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
    if (error != std::errc{} || end != digits.data() + digits.size() || parsed < 0) return false;
    value = parsed;
    return true;
  };
  const std::string_view first = text.substr(0, dots);
  const std::string_view last = text.substr(dots + 2);
  if ((first.empty() && last.empty()) || !number(first, out.first) || !number(last, out.last))
    return wrong;
  return {};
}

class HistoryCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "history", "Show every write to an address, and all that it ever belonged to");
    command->add_option("trace", trace_, "The trace's directory")->required()->type_name("TRACE");
    command
        ->add_option("slot", slot_,
                     "An address (0x…), or an expression of the program's source for the frames of "
                     "the crash "
                     "(page->b, table[3].next)")
        ->required()
        ->type_name("ADDR|EXPR");
    command->add_option("--size", size_, "Bytes: 1 to 8, or 16, 24 or 32 at a multiple of 8")
        ->check(CLI::Range(1, 32));
    command->add_option("--value", value_, "Only writes that left this value there, in hexadecimal")
        ->type_name("HEX");
    command->add_option("--thread", thread_, "Only writes of this thread")
        ->check(CLI::Range(1, 4194304));
    command->add_option("--between", between_, "Only writes in this range of rr's events")
        ->type_name("A..B");
    command->add_option("--process", process_, "Whose address it is; else the process that failed")
        ->check(CLI::Range(1, 4194304));
    command
        ->add_option("--at", at_,
                     "Look back from there, not from the failure: exit, write:REGEX (the write to "
                     "stdout or stderr that matches), fn:SYMBOL[#K] (the K-th entry)")
        ->type_name("POINT");
    command
        ->add_option("--limit", limit_,
                     "List at most so many writes, the newest; the others are counted")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_option("-f,--format", format_, "text, json or csv")
        ->check(CLI::IsMember({"text", "json", "csv"}))
        ->capture_default_str();
    command->add_option("-o,--output", output_, "Write to this file")->type_name("FILE");
    command->add_option("--timeout", timeout_s_, "Seconds for everything")
        ->check(CLI::Range(0.1, 86400.0))
        ->type_name("S")
        ->capture_default_str();
    command
        ->add_option("--source-map", source_maps_,
                     "Source files recorded under OLD are read under NEW (may be repeated)")
        ->type_name("OLD=NEW");
    command->add_flag("--backtraces", backtraces_, "Print whole backtraces");
    command->footer(
        "Examples: culprit history TRACE 'page->b'\n"
        "          culprit history TRACE 0x7f3a80001000 --size 4 --value 66 --format csv\n"
        "The writes up to the failure of the process, or to its exit, or to --at, are told.");
    return command;
  }

  int run(const CommonOptions& common) override {
    provenance::HistoryOptions options;
    if (const Status parsed = parse(options); !parsed.ok()) return report_error(parsed.error());
    Progress progress(common.verbosity());
    options.progress = [&progress](std::string_view phase, std::uint64_t hits) {
      progress.phase(phase);
      progress.hits(hits);
    };
    TraceToOpen wanted;
    wanted.path = trace_;
    wanted.timeout = options.timeout;
    wanted.engine = SearchEngine::forward;
    const Result<OpenTrace> trace = open_trace(wanted, progress);
    if (!trace.ok()) return report_error(trace.error());
    options.output_source = [&] {
      return replay::output_writes(trace->info.path, trace->command, *trace->index,
                                   options.timeout);
    };
    Result<report::History> history =
        provenance::address_history(*trace->replay, *trace->index, options);
    progress.pause();
    if (!history.ok()) return report_error(history.error());
    describe_trace(*trace, history->tool, history->program, history->trace, history->engine);
    history->engine.choice = "every write is counted";
    for (const std::string& changed : trace->info.changed_binaries) {
      history->warnings.push_back(changed + " has changed since the recording");
    }
    if (const Status shown = show(*history); !shown.ok()) return report_error(shown.error());
    return exit_ok;
  }

 private:
  Status parse(provenance::HistoryOptions& out) const {
    CULPRIT_ASSIGN(const NamedSlot slot, parse_slot("ADDR|EXPR", slot_));
    out.address = slot.address;
    out.expression = slot.expression;
    out.size = size_;
    out.limit = limit_;
    out.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout_s_ * 1000));
    if (process_ != 0) out.process = ProcessId{process_};
    if (thread_ != 0) out.filters.thread = thread_;
    if (!value_.empty()) {
      CULPRIT_ASSIGN(out.filters.value, crash::parse_hex("--value", value_));
    }
    if (!at_.empty()) {
      CULPRIT_ASSIGN(out.point, provenance::parse_crash_point(at_));
    }
    if (!between_.empty()) CULPRIT_TRY(parse_between(between_, out.filters));
    CULPRIT_ASSIGN(out.source_prefixes, parse_source_maps(source_maps_));
    return {};
  }

  Status show(const report::History& history) const {
    const std::string text = format_ == "json"  ? report::to_json_text(history)
                             : format_ == "csv" ? report::to_csv(history)
                                                : report::to_text(history, backtraces_);
    if (!output_.empty()) return write_file_atomically(output_, text);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
        std::fflush(stdout) != 0) {
      return Error{ErrorCode::io, "the history could not be written to stdout"};
    }
    return {};
  }

  std::string trace_;
  std::string slot_;
  std::uint64_t size_ = 0;
  std::string value_;
  std::int32_t thread_ = 0;
  std::string between_;
  std::int32_t process_ = 0;
  std::string at_;
  std::size_t limit_ = 100;
  std::string format_ = "text";
  std::string output_;
  double timeout_s_ = 120;
  std::vector<std::string> source_maps_;
  bool backtraces_ = false;
};

}  // namespace

std::unique_ptr<Command> make_history_command() { return std::make_unique<HistoryCommand>(); }

}  // namespace culprit::cli
