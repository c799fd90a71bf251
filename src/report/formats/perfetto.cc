#include "report/formats/perfetto.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "report/formats/moments.h"
#include "report/json.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::int64_t kSlotUs = 10;
constexpr std::int64_t kSliceUs = 8;

// A place in time for each hop, the earliest first.
std::vector<std::int64_t> ranks_of(const Report& report) {
  std::vector<std::int64_t> ranks(report.hops.size());
  std::int64_t next = 0;
  for (const Moment& moment : moments_of(report)) {
    if (moment.kind == MomentKind::hop) ranks[moment.hop] = next++;
  }
  return ranks;
}

}  // namespace

std::string to_perfetto(const Report& report) {
  const std::int32_t fallback = std::max(1, report.program.pid.value);
  const auto process_of = [&](const Hop& hop) {
    return hop.position.process.value > 0 ? hop.position.process.value : fallback;
  };
  const auto thread_of = [&](const Hop& hop) {
    return hop.position.thread.value > 0 ? hop.position.thread.value : process_of(hop);
  };
  Json events = Json::array();
  std::map<std::pair<std::int32_t, std::int32_t>, std::string> threads;
  for (const Hop& hop : report.hops) {
    std::string& name = threads[{process_of(hop), thread_of(hop)}];
    if (name.empty()) name = shown(hop.position.thread_name);
  }
  std::int32_t named = 0;
  for (const auto& [key, name] : threads) {
    if (key.first != named) {
      named = key.first;
      const bool own = named == report.program.pid.value || report.program.pid.value == 0;
      const std::string program(base_name(report.program.executable));
      events.push_back(
          {{"ph", "M"},
           {"name", "process_name"},
           {"pid", key.first},
           {"tid", key.first},
           {"args", {{"name", own && !program.empty() ? shown(program) : "process"}}}});
    }
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", key.first},
                      {"tid", key.second},
                      {"args", {{"name", name.empty() ? "thread" : name}}}});
  }
  const std::vector<std::int64_t> ranks = ranks_of(report);
  for (const Hop& hop : report.hops) {
    const std::int64_t start = ranks[hop.index] * kSlotUs;
    Json arguments = Json::object();
    const auto add = [&arguments](const char* key, const std::string& value) {
      if (!value.empty()) arguments[key] = value;
    };
    add("what", deed_text(hop));
    add("at", place_text(report.program.cwd, hop.writer.file, hop.writer.line, hop.writer.module,
                         hop.writer.module_offset));
    add("code", code_of(hop.writer));
    if (hop.location)
      add("slot", slot_name(*hop.location) + " at " + to_hex(hop.location->address));
    if (has_value(hop)) add("value", to_hex(*hop.value_after));
    add("source", source_text(hop));
    add("confidence", std::string(to_string(hop.confidence)));
    if (hop.position.event) arguments["event"] = hop.position.event.value;
    events.push_back({{"ph", "X"},
                      {"name", "#" + std::to_string(hop.index) + " " + actor_of(hop)},
                      {"cat", to_string(hop.kind)},
                      {"ts", start},
                      {"dur", kSliceUs},
                      {"pid", process_of(hop)},
                      {"tid", thread_of(hop)},
                      {"args", std::move(arguments)}});
    if (!hop.parent) continue;
    // From the middle of this slice to the middle of the slice of the hop that it explains.
    const Hop& next = report.hops[*hop.parent];
    events.push_back({{"ph", "s"},
                      {"name", "value"},
                      {"cat", "culprit"},
                      {"id", hop.index},
                      {"ts", start + kSliceUs / 2},
                      {"pid", process_of(hop)},
                      {"tid", thread_of(hop)}});
    events.push_back({{"ph", "f"},
                      {"bp", "e"},
                      {"name", "value"},
                      {"cat", "culprit"},
                      {"id", hop.index},
                      {"ts", ranks[next.index] * kSlotUs + kSliceUs / 2},
                      {"pid", process_of(next)},
                      {"tid", thread_of(next)}});
  }
  Json json = Json::object();
  json["displayTimeUnit"] = "ns";
  json["otherData"] = {{"verdict", title_of(report.verdict)},
                       {"cause", report.fingerprint.strict},
                       {"time", "the order of the hops, 10 us each; not a clock"}};
  json["traceEvents"] = std::move(events);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace culprit::report
