#include "recorder/trace_info.h"

#include <charconv>
#include <system_error>

#include "agent/exact_ticks_file.h"
#include "agent/landing_set.h"
#include "base/file.h"
#include "recorder/record_json.h"

namespace culprit::recorder {
namespace fs = std::filesystem;
namespace {

/// The newest of a few places where a line of the form "[FATAL file:line:function()] text" stands.
std::string after_bracket(std::string_view line) {
  const std::size_t end = line.find("] ");
  return std::string(end == std::string_view::npos ? line : line.substr(end + 2));
}

}  // namespace

Result<TraceInfo> examine_trace(const fs::path& given) {
  std::error_code code;
  const auto bad = [&](std::string_view why) {
    return Error{ErrorCode::bad_input, given.string() + ": " + std::string(why)};
  };
  TraceInfo info;
  info.path = fs::canonical(given, code);
  if (code) return bad("no such trace directory");
  if (!fs::is_directory(info.path, code)) return bad("not a directory, so not an rr trace");
  if (fs::exists(info.path / "incomplete", code)) {
    return bad("the recording was not finished (rr was killed or ran out of space); record again");
  }
  const Result<std::string> version = read_file(info.path / "version", std::size_t{1} << 20);
  if (!version.ok()) return bad("not an rr trace (it has no readable file \"version\")");
  // The first line is the number of the format; a capnp message with the CPU's features follows
  // (rr 5.6.0, TraceStream.cc, TraceWriter::close and TraceReader's constructor).
  const auto [end, error] =
      std::from_chars(version->data(), version->data() + version->size(), info.format);
  if (error != std::errc() || end == version->data() + version->size() || *end != '\n') {
    return bad("not an rr trace (its file \"version\" has no version)");
  }
  if (info.format != supported_trace_format) {
    return bad("trace format " + std::to_string(info.format) + " is not supported (only " +
               std::to_string(supported_trace_format) + "); record again with rr 5.6 or later");
  }
  if (version->size() < 64) return bad("the trace is truncated (file \"version\")");
  for (const char* name : {"events", "data", "mmaps", "tasks"}) {
    const fs::path file = info.path / name;
    if (!fs::is_regular_file(file, code)) {
      return bad("the trace is truncated (no file \"" + std::string(name) + "\")");
    }
    if (fs::file_size(file, code) == 0 || code) {
      return bad("the trace is truncated (file \"" + std::string(name) + "\" is empty)");
    }
  }
  if (const auto text = read_file(info.path / agent::landings_file, 4096); text.ok()) {
    agent::LandingSet landings;
    if (!agent::parse_landings(*text, &landings)) {
      return bad(std::string("its file \"") + agent::landings_file + "\" is damaged");
    }
    info.has_landings = !landings.empty();
  }
  info.has_exact_ticks = fs::is_regular_file(info.path / agent::exact_ticks_file, code);
  CULPRIT_TRY(read_record(info));
  return info;
}

std::string explain_rr_failure(const std::string& text) {
  struct Known {
    std::string_view sign;
    std::string_view meaning;
  };
  // What rr 5.6 to 5.9 print, and what a user can do.
  static constexpr Known known[] = {
      {"Unable to open performance counter", "rr cannot open the hardware counters"},
      {"ENOSPC", "no space is left on the trace's file system"},
      {"No space left on device", "no space is left on the trace's file system"},
      {"Trace was recorded on a machine that defines",
       "the trace was recorded on a CPU with other features than this one"},
      {"Trace XCR0 value", "the trace was recorded on a CPU with other features than this one"},
      {"CPUID faulting required", "the trace was recorded on another CPU, and this one has no CPUID "
                                  "faulting, which its replay needs"},
      {"CPUID faulting not supported", "the trace was recorded on another CPU, and this one has no "
                                       "CPUID faulting, which its replay needs"},
      {"PTRACE_SEIZE failed", "ptrace is not allowed here"},
      {"rr::IOException", "the trace is truncated or damaged"},
      {"recording terminated abnormally", "the recording was not finished"},
      {"unknown CPU type", "this version of rr does not know this CPU"},
  };
  for (const Known& k : known) {
    if (text.find(k.sign) != std::string::npos) return std::string(k.meaning);
  }
  std::string last;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t newline = text.find('\n', at);
    if (newline == std::string::npos) newline = text.size();
    const std::string_view line(text.data() + at, newline - at);
    if (line.starts_with("[FATAL ") || line.starts_with("[ERROR ")) last = after_bracket(line);
    if (line.starts_with("rr: ")) last = std::string(line.substr(4));
    at = newline + 1;
  }
  if (last.size() > 300) last.resize(300);
  return last.empty() ? last : "rr says: " + last;
}

}  // namespace culprit::recorder
