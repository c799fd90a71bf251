#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/launch.h"
#include "recorder/engine_choice.h"
#include "recorder/record.h"
#include "recorder/trace_info.h"

namespace culprit::recorder {
namespace {

/// Lines that rr itself writes between the program's ("[WARN ./src/...] ...", "rr: ...").
std::string without_rr_lines(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = text.find('\n', at);
    const std::size_t end = newline == std::string::npos ? text.size() : newline + 1;
    const std::string_view line(text.data() + at, end - at);
    const bool by_rr = line.starts_with("rr: ") || line.starts_with("[WARN ./src/") ||
                       line.starts_with("[INFO ./src/") || line.starts_with("[ERROR ./src/");
    if (!by_rr) out += line;
    at = end;
  }
  return out;
}

/// Can `part` be made of `whole` by leaving bytes out?
bool is_subsequence(std::string_view part, std::string_view whole) {
  std::size_t matched = 0;
  for (const char c : whole) {
    if (matched < part.size() && part[matched] == c) ++matched;
  }
  return matched == part.size();
}

/// One line, cut, without what a terminal would obey.
std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out = "“";
  for (const char c : text.substr(0, kLongest)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > kLongest ? "…”" : "”");
}

/// The next line, taken off; nothing at the end.
std::optional<std::string_view> take_line(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const std::size_t size = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, size);
  text.remove_prefix(std::min(size + 1, text.size()));
  return line;
}

}  // namespace

std::string first_difference(std::string_view recorded, std::string_view replayed) {
  while (!recorded.empty() || !replayed.empty()) {
    const auto before = take_line(recorded);
    const auto after = take_line(replayed);
    if (before == after) continue;
    const std::string now = after ? quoted(*after) : "nothing";
    return now + " where the program printed " + (before ? quoted(*before) : "nothing");
  }
  return "";
}

Result<ReplayCheck> verify_trace(const RrProgram& rr, Engine engine,
                                 const std::filesystem::path& trace, const CapturedOutput& out,
                                 const CapturedOutput& err, std::size_t output_limit,
                                 std::chrono::milliseconds deadline,
                                 const std::vector<std::string>& rr_options) {
  ProcessOptions options;
  options.argv = {rr.path};
  options.argv.insert(options.argv.end(), rr_options.begin(), rr_options.end());
  options.argv.insert(options.argv.end(), {"replay", "-a", trace.string()});
  options.out.limit = output_limit;
  options.err.limit = output_limit;
  if (engine != Engine::hardware || needs_maps_merged(rr, has_split_vvar())) {
    CULPRIT_ASSIGN(const std::filesystem::path agent, agent::find_agent());
    agent::AgentConfig config;
    if (engine == Engine::hardware) config.ticks = agent::AgentConfig::Ticks::hardware;
    agent::preload_agent(options, agent, config);
  }
  CULPRIT_ASSIGN(const ProcessResult run, run_process(options, deadline));
  if (run.timed_out) {
    return Error{ErrorCode::timeout, "the replay did not end within " +
                                         std::to_string(deadline.count() / 1000) + " s"};
  }
  const bool fatal = run.err.text.find("[FATAL ") != std::string::npos &&
                     err.text.find("[FATAL ") == std::string::npos;
  if (!run.status.success() || fatal) {
    const std::string why = explain_rr_failure(run.err.text);
    return Error{ErrorCode::replay_failed, "the replay ended with " + run.status.describe() +
                                               (why.empty() ? "" : "; " + why)};
  }
  ReplayCheck check;
  check.elapsed = run.elapsed;
  const std::string recorded_err = without_rr_lines(err.text);
  const std::string replayed_err = without_rr_lines(run.err.text);
  check.same_output = run.out.text == out.text && replayed_err == recorded_err;
  if (!check.same_output) {
    check.subset = is_subsequence(run.out.text, out.text) &&
                   is_subsequence(replayed_err, recorded_err);
    check.difference = first_difference(out.text, run.out.text);
    if (check.difference.empty()) check.difference = first_difference(recorded_err, replayed_err);
  }
  return check;
}

}  // namespace culprit::recorder
