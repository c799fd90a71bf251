#include "cli/bundle_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/launch.h"
#include "base/file.h"
#include "base/subprocess.h"
#include "bundle/archive_writer.h"
#include "bundle/entry_name.h"
#include "bundle/manifest.h"
#include "cli/cpu_name.h"
#include "cli/exit_codes.h"
#include "cli/report_trace.h"
#include "provenance/process_image.h"
#include "recorder/engine_probe.h"
#include "recorder/trace_info.h"
#include "replay/trace_index.h"
#include "report/json.h"
#include "report/sanitize.h"

namespace culprit::cli {
namespace fs = std::filesystem;
namespace {

/// A file and its entry's name.
struct Item {
  std::string name;
  fs::path file;
  std::uint64_t size = 0;
};

std::uint64_t sum(const std::vector<Item>& items) {
  std::uint64_t out = 0;
  for (const Item& item : items) out += item.size;
  return out;
}

/// The files of a trace. rr's traces hold no folders; anything but a regular file could lead
/// elsewhere.
Result<std::vector<Item>> files_of_trace(const fs::path& trace) {
  std::vector<Item> out;
  std::error_code code;
  for (fs::directory_iterator it(trace, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (!fs::is_regular_file(it->symlink_status())) {
      return Error{ErrorCode::bad_input,
                   it->path().string() +
                       ": a trace to bundle holds regular files only (a trace of "
                       "`rr pack --symlink`? pack it without)"};
    }
    out.push_back(
        {std::string(bundle::kTraceFolder) + "/" + name, it->path(), it->file_size(code)});
    if (code) break;
  }
  if (code) return Error{ErrorCode::io, trace.string() + ": " + code.message()};
  std::sort(out.begin(), out.end(), [](const Item& a, const Item& b) { return a.name < b.name; });
  return out;
}

/// A copy of the trace that rr has made complete: `rr pack` works in place, and the user's stays as
/// it is.
Status pack_copy(const recorder::TraceInfo& info, const recorder::RrProgram& rr,
                 const fs::path& copy, std::chrono::milliseconds deadline) {
  CULPRIT_ASSIGN(const std::vector<Item> files, files_of_trace(info.path));
  CULPRIT_ASSIGN(const std::uint64_t room, free_space(copy));
  if (room < sum(files)) {
    return Error{ErrorCode::io,
                 fmt::format("{}: {} bytes are free, and a copy of the trace has {}; "
                             "set TMPDIR to a place with more",
                             copy.parent_path().string(), room, sum(files))};
  }
  std::error_code code;
  fs::create_directory(copy, code);
  for (const Item& item : files) {
    if (!code) fs::copy_file(item.file, copy / item.file.filename(), code);
  }
  if (code) return Error{ErrorCode::io, "cannot copy the trace: " + code.message()};
  ProcessOptions options;
  options.argv = {rr.path, "pack", copy.string()};
  CULPRIT_ASSIGN(const ProcessResult run, run_process(options, deadline));
  if (run.timed_out) return Error{ErrorCode::timeout, "rr pack did not end in time"};
  if (!run.status.success()) {
    const std::string why = recorder::explain_rr_failure(run.err.text);
    return Error{ErrorCode::replay_failed,
                 "rr pack: " + (why.empty() ? run.status.describe() : why)};
  }
  return {};
}

/// What the debug files and the files of the program tell.
struct Contents {
  std::vector<Item> debug;
  std::vector<std::string> data_files;  ///< mapped files that are neither modules nor the system's
};

/// Where a module's debug file is found again under the folder of debug files
/// (binary/debug_file.h).
std::string debug_name(const binary::Module& module, const fs::path& debug_file) {
  const std::string folder = std::string(bundle::kDebugFolder) + "/";
  if (module.build_id.size() > 2) {
    return folder + ".build-id/" + module.build_id.substr(0, 2) + "/" + module.build_id.substr(2) +
           ".debug";
  }
  const fs::path original = fs::path(module.path).parent_path().lexically_normal();
  return folder + original.relative_path().string() + "/" + debug_file.filename().string();
}

Contents look_inside(const replay::TraceIndex& index, const report::Report& report) {
  ProcessId process = report.program.pid;
  EventNumber at = report.crash.position.event;
  if (process.value == 0) {
    const auto candidates = index.crash_candidates();
    if (!candidates.empty()) {
      process = candidates.front().process;
      at = candidates.front().event;
    }
  }
  const provenance::ProcessImage image(index, process, at, {});
  Contents out;
  std::set<std::string> names;
  std::set<std::string> modules;
  for (const auto& module : image.modules().modules()) {
    modules.insert(module->path);
    const std::string file = binary::debug_file_of(*module);
    if (file.empty()) continue;
    const std::string name = debug_name(*module, file);
    std::error_code code;
    const std::uint64_t size = fs::file_size(file, code);
    if (!code && bundle::is_entry_name(name) && names.insert(name).second) {
      out.debug.push_back({name, fs::canonical(file, code), size});
    }
  }
  std::set<std::string> others;
  for (const replay::TraceMapping& mapping : index.mappings()) {
    const std::string path(index.string_of(mapping.path));
    if (path.starts_with('/') && !modules.contains(path) && !path.starts_with("/usr/") &&
        !path.starts_with("/lib") && !path.starts_with("/dev/zero")) {
      others.insert(path);
    }
  }
  constexpr std::size_t kMost = 20;
  for (const std::string& path : others) {
    if (out.data_files.size() == kMost) {
      out.data_files.push_back(fmt::format("and {} more", others.size() - kMost));
      break;
    }
    out.data_files.push_back(report::sanitize(path, 300));
  }
  return out;
}

std::vector<std::string> private_data(const Contents& contents) {
  std::vector<std::string> out = {
      "the environment variables and arguments that the program was started with",
      "what the program received: from files, pipes, sockets, the terminal and the system",
      "what its memory held where the kernel wrote to it, passwords and keys included",
      "complete copies of the files that it mapped: its binaries, libraries and data files",
      "paths, host name, user and process numbers of the machine, lines of source code (report)"};
  for (const std::string& file : contents.data_files) out.push_back("mapped file: " + file);
  return out;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < (std::uint64_t{1} << 20)) {
    return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  }
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576);
}

class BundleCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "bundle", "Put a report, its trace and what they need into one file for another machine");
    command
        ->add_option("report", report_, "The report's JSON, or the trace's folder that it lies in")
        ->required()
        ->type_name("REPORT.json");
    command->add_option("-o,--output", output_, "The file to write")
        ->required()
        ->type_name("FILE.tar.zst");
    command->add_option("--trace", trace_, "The trace's folder, if it is not where the report says")
        ->type_name("DIR");
    command->add_option("--timeout", timeout_s_, "Seconds for reading and packing the trace")
        ->check(CLI::Range(0.1, 86400.0))
        ->type_name("S")
        ->capture_default_str();
    command->footer(
        "Examples:\n"
        "  culprit bundle report.json -o crash.tar.zst\n"
        "  culprit triage crash.tar.zst        # on another machine of the same CPU family\n"
        "A bundle holds what the program read and had in memory. Look at who gets it.");
    return command;
  }

  int run(const CommonOptions& common) override {
    Progress progress(common.verbosity());
    const Result<std::string> text = make(progress);
    progress.pause();
    if (!text.ok()) return report_error(text.error());
    if (!common.quiet) std::fputs(text->c_str(), stdout);
    return exit_ok;
  }

 private:
  Result<std::string> make(Progress& progress) {
    const std::chrono::milliseconds timeout(static_cast<std::int64_t>(timeout_s_ * 1000));
    CULPRIT_ASSIGN(const NamedReport named, read_named_report(report_));
    CULPRIT_ASSIGN(const recorder::TraceInfo info, find_trace(named, trace_));
    CULPRIT_ASSIGN(const recorder::RrProgram rr, recorder::find_rr());
    std::error_code code;
    if (fs::exists(output_, code) && !fs::is_regular_file(output_, code)) {
      return Error{ErrorCode::usage, output_ + ": not a regular file"};
    }

    progress.phase("packing a copy of the trace");
    CULPRIT_ASSIGN(const TemporaryDirectory work, TemporaryDirectory::create("culprit-bundle-"));
    const fs::path copy = work.path() / bundle::kTraceFolder;
    CULPRIT_TRY(pack_copy(info, rr, copy, timeout));

    progress.phase("reading the trace");
    replay::RrCommand command;
    command.rr = rr.path;
    CULPRIT_ASSIGN(command.agent, agent::find_agent());
    // The user's own: its modules still name the files that debug files lie beside.
    CULPRIT_ASSIGN(const replay::TraceIndex index,
                   replay::TraceIndex::load(info.path, command, timeout));
    const Contents contents = look_inside(index, named.report);

    CULPRIT_ASSIGN(const std::vector<Item> trace, files_of_trace(copy));
    const std::string report = report::to_json_text(named.report);
    bundle::Manifest manifest;
    manifest.tool_version = CULPRIT_VERSION;
    manifest.cpu = cpu_name();
    manifest.process = named.report.program.pid.value;
    manifest.files = 1 + trace.size() + contents.debug.size();
    manifest.bytes = report.size() + sum(trace) + sum(contents.debug);
    manifest.may_hold = private_data(contents);

    progress.phase("writing " + output_);
    CULPRIT_ASSIGN(bundle::ArchiveWriter archive,
                   bundle::ArchiveWriter::create(fs::absolute(output_, code)));
    CULPRIT_TRY(archive.add_text(std::string(bundle::kManifestName), to_text(manifest)));
    CULPRIT_TRY(archive.add_text(std::string(bundle::kReportName), report));
    for (const std::vector<Item>* items : {&trace, &contents.debug}) {
      for (const Item& item : *items) CULPRIT_TRY(archive.add_file(item.name, item.file));
    }
    CULPRIT_ASSIGN(const std::uint64_t size, archive.finish());

    std::string out =
        fmt::format("{}: {} ({} unpacked)\n", output_, size_text(size), size_text(manifest.bytes));
    out += fmt::format("  trace        {:>10}  {} files\n", size_text(sum(trace)), trace.size());
    out += fmt::format("  debug files  {:>10}  {} files\n", size_text(sum(contents.debug)),
                       contents.debug.size());
    out += fmt::format("  report       {:>10}\n", size_text(report.size()));
    out += "It may hold private data:\n";
    for (const std::string& sentence : manifest.may_hold) out += "  " + sentence + "\n";
    return out;
  }

  std::string report_;
  std::string output_;
  std::string trace_;
  double timeout_s_ = 300;
};

}  // namespace

std::unique_ptr<Command> make_bundle_command() { return std::make_unique<BundleCommand>(); }

}  // namespace culprit::cli
