#include "report/presentable.h"

#include <fmt/format.h>

#include <cmath>
#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "report/fields.h"
#include "report/fingerprint.h"
#include "report/limits.h"
#include "report/sanitize.h"

namespace culprit::report {
namespace {

// Visits every member of a report (fields.h) and makes it harmless where it is.
class Tamer {
 public:
  void required_name(const char*, std::string& x) { x = sanitize(x, kMaxName); }
  void name(const char* key, std::string& x) { required_name(key, x); }
  void required_code(const char*, std::string& x) { x = sanitize(x, kMaxName, Lines::code); }
  void code(const char* key, std::string& x) { required_code(key, x); }
  void prose(const char*, std::string& x) { x = sanitize(x, kMaxProse, Lines::many); }
  void required_number(const char*, const auto&) {}
  void number(const char*, const auto&) {}
  void real(const char*, double& x) { x = std::isfinite(x) ? x : 0; }
  void hex(const char*, const auto&) {}
  void flag(const char*, const auto&, bool) {}
  void flag(const char*, const auto&) {}
  void choice(const char*, const auto&) {}
  template <typename T>
  void required_object(const char*, T& x) {
    Fields<T>::visit(*this, x);
  }
  template <typename T>
  void object(const char*, T& x) {
    Fields<T>::visit(*this, x);
  }
  template <typename T>
  void object(const char*, std::optional<T>& x) {
    if (x) Fields<T>::visit(*this, *x);
  }
  template <typename T>
  void required_list(const char*, std::vector<T>& x, std::size_t limit) {
    if (x.size() > limit) x.resize(limit);
    for (T& element : x) Fields<T>::visit(*this, element);
  }
  template <typename T>
  void list(const char* key, std::vector<T>& x, std::size_t limit) {
    required_list(key, x, limit);
  }
  void names(const char*, std::vector<std::string>& x, std::size_t limit) {
    if (x.size() > limit) x.resize(limit);
    for (std::string& element : x) element = sanitize(element, kMaxName);
  }
  template <typename T>
  void hexes(const char*, std::vector<T>& x, std::size_t limit) {
    if (x.size() > limit) x.resize(limit);
  }
  template <typename T>
  void indices(const char*, std::vector<T>& x, std::size_t limit) {
    if (x.size() > limit) x.resize(limit);
  }
};

}  // namespace

Report completed(const Report& original) {
  Report report = original;
  report.schema_version = kSchemaVersion;
  number_hops(report.hops);
  Verdict& verdict = report.verdict;
  const BugClassInfo& bug = info(verdict.bug_class);
  if (verdict.title.empty()) verdict.title = bug.title;
  if (verdict.suggested_fix.empty()) verdict.suggested_fix = bug.fix;
  if (report.fingerprint.strict.empty() || report.fingerprint.loose.empty()) {
    report.fingerprint = fingerprint(report);
  }
  if (report.hops.size() > kMaxHops) {
    std::string cut =
        fmt::format("this report holds the first {} hops of {}", kMaxHops, report.hops.size());
    if (report.warnings.size() >= kMaxItems) report.warnings.resize(kMaxItems - 1);
    report.warnings.push_back(std::move(cut));
    report.hops.resize(kMaxHops);
  }
  std::erase_if(verdict.evidence, [&](std::uint32_t index) { return index >= report.hops.size(); });
  return report;
}

Report presentable(const Report& original) {
  Report report = completed(original);
  Tamer tamer;
  Fields<Report>::visit(tamer, report);
  return report;
}

}  // namespace culprit::report
