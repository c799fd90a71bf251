#include "cli/batch_command.h"

#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/signals.h"
#include "base/subprocess.h"
#include "batch/case_list.h"
#include "batch/results_file.h"
#include "batch/shard.h"
#include "batch/summary.h"
#include "batch/worker_pool.h"
#include "cli/exit_codes.h"
#include "report/cluster.h"
#include "report/sanitize.h"
#include "report/write.h"

namespace culprit::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using batch::Case;
using batch::CaseResult;
using batch::Outcome;

/// The processors that this process may use: a container or Slurm may allow fewer than there are.
unsigned usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

/// A killed rr's tracees may still be ending, and write into the directory meanwhile.
void remove_scratch(const fs::path& path) {
  for (int tries = 0; tries < 20; ++tries) {
    std::error_code code;
    fs::remove_all(path, code);
    if (!code) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// The last line of what culprit said, without its own name.
std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const std::size_t feed = text.rfind('\n');
  if (feed != std::string_view::npos) text.remove_prefix(feed + 1);
  if (text.starts_with("culprit: ")) text.remove_prefix(9);
  return report::sanitize(text, 1000);
}

Outcome outcome_of_code(int code) {
  switch (code) {
    case exit_ok:
      return Outcome::complete;
    case exit_chain_incomplete:
      return Outcome::incomplete;
    case exit_did_not_fail:
      return Outcome::did_not_fail;
    case exit_cannot_record:
      return Outcome::cannot_record;
    case exit_replay_failed:
      return Outcome::replay_failed;
    case exit_usage:
      return Outcome::bad_case;
    default:
      return Outcome::failed;
  }
}

class BatchCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "batch", "Triage many reproducers or recordings in parallel: how many bugs are these?");
    command
        ->add_option("cases", sources_,
                     "Directories, searched for recordings and programs, or lists: one command "
                     "line or recording a line; - is stdin")
        ->required()
        ->type_name("DIR|LIST");
    command->add_option("-j,--jobs", jobs_, "Cases at a time (default: as many as processors)")
        ->type_name("N")
        ->check(CLI::Range(1U, 1024U));
    command->add_option("-o,--output-dir", directory_, "Where results and reports go")
        ->type_name("DIR")
        ->capture_default_str();
    command->add_option("--shard", shard_, "Only part I of N parts of the cases, from 1")
        ->type_name("I/N");
    command->add_option("--case-timeout", case_timeout_s_, "Seconds for one case, all of it")
        ->type_name("S")
        ->check(CLI::Range(0.1, 604800.0))
        ->capture_default_str();
    command->add_option("--retries", retries_, "Run a program again up to N times until it fails")
        ->type_name("N")
        ->check(CLI::Range(0U, 1'000'000U));
    command->add_option("--timeout", timeout_s_, "End a run after S seconds; see culprit run")
        ->type_name("S")
        ->check(CLI::Range(0.001, 1e6));
    command->add_option("--until", until_, "What counts as failure: any, signal, exit, text")
        ->type_name("KIND")
        ->check(CLI::IsMember({"any", "signal", "exit", "text"}))
        ->capture_default_str();
    command->add_option("--triage-timeout", triage_timeout_s_, "Seconds for each triage")
        ->type_name("S")
        ->check(CLI::Range(0.1, 86400.0))
        ->capture_default_str();
    command->add_option("--max-hops", max_hops_, "Follow a value for at most this many hops")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_flag("--keep-traces", keep_traces_, "Keep the recordings, in DIR/traces");
    command->add_flag("--again", again_,
                      "Do cases again that have no report yet (timeouts, crashes, …)");
    command->add_flag("--json", json_,
                      "Print a JSON line for each case as it is done, and no table");
    command->add_flag("--list", list_, "Print the cases and their ids, and do nothing");
    command->footer(
        "What is done is written to DIR/results.jsonl, a line of JSON for each case; the same "
        "call\n"
        "goes on where an earlier one was ended. A line of a list is split as by a shell, but\n"
        "nothing is expanded: write sh -c '…' for pipes, env X=1 … for variables.\n"
        "Exit codes: 0 each case has a report, 3 some have none (the table says why), 5 nothing\n"
        "could be recorded here, 2 usage, 1 internal error, 130 interrupted.\n"
        "Examples:\n"
        "  culprit batch -j 4 crashes.txt\n"
        "  culprit batch -o out ~/.local/share/culprit\n"
        "  culprit batch -o out --shard 2/8 crashes.txt      # see docs/batch.md for Slurm\n"
        "  find fuzz -name 'crash-*' | sed 's|^|./parser |' | culprit batch --json -");
    return command;
  }

  int run(const CommonOptions& common) override {
    // A reader of --json that goes away is an error of a write, after which the children are ended.
    // A handler and not SIG_IGN, which the programs under test would inherit.
    ::signal(SIGPIPE, [](int) {});
    if (const Status prepared = prepare(); !prepared.ok()) return report_error(prepared.error());
    if (list_) {
      for (const Case& one : cases_) {
        fmt::print("{}  {}  {}\n", one.id, one.kind == Case::Kind::trace ? "trace  " : "command",
                   batch::shown_words(one));
      }
      return exit_ok;
    }
    Progress progress(common.verbosity());
    const Status status = work_through(progress);
    progress.pause();
    remove_scratch(scratch());
    if (!status.ok()) {
      const int code = report_error(status.error());
      if (status.error().code == ErrorCode::interrupted) {
        fmt::print(stderr, "culprit: {} of {} cases are done; the same call goes on from there\n",
                   results_.size(), cases_.size());
      }
      return code;
    }
    if (!json_) {
      const Status shown = report::write_output("-", batch::summary_text(summary()));
      if (!shown.ok()) return report_error(shown.error());
    }
    return exit_code_of_all();
  }

 private:
  // Everything that can be wrong with the call is found here, before anything runs.
  Status prepare() {
    if (!shard_.empty()) {
      CULPRIT_ASSIGN(part_, batch::parse_shard(shard_));
    }
    CULPRIT_TRY(read_cases());
    batch::number_cases(cases_);
    std::vector<Case> own;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      if (part_.has(i)) own.push_back(std::move(cases_[i]));
    }
    cases_ = std::move(own);
    if (list_) return {};
    std::error_code code;
    self_ = fs::read_symlink("/proc/self/exe", code);
    if (code) return Error{ErrorCode::io, "cannot find culprit's own file: " + code.message()};
    // The children's paths must not depend on anything.
    directory_ = fs::absolute(directory_, code).lexically_normal().string();
    fs::create_directories(fs::path(directory_) / "reports", code);
    if (code) {
      return Error{ErrorCode::io, "cannot create " + directory_ + ": " + code.message()};
    }
    return {};
  }

  Status read_cases() {
    for (const std::string& source : sources_) {
      std::error_code code;
      std::vector<Case> found;
      if (source != "-" && fs::is_directory(source, code)) {
        CULPRIT_ASSIGN(found, batch::find_cases(source, directory_));
      } else {
        const std::string name = source == "-" ? "/dev/stdin" : source;
        const Result<std::string> text = read_file(name, batch::kMaxListBytes);
        if (!text.ok()) return Error{ErrorCode::usage, text.error().message};
        Result<std::vector<Case>> list = batch::parse_case_list(*text);
        if (!list.ok()) return list.error().with_context(source);
        found = *std::move(list);
      }
      cases_.insert(cases_.end(), std::make_move_iterator(found.begin()),
                    std::make_move_iterator(found.end()));
    }
    return {};
  }

  Status work_through(Progress& progress) {
    const fs::path top = directory_;
    CULPRIT_ASSIGN(batch::ResultsFile file,
                   batch::ResultsFile::open(top / batch::results_name(part_)));
    // Of a run of this shard that was killed: nobody else uses it while the file is locked.
    remove_scratch(scratch());
    CULPRIT_ASSIGN(batch::EarlierResults earlier, batch::read_results(top));
    for (const std::string& problem : earlier.unreadable) {
      fmt::print(stderr, "culprit: {}; its case is done again\n", report::sanitize(problem, 400));
    }
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      const auto found = earlier.by_id.find(cases_[i].id);
      if (found != earlier.by_id.end() && is_done(found->second)) {
        CULPRIT_TRY(remember(std::move(found->second)));
      } else {
        open_.push_back(i);
      }
    }
    earlier_ = results_.size();
    batch::PoolOptions options;
    options.workers = jobs_ != 0 ? jobs_ : usable_processors();
    options.limit = to_milliseconds(case_timeout_s_);
    batch::PoolWork work;
    work.command = [this](std::size_t place) { return command_for(cases_[open_[place]]); };
    work.finished = [&](const batch::Finished& finished) -> Status {
      const Case& one = cases_[open_[finished.index]];
      CaseResult result = result_of(one, finished);
      remove_scratch(scratch() / one.id);
      if (!batch::has_report(result.outcome)) remove_scratch(report_path(one.id));
      CULPRIT_TRY(file.append(result));
      progress.note(fmt::format("{} {}", batch::name_of(result.outcome), result.name));
      return remember(std::move(result));
    };
    work.tick = [&](unsigned running) {
      const std::string classes = batch::classes_so_far(results_);
      progress.detail(fmt::format("{}/{} done, {} running{}{}", results_.size(), cases_.size(),
                                  running, classes.empty() ? "" : ": ", classes));
    };
    progress.phase("batch");
    const auto started = Clock::now();
    const Status status = batch::run_pool(open_.size(), work, options);
    seconds_ = std::chrono::duration<double>(Clock::now() - started).count();
    return status;
  }

  // A report that was removed since is made again.
  [[nodiscard]] bool is_done(const CaseResult& result) const {
    std::error_code code;
    if (!batch::has_report(result.outcome)) return !again_;
    return fs::is_regular_file(report_path(result.id), code);
  }

  Status remember(CaseResult result) {
    if (json_) CULPRIT_TRY(report::write_output("-", batch::to_line(result)));
    results_.push_back(std::move(result));
    return {};
  }

  [[nodiscard]] ProcessOptions command_for(const Case& one) const {
    const fs::path own = scratch() / one.id;
    std::error_code code;
    fs::create_directories(own / "tmp", code);  // where it fails, the child says so
    // A report of a run that was ended after it was written, but before its line was.
    fs::remove(report_path(one.id), code);
    ProcessOptions options;
    options.out.kind = OutputMode::Kind::discard;
    options.set_environment = {{"TMPDIR", (own / "tmp").string()}};
    options.argv = {self_.string(), "-q"};
    const auto add = [&](std::initializer_list<std::string> words) {
      options.argv.insert(options.argv.end(), words);
    };
    const std::string triage_timeout = fmt::format("{}", triage_timeout_s_);
    const std::string report = report_path(one.id).string();
    const std::string hops = std::to_string(max_hops_);
    if (one.kind == Case::Kind::trace) {
      add({"triage", "--json", report, "--max-hops", hops, "--timeout", triage_timeout, "--",
           one.words.front()});
      return options;
    }
    fs::path trace = own / "trace";
    if (keep_traces_) {
      trace = fs::path(directory_) / "traces" / one.id;
      remove_scratch(trace);
      fs::create_directories(trace.parent_path(), code);
    }
    add({"run", "--json", report, "--max-hops", hops, "--triage-timeout", triage_timeout, "-o",
         trace.string(), "--until", until_, "--retries", std::to_string(retries_)});
    if (timeout_s_ > 0) add({"--timeout", fmt::format("{}", timeout_s_)});
    add({"--"});
    options.argv.insert(options.argv.end(), one.words.begin(), one.words.end());
    return options;
  }

  [[nodiscard]] CaseResult result_of(const Case& one, const batch::Finished& finished) const {
    CaseResult result;
    result.id = one.id;
    result.name = batch::shown_words(one);
    result.exit_code = finished.status.code;
    result.signal = finished.status.signal;
    result.seconds = static_cast<double>(finished.elapsed.count()) / 1000;
    result.detail = last_line(finished.errors);
    if (!finished.start_error.empty()) {
      result.detail = finished.start_error;
    } else if (finished.timed_out) {
      result.outcome = Outcome::timed_out;
      result.detail = fmt::format("ended after {} s", case_timeout_s_);
    } else if (finished.status.signal != 0) {
      result.outcome = Outcome::crashed;
      result.detail = fmt::format("culprit ended by {}{}{}", finished.status.describe(),
                                  result.detail.empty() ? "" : "; ", result.detail);
    } else {
      result.outcome = outcome_of_code(finished.status.code);
    }
    if (!batch::has_report(result.outcome)) return result;
    const Result<report::Report> report = report::read_report(report_path(one.id).string());
    if (!report.ok()) {
      result.outcome = Outcome::failed;
      result.detail = report.error().message;
      return result;
    }
    const report::CaseDigest digest = report::digest(*report, one.id);
    result.detail.clear();
    result.report = "reports/" + one.id + ".json";
    result.bug_class = report::to_string(digest.bug_class);
    result.confidence = report::to_string(digest.confidence);
    result.title = digest.title;
    result.cause = digest.cause;
    result.key = digest.keys.strict;
    result.loose = digest.keys.loose;
    return result;
  }

  [[nodiscard]] batch::Summary summary() const {
    batch::Summary out;
    std::vector<report::CaseDigest> digests;
    for (const CaseResult& one : results_) {
      if (!batch::has_report(one.outcome)) continue;
      const Result<report::Report> report = report::read_report(report_path(one.id).string());
      if (report.ok()) digests.push_back(report::digest(*report, one.name));
    }
    out.clustering = report::cluster(std::move(digests), report::ClusterBy::strict);
    out.results = results_;
    out.cases = cases_.size();
    out.earlier = earlier_;
    out.seconds = seconds_;
    return out;
  }

  [[nodiscard]] int exit_code_of_all() const {
    const auto count = [&](auto predicate) {
      return std::count_if(results_.begin(), results_.end(), predicate);
    };
    const auto all = static_cast<std::ptrdiff_t>(results_.size());
    if (count([](const CaseResult& one) { return batch::has_report(one.outcome); }) == all) {
      return exit_ok;
    }
    const auto refused =
        count([](const CaseResult& one) { return one.outcome == Outcome::cannot_record; });
    return refused == all ? exit_cannot_record : exit_chain_incomplete;
  }

  // Each shard has its own: one that starts removes what a killed run of it left.
  [[nodiscard]] fs::path scratch() const {
    return fs::path(directory_) / (".work-" + fs::path(batch::results_name(part_)).stem().string());
  }
  [[nodiscard]] fs::path report_path(const std::string& id) const {
    return fs::path(directory_) / "reports" / (id + ".json");
  }
  static std::chrono::milliseconds to_milliseconds(double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  }

  std::vector<std::string> sources_;
  unsigned jobs_ = 0;
  std::string directory_ = "culprit-batch";
  std::string shard_;
  double case_timeout_s_ = 600;
  unsigned retries_ = 0;
  double timeout_s_ = 0;
  std::string until_ = "any";
  double triage_timeout_s_ = 120;
  unsigned max_hops_ = 32;
  bool keep_traces_ = false;
  bool again_ = false;
  bool json_ = false;
  bool list_ = false;

  batch::Shard part_;
  fs::path self_;
  std::vector<Case> cases_;        ///< of this shard
  std::vector<std::size_t> open_;  ///< places in cases_ that are to be done
  std::vector<CaseResult> results_;
  std::size_t earlier_ = 0;
  double seconds_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_batch_command() { return std::make_unique<BatchCommand>(); }

}  // namespace culprit::cli
