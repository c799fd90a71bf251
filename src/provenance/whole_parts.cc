#include "provenance/whole_parts.h"

#include <string_view>
#include <vector>

namespace culprit::provenance {
namespace {

bool is_in(std::string_view name, std::string_view part) {
  return name.starts_with(part) &&
         (name.size() == part.size() || name[part.size()] == '.' || name[part.size()] == '[');
}

/// "a.b[1].c[0]" -> "a", "a.b", "a.b[1]": what the array a.b[1].c is in.
std::vector<std::string_view> around_array(std::string_view element) {
  std::vector<std::string_view> out;
  const std::size_t bracket = element.rfind('[');
  for (std::size_t i = 1; bracket != std::string_view::npos && i < bracket; ++i) {
    if (element[i] == '.' || element[i] == '[') out.push_back(element.substr(0, i));
  }
  return out;
}

/// The element of `array` that `name` is in.
std::string_view element_of(std::string_view array, std::string_view name) {
  if (!is_in(name, array) || name.size() == array.size() || name[array.size()] != '[') return {};
  const std::size_t close = name.find(']', array.size());
  return close == std::string_view::npos ? std::string_view{} : name.substr(0, close + 1);
}

}  // namespace

bool are_whole_parts(const EndsOfRange& range) {
  if (range.first.empty() || range.last.empty()) return true;
  for (const std::string_view part : around_array(range.first)) {
    if (is_in(range.before, part)) continue;  // begins further in front
    if (is_in(range.last, part) && !is_in(range.behind, part)) return true;
    if (!part.ends_with(']')) continue;
    const std::string_view last = element_of(part.substr(0, part.rfind('[')), range.last);
    if (!last.empty() && !is_in(range.behind, last)) return true;
  }
  return false;
}

}  // namespace culprit::provenance
