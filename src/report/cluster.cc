#include "report/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "report/fingerprint.h"
#include "report/presentable.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::size_t kShownValues = 6;
constexpr std::size_t kShownNames = 8;
constexpr std::size_t kJsonValues = 100;

// Without what differs from run to run: hexadecimal and decimal numbers.
std::string without_numbers(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_hex = [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  };
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
  };
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '0' && i + 2 < text.size() && text[i + 1] == 'x' && is_hex(text[i + 2])) {
      i += 2;
      while (i < text.size() && is_hex(text[i])) ++i;
      out += "0x…";
    } else if (is_digit(text[i]) && (out.empty() || !is_word(out.back()))) {
      while (i < text.size() && is_digit(text[i])) ++i;
      out += 'N';
    } else {
      out += text[i++];
    }
  }
  return out;
}

// Where the program was when it crashed: the first hop, else the first frame with a file.
std::string crash_site(const Report& report) {
  const std::string& cwd = report.program.cwd;
  if (!report.hops.empty()) {
    const Hop& hop = report.hops.front();
    const std::string at = place_text(cwd, hop.writer.file, hop.writer.line, hop.writer.module,
                                      hop.writer.module_offset);
    return at.empty() ? actor_of(hop) : actor_of(hop) + ", " + at;
  }
  for (const Frame& frame : report.crash.frames) {
    if (frame.file.empty()) continue;
    return function_name(frame.demangled, frame.function) + ", " +
           place_text(cwd, frame.file, frame.line, "", {});
  }
  return "";
}

std::string way_of(const Report& report) {
  constexpr std::size_t kSteps = 12;
  std::string way;
  std::size_t steps = 0;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line) continue;
    if (steps++ == kSteps) return way + " ← …";
    way += (way.empty() ? "" : " ← ") + actor_of(hop);
  }
  return way;
}

const std::string& key_of(const CaseDigest& one, ClusterBy by) {
  return by == ClusterBy::strict ? one.keys.strict : one.keys.loose;
}

std::string_view trait(const CaseDigest& one, std::string_view name) {
  for (const auto& [key, value] : one.traits) {
    if (key == name) return value;
  }
  return "";
}

std::vector<Difference> differences(const std::vector<CaseDigest>& cases,
                                    const std::vector<std::size_t>& members) {
  std::vector<Difference> result;
  if (members.size() < 2) return result;
  for (const auto& [name, unused] : cases[members.front()].traits) {
    std::map<std::string_view, std::vector<std::size_t>> by_value;
    for (const std::size_t member : members) by_value[trait(cases[member], name)].push_back(member);
    if (by_value.size() < 2) continue;
    Difference difference{name, {}};
    for (auto& [value, who] : by_value) {
      difference.values.push_back({std::string(value), std::move(who)});
    }
    std::stable_sort(difference.values.begin(), difference.values.end(),
                     [](const TraitValue& a, const TraitValue& b) {
                       return a.members.size() > b.members.size();
                     });
    result.push_back(std::move(difference));
  }
  return result;
}

// For each cluster, the others that share one of its labels.
void link_clusters(Clustering& clustering, const auto& labels_of, auto link) {
  std::map<std::string, std::set<std::size_t>> by_label;
  for (std::size_t i = 0; i < clustering.clusters.size(); ++i) {
    for (const std::size_t member : clustering.clusters[i].members) {
      const std::string label = labels_of(clustering.cases[member]);
      if (!label.empty()) by_label[label].insert(i);
    }
  }
  for (std::size_t i = 0; i < clustering.clusters.size(); ++i) {
    std::set<std::size_t> others;
    for (const std::size_t member : clustering.clusters[i].members) {
      const auto found = by_label.find(labels_of(clustering.cases[member]));
      if (found != by_label.end()) others.insert(found->second.begin(), found->second.end());
    }
    others.erase(i);
    link(clustering.clusters[i]).assign(others.begin(), others.end());
  }
}

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string numbers_of(const std::vector<std::size_t>& clusters) {
  std::string out;
  std::size_t left = kShownNames;
  for (const std::size_t index : clusters) {
    if (left-- == 0) return out + ", …";
    out += fmt::format("{}#{}", out.empty() ? "" : ", ", index + 1);
  }
  return out;
}

}  // namespace

CaseDigest digest(const Report& original, std::string name) {
  const Report report = presentable(original);
  CaseDigest out;
  out.name = std::move(name);
  // Of the original: a name that is cut or escaped must not make two causes one.
  out.keys = fingerprint(original);
  out.bug_class = report.verdict.bug_class;
  out.confidence = report.verdict.confidence;
  out.complete = complete(report);
  out.hops = report.hops.size();
  out.title = title_of(report.verdict);
  if (report.verdict.cause) out.cause = cause_text(*report.verdict.cause, report.program.cwd);
  out.traits = {
      {"crash", shown(without_numbers(crash_text(report.crash)))},
      {"crashed in", crash_site(report)},
      {"way", way_of(report)},
      {"cause", out.cause},
      {"command", shown(command_line(report.program))},
      {"build", shown(report.program.build_id)},
      {"chain", out.complete ? "complete"
                             : "stops: " + std::string(to_string(report.verdict.stopped_because))},
  };
  return out;
}

Clustering cluster(std::vector<CaseDigest> cases, ClusterBy by) {
  Clustering result;
  result.by = by;
  result.cases = std::move(cases);
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < result.cases.size(); ++i) {
    const auto [found, fresh] = place.emplace(key_of(result.cases[i], by), result.clusters.size());
    if (fresh) {
      result.clusters.emplace_back();
      result.clusters.back().key = found->first;
    }
    result.clusters[found->second].members.push_back(i);
  }
  std::sort(result.clusters.begin(), result.clusters.end(), [](const Cluster& a, const Cluster& b) {
    return a.members.size() != b.members.size() ? a.members.size() > b.members.size()
                                                : a.key < b.key;
  });
  for (Cluster& one : result.clusters) {
    one.representative = *std::min_element(
        one.members.begin(), one.members.end(), [&](std::size_t a, std::size_t b) {
          const auto rank = [&](std::size_t i) {
            const CaseDigest& c = result.cases[i];
            return std::tuple(!c.complete, static_cast<int>(c.confidence), c.hops, i);
          };
          return rank(a) < rank(b);
        });
    one.differs = differences(result.cases, one.members);
  }
  link_clusters(
      result, [](const CaseDigest& c) { return c.keys.loose; },
      [](Cluster& c) -> std::vector<std::size_t>& { return c.same_place; });
  link_clusters(
      result,
      [](const CaseDigest& c) {
        const std::string_view text = trait(c, "crash");
        // A bare signal says nothing: where it was raised belongs to the crash then.
        return text.empty() ? std::string() : fmt::format("{}\n{}", text, trait(c, "crashed in"));
      },
      [](Cluster& c) -> std::vector<std::size_t>& { return c.same_crash; });
  return result;
}

std::string clusters_to_text(const Clustering& clustering,
                             const std::vector<Unreadable>& unreadable) {
  std::string out = fmt::format("{}, {}\n", counted(clustering.cases.size(), "report", "reports"),
                                counted(clustering.clusters.size(), "cause", "causes"));
  const auto names = [&](const std::vector<std::size_t>& members) {
    std::string text;
    std::size_t left = kShownNames;
    for (const std::size_t member : members) {
      if (left-- == 0) {
        return text + fmt::format(" … {} more", members.size() - kShownNames);
      }
      text += (text.empty() ? "" : " ") + shown(clustering.cases[member].name);
    }
    return text;
  };
  for (std::size_t i = 0; i < clustering.clusters.size(); ++i) {
    const Cluster& one = clustering.clusters[i];
    const CaseDigest& best = clustering.cases[one.representative];
    out += fmt::format("\n#{:<3} {}  {}  [{}]\n", i + 1,
                       counted(one.members.size(), "report", "reports"), best.title,
                       to_string(best.confidence));
    if (!best.cause.empty()) out += fmt::format("     {}\n", best.cause);
    out += fmt::format("     cause {}\n", one.key);
    for (const Difference& difference : one.differs) {
      std::size_t left = kShownValues;
      for (const TraitValue& value : difference.values) {
        if (left-- == 0) {
          out += fmt::format("       {:<12} … {} more values\n", "",
                             difference.values.size() - kShownValues);
          break;
        }
        out += fmt::format("       {:<12} {} x {}\n",
                           &value == difference.values.data() ? difference.trait : "",
                           value.members.size(), value.value.empty() ? "(none)" : value.value);
      }
    }
    if (!one.same_crash.empty()) {
      out += fmt::format("     the crash reads like that of {}, but its cause is another one\n",
                         numbers_of(one.same_crash));
    }
    if (clustering.by == ClusterBy::strict && !one.same_place.empty()) {
      out += fmt::format("     the same place at another line: {}\n", numbers_of(one.same_place));
    }
    out += fmt::format("     {}\n", names(one.members));
  }
  if (!unreadable.empty()) {
    out += fmt::format("\n{}:\n",
                       counted(unreadable.size(), "file is no report", "files are no reports"));
    std::size_t left = kShownNames;
    for (const Unreadable& file : unreadable) {
      if (left-- == 0) {
        out += "     …\n";
        break;
      }
      out += fmt::format("     {}: {}\n", shown(file.name), shown(file.reason));
    }
  }
  return out;
}

Json clusters_to_json(const Clustering& clustering, const std::vector<Unreadable>& unreadable) {
  Json json = Json::object();
  json["clusters_version"] = "1.0";
  json["by"] = clustering.by == ClusterBy::strict ? "strict" : "loose";
  json["reports"] = clustering.cases.size();
  json["clusters"] = Json::array();
  const auto names = [&](const std::vector<std::size_t>& members) {
    Json list = Json::array();
    for (const std::size_t member : members) list.push_back(shown(clustering.cases[member].name));
    return list;
  };
  const auto keys = [&](const std::vector<std::size_t>& others) {
    Json list = Json::array();
    for (const std::size_t index : others) list.push_back(clustering.clusters[index].key);
    return list;
  };
  for (const Cluster& one : clustering.clusters) {
    const CaseDigest& best = clustering.cases[one.representative];
    Json entry = Json::object();
    entry["key"] = one.key;
    entry["loose"] = best.keys.loose;
    entry["class"] = to_string(best.bug_class);
    entry["title"] = best.title;
    entry["cause"] = best.cause;
    entry["confidence"] = to_string(best.confidence);
    entry["count"] = one.members.size();
    entry["representative"] = shown(best.name);
    entry["reports"] = names(one.members);
    entry["differs"] = Json::array();
    for (const Difference& difference : one.differs) {
      Json values = Json::array();
      for (const TraitValue& value : difference.values) {
        if (values.size() == kJsonValues) break;
        values.push_back({{"value", value.value},
                          {"count", value.members.size()},
                          {"reports", names(value.members)}});
      }
      entry["differs"].push_back({{"trait", difference.trait}, {"values", std::move(values)}});
    }
    entry["same_place"] = keys(one.same_place);
    entry["same_crash"] = keys(one.same_crash);
    json["clusters"].push_back(std::move(entry));
  }
  json["unreadable"] = Json::array();
  for (const Unreadable& file : unreadable) {
    json["unreadable"].push_back({{"name", shown(file.name)}, {"reason", shown(file.reason)}});
  }
  return json;
}

}  // namespace culprit::report
