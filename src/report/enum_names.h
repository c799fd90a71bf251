// Closed lists of names: one table per enumeration, used for reading, writing and documentation.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace culprit::report {

/// One enumerator and the name it has in reports (snake_case, never localised, never renamed).
template <typename E>
struct EnumName {
  E value;
  std::string_view name;
};

/// The table of E, in the order of declaration. Specialised next to each enumeration.
template <typename E>
[[nodiscard]] std::span<const EnumName<E>> enum_names() = delete;

/// The name of `value`; "unknown" for a number that is no enumerator.
template <typename E>
[[nodiscard]] std::string_view to_string(E value) {
  for (const EnumName<E>& entry : enum_names<E>()) {
    if (entry.value == value) return entry.name;
  }
  return "unknown";
}

/// The enumerator called exactly `name`, or nothing.
template <typename E>
[[nodiscard]] std::optional<E> enum_from_string(std::string_view name) {
  for (const EnumName<E>& entry : enum_names<E>()) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

}  // namespace culprit::report
