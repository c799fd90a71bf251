#include "batch/result.h"

#include <array>
#include <exception>
#include <utility>

#include "report/limits.h"
#include "report/sanitize.h"

namespace culprit::batch {
namespace {

constexpr std::array<std::pair<Outcome, std::string_view>, 9> kNames{{
    {Outcome::complete, "complete"},
    {Outcome::incomplete, "incomplete"},
    {Outcome::did_not_fail, "did_not_fail"},
    {Outcome::cannot_record, "cannot_record"},
    {Outcome::replay_failed, "replay_failed"},
    {Outcome::bad_case, "bad_case"},
    {Outcome::timed_out, "timed_out"},
    {Outcome::crashed, "crashed"},
    {Outcome::failed, "failed"},
}};

// The string members beside id, name and outcome, with their names in JSON.
constexpr std::array<std::pair<const char*, std::string CaseResult::*>, 8> kTexts{{
    {"report", &CaseResult::report},
    {"class", &CaseResult::bug_class},
    {"confidence", &CaseResult::confidence},
    {"title", &CaseResult::title},
    {"cause", &CaseResult::cause},
    {"key", &CaseResult::key},
    {"loose", &CaseResult::loose},
    {"detail", &CaseResult::detail},
}};

Error bad(const char* what) { return Error{ErrorCode::bad_input, what}; }

std::string text_of(const report::Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int integer_of(const report::Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int>() : 0;
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  for (const auto& [one, name] : kNames) {
    if (one == outcome) return name;
  }
  return "failed";
}

std::string to_line(const CaseResult& result) {
  report::Json json = report::Json::object();
  const auto harmless = [](const std::string& text) {
    return report::sanitize(text, report::kMaxName);
  };
  json["id"] = harmless(result.id);
  json["name"] = harmless(result.name);
  json["outcome"] = name_of(result.outcome);
  if (result.signal != 0) {
    json["signal"] = result.signal;
  } else {
    json["exit_code"] = result.exit_code;
  }
  json["seconds"] = result.seconds;
  for (const auto& [key, member] : kTexts) {
    if (!(result.*member).empty()) json[key] = harmless(result.*member);
  }
  return json.dump(-1, ' ', false, report::Json::error_handler_t::replace) + "\n";
}

Result<CaseResult> from_line(std::string_view line) {
  if (line.size() > std::size_t{1} << 20) return bad("longer than 1 MiB");
  try {
    const report::Json json = report::Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return bad("no JSON object");
    CaseResult result;
    result.id = text_of(json, "id");
    result.name = text_of(json, "name");
    if (result.id.empty()) return bad("id: missing");
    const std::string outcome = text_of(json, "outcome");
    bool known = false;
    for (const auto& [one, name] : kNames) {
      if (name != outcome) continue;
      result.outcome = one;
      known = true;
    }
    if (!known) return bad("outcome: not a name of its closed list");
    result.exit_code = integer_of(json, "exit_code");
    result.signal = integer_of(json, "signal");
    const auto seconds = json.find("seconds");
    if (seconds != json.end() && seconds->is_number()) result.seconds = seconds->get<double>();
    for (const auto& [key, member] : kTexts) result.*member = text_of(json, key);
    return result;
  } catch (const std::exception&) {  // the library's accessors and the allocator
    return bad("cannot be read");
  }
}

}  // namespace culprit::batch
