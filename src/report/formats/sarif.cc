#include "report/formats/sarif.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "report/formats/site.h"
#include "report/json.h"
#include "report/sanitize.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxRelated = 99;  // and one primary location: GitHub shows 100
constexpr std::size_t kMaxFlow = 1000;   // thread flow locations of the result
constexpr std::size_t kMaxMessage = 4096;
constexpr std::size_t kMaxStack = 64;
constexpr std::size_t kMaxSnippet = 1000;

// Literal text in a message string: brackets would be links (3.11.6), braces placeholders (3.11.5).
std::string message_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '[' || c == ']') out += '\\';
    if (c == '{' || c == '}') out += c;
    out += c;
  }
  return out;
}

Json message(std::string_view text) { return {{"text", message_text(text)}}; }

// "uninitialised_stack" → "UninitialisedStack".
std::string rule_name(std::string_view id) {
  std::string name;
  bool upper = true;
  for (const char c : id) {
    if (c == '_') {
      upper = true;
      continue;
    }
    name += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return name;
}

class SarifWriter {
 public:
  SarifWriter(const Report& report, const SourcePaths& paths) : report_(report), paths_(paths) {}

  Json run() {
    Json run = Json::object();
    run["tool"]["driver"] = driver();
    run["originalUriBaseIds"]["%SRCROOT%"]["description"] = message("The repository's directory.");
    run["results"] = Json::array({result()});
    run["columnKind"] = "utf16CodeUnits";
    Json log = Json::object();
    log["$schema"] = "https://json.schemastore.org/sarif-2.1.0.json";
    log["version"] = "2.1.0";
    log["runs"] = Json::array({std::move(run)});
    return log;
  }

 private:
  Json driver() const {
    const BugClassInfo& bug = info(report_.verdict.bug_class);
    Json rule = Json::object();
    rule["id"] = "culprit/" + std::string(bug.name);
    rule["name"] = rule_name(bug.name);
    rule["shortDescription"] = message(std::string(bug.title) + ".");
    rule["fullDescription"] =
        message(fmt::format("{}, found by following the bad value of a recorded crash back to its "
                            "origin.",
                            bug.title));
    rule["help"] = message(bug.fix);
    rule["defaultConfiguration"]["level"] = "error";
    rule["properties"]["tags"] = {"correctness", "memory-safety"};
    rule["properties"]["precision"] = precision(report_.verdict.confidence);
    rule["properties"]["problem.severity"] = "error";
    Json driver = Json::object();
    driver["name"] = "culprit";
    if (!report_.tool.version.empty()) driver["version"] = report_.tool.version;
    driver["rules"] = Json::array({std::move(rule)});
    return driver;
  }

  static std::string_view precision(Confidence confidence) {
    switch (confidence) {
      case Confidence::proved:
        return "very-high";
      case Confidence::likely:
        return "high";
      case Confidence::unknown:
        break;
    }
    return "medium";
  }

  Json result() const {
    Json result = Json::object();
    result["ruleId"] = "culprit/" + std::string(info(report_.verdict.bug_class).name);
    result["ruleIndex"] = 0;
    result["level"] = "error";
    result["kind"] = "fail";
    Json related = Json::array();
    for (const Hop& hop : report_.hops) {
      if (related.size() == kMaxRelated) break;
      if (std::optional<Json> location = location_of(hop)) {
        (*location)["id"] = hop.index + 1;  // the message links to these
        related.push_back(*std::move(location));
      }
    }
    result["message"]["text"] = result_text(related);
    result["locations"] = Json::array({primary()});
    if (!related.empty()) result["relatedLocations"] = std::move(related);
    if (Json flows = code_flows(); !flows.empty()) result["codeFlows"] = std::move(flows);
    if (Json frames = crash_stack(); !frames.empty()) {
      result["stacks"] =
          Json::array({Json{{"message", message("The crash.")}, {"frames", frames}}});
    }
    result["partialFingerprints"] = {{"primaryLocationLineHash", report_.fingerprint.loose + ":1"},
                                     {"culpritCause/v1", report_.fingerprint.strict},
                                     {"culpritCauseLoose/v1", report_.fingerprint.loose}};
    result["properties"] = {{"confidence", to_string(report_.verdict.confidence)},
                            {"complete", complete(report_)},
                            {"fix", fix_of(report_.verdict)},
                            {"commandLine", command_line(report_.program)},
                            {"crash", crash_text(report_.crash)}};
    return result;
  }

  // The first sentence stands alone where there is little space.
  std::string result_text(const Json& related) const {
    const Verdict& verdict = report_.verdict;
    std::string text = title_of(verdict);
    if (verdict.cause) {
      const std::string where = cause_text(*verdict.cause, report_.program.cwd);
      if (!where.empty()) text += " (" + where + ")";
    }
    text += ".";
    if (!verdict.explanation.empty()) text += "\n" + verdict.explanation;
    if (!complete(report_)) text += "\nThe chain is incomplete: " + stop_text(verdict) + ".";
    text += "\nFix: " + fix_of(verdict);
    text = message_text(sanitize(text, kMaxMessage, Lines::many));
    // Links to the chain, from the crash to the origin.
    std::string links;
    for (const Json& location : related) {
      const auto id = location["id"].get<std::uint32_t>();
      if (!report_.hops[id - 1].main_line) continue;
      if (links.size() > kMaxMessage) break;
      links += fmt::format("{}[{}]({})", links.empty() ? "\nChain: " : " ← ",
                           message_text(actor_of(report_.hops[id - 1])), id);
    }
    return text + links;
  }

  static Json artifact_location(const Site& site) {
    if (site.in_repository) return {{"uri", path_to_uri(site.path)}, {"uriBaseId", "%SRCROOT%"}};
    return {{"uri", "file://" + path_to_uri(site.path)}};
  }

  static Json physical_location(const Site& site) {
    Json physical = Json::object();
    physical["artifactLocation"] = artifact_location(site);
    if (site.line != 0) {
      physical["region"]["startLine"] = site.line;
      if (site.column != 0) physical["region"]["startColumn"] = site.column;
    }
    return physical;
  }

  static Json logical_locations(std::string_view function) {
    return Json::array({Json{{"fullyQualifiedName", function}, {"kind", "function"}}});
  }

  Json primary() const {
    Json location = Json::object();
    const std::optional<Site> site = site_of_report(report_, paths_);
    if (site) {
      location["physicalLocation"] = physical_location(*site);
      if (!site->function.empty()) location["logicalLocations"] = logical_locations(site->function);
      return location;
    }
    // GitHub wants a file in any case: the program's name at least says what crashed.
    const std::string name(base_name(report_.program.executable));
    location["physicalLocation"]["artifactLocation"] = {
        {"uri", path_to_uri(name.empty() ? "unknown" : name)}, {"uriBaseId", "%SRCROOT%"}};
    location["physicalLocation"]["region"]["startLine"] = 1;
    return location;
  }

  std::optional<Json> location_of(const Hop& hop) const {
    const std::optional<Site> site = site_of_hop(hop, paths_);
    if (!site) return std::nullopt;
    Json location = Json::object();
    location["physicalLocation"] = physical_location(*site);
    if (!site->caller) add_source(hop, location["physicalLocation"]);
    const std::string actor = actor_of(hop);
    location["logicalLocations"] = logical_locations(actor);
    const std::string called = site->caller ? actor + ", called from here: " : "";
    location["message"] =
        message(sanitize(fmt::format("#{} {}{}", hop.index, called, deed_text(hop)), 1000));
    return location;
  }

  static void add_source(const Hop& hop, Json& physical) {
    if (!physical.contains("region")) return;
    if (!hop.writer.source_line.empty()) {
      physical["region"]["snippet"]["text"] =
          sanitize(hop.writer.source_line, kMaxSnippet, Lines::code);
    }
    // The context has to be larger than the region, and of lines that follow each other.
    const std::vector<SourceLine>& excerpt = hop.writer.excerpt;
    const auto line = physical["region"]["startLine"].get<std::uint32_t>();
    if (excerpt.size() < 2 || excerpt.front().line == 0) return;
    std::string text;
    for (std::size_t i = 0; i < excerpt.size(); ++i) {
      if (excerpt[i].line != std::uint64_t{excerpt.front().line} + i) return;
      text += sanitize(excerpt[i].text, kMaxSnippet, Lines::code) + "\n";
    }
    if (line < excerpt.front().line || line > excerpt.back().line) return;
    physical["contextRegion"] = {{"startLine", excerpt.front().line},
                                 {"endLine", excerpt.back().line},
                                 {"snippet", {{"text", text}}}};
  }

  // The main line from the origin to the crash; then each side branch from its far end to its fork.
  Json code_flows() const {
    std::vector<std::vector<const Hop*>> lines(1);
    for (const Hop& hop : report_.hops) {
      if (hop.main_line) {
        lines.front().push_back(&hop);
      } else if (lines.size() > 1 && hop.parent == lines.back().back()->index) {
        lines.back().push_back(&hop);
      } else {
        lines.push_back({&hop});
      }
    }
    Json flows = Json::array();
    std::size_t used = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      Json locations = Json::array();
      std::uint32_t order = 0;
      for (auto hop = lines[i].rbegin(); hop != lines[i].rend() && used < kMaxFlow; ++hop) {
        std::optional<Json> location = location_of(**hop);
        if (!location) continue;
        ++used;
        locations.push_back(step(**hop, *std::move(location), ++order));
      }
      if (locations.empty()) continue;
      Json flow = Json::object();
      flow["message"] = message(i == 0 ? "The value's way, from its origin to the crash."
                                       : "A side branch of the value's way.");
      flow["threadFlows"] = Json::array({Json{{"locations", std::move(locations)}}});
      flows.push_back(std::move(flow));
    }
    return flows;
  }

  static Json step(const Hop& hop, Json location, std::uint32_t order) {
    Json step = Json::object();
    step["location"] = std::move(location);
    step["kinds"] = {to_string(hop.kind)};
    Json state = Json::object();
    if (hop.location) {
      state["slot"] = message(slot_name(*hop.location) + " at " + to_hex(hop.location->address));
    }
    if (hop.value_before) state["value before"] = message(to_hex(*hop.value_before));
    if (has_value(hop)) state["value"] = message(to_hex(*hop.value_after));
    if (const std::string when = moment_text(hop.position); !when.empty()) {
      state["when"] = message(when);
    }
    if (!state.empty()) step["state"] = std::move(state);
    step["nestingLevel"] = 0;
    step["executionOrder"] = order;
    step["importance"] = "essential";
    return step;
  }

  Json crash_stack() const {
    Json frames = Json::array();
    for (const Frame& frame : report_.crash.frames) {
      if (frames.size() == kMaxStack) break;
      Json location = Json::object();
      if (const std::optional<Site> site = site_of_frame(frame, paths_)) {
        location["physicalLocation"] = physical_location(*site);
      }
      const std::string function = function_name(frame.demangled, frame.function);
      if (!function.empty()) location["logicalLocations"] = logical_locations(function);
      Json entry = Json::object();
      entry["location"] = std::move(location);
      if (!frame.module.empty()) entry["module"] = base_name(frame.module);
      frames.push_back(std::move(entry));
    }
    return frames;
  }

  const Report& report_;
  const SourcePaths& paths_;
};

}  // namespace

std::string to_sarif(const Report& report, const SourcePaths& paths) {
  return SarifWriter(report, paths).run().dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace culprit::report
