#include "cli/cluster_command.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/exit_codes.h"
#include "report/cluster.h"
#include "report/json.h"
#include "report/write.h"

namespace culprit::cli {
namespace {

namespace fs = std::filesystem;

/// More files than that are a mistake, not a directory of reports.
constexpr std::size_t kMaxFiles = 200'000;

class ClusterCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("cluster", "Group reports by their cause: how many bugs are these?");
    command
        ->add_option(
            "paths", paths_,
            "Reports, or directories that are searched for *.json (other JSON is passed over)")
        ->required()
        ->type_name("DIR|REPORT.json");
    command->add_flag("--loose", loose_,
                      "Group by the looser key, which leaves out the line: for reports of several "
                      "versions of a program");
    command->add_option("--json", json_, "Write the groups as JSON to this file; - is stdout")
        ->type_name("FILE|-");
    command->footer(
        "Examples:\n"
        "  culprit cluster ~/.local/share/culprit\n"
        "  culprit cluster --loose --json causes.json nightly-1/ nightly-2/\n"
        "Exit code 0: all reports that were named could be read; 2: some could not, and are "
        "listed.");
    return command;
  }

  int run(const CommonOptions&) override {
    for (const std::string& path : paths_) {
      std::error_code code;
      if (fs::is_directory(path, code)) {
        if (const Status searched = search(path); !searched.ok())
          return report_error(searched.error());
      } else {
        read(path, /*named=*/true);
      }
    }
    const report::Clustering clustering = report::cluster(
        std::move(cases_), loose_ ? report::ClusterBy::loose : report::ClusterBy::strict);
    Status written;
    if (!json_.empty()) {
      written = report::write_output(
          json_, report::clusters_to_json(clustering, unreadable_)
                         .dump(2, ' ', false, report::Json::error_handler_t::replace) +
                     "\n");
    }
    if (written.ok() && json_ != "-") {
      written = report::write_output("-", report::clusters_to_text(clustering, unreadable_));
    }
    if (!written.ok()) return report_error(written.error());
    return named_failed_ ? exit_usage : exit_ok;
  }

 private:
  // All *.json below, in the order of their names; links to directories are not followed.
  Status search(const std::string& directory) {
    std::vector<std::string> files;
    std::error_code code;
    auto it = fs::recursive_directory_iterator(directory,
                                               fs::directory_options::skip_permission_denied, code);
    for (; !code && it != fs::recursive_directory_iterator(); it.increment(code)) {
      std::error_code ignored;
      if (it->path().extension() != ".json" || !it->is_regular_file(ignored)) continue;
      files.push_back(it->path().string());
      if (files.size() > kMaxFiles) {
        return Error{ErrorCode::usage, directory + " holds more than 200000 JSON files"};
      }
    }
    if (code) return Error{ErrorCode::io, "cannot search " + directory + ": " + code.message()};
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) read(file, /*named=*/false);
    return {};
  }

  void read(const std::string& path, bool named) {
    const Result<report::Report> report = report::read_report(path);
    if (report.ok()) {
      cases_.push_back(report::digest(*report, path));
      return;
    }
    const std::string& reason = report.error().message;
    // Found by searching: other JSON is no mistake, but a report that cannot be read is one.
    if (reason.ends_with(report::kNoReport) && !named) return;
    const std::string prefix = path + ": ";
    unreadable_.push_back(
        {path, reason.starts_with(prefix) ? reason.substr(prefix.size()) : reason});
    named_failed_ |= named;
  }

  std::vector<std::string> paths_;
  bool loose_ = false;
  std::string json_;
  std::vector<report::CaseDigest> cases_;
  std::vector<report::Unreadable> unreadable_;
  bool named_failed_ = false;
};

}  // namespace

std::unique_ptr<Command> make_cluster_command() { return std::make_unique<ClusterCommand>(); }

}  // namespace culprit::cli
