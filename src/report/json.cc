#include "report/json.h"

#include <fmt/format.h>

#include <cmath>
#include <concepts>
#include <exception>
#include <limits>
#include <type_traits>
#include <utility>

#include "report/fields.h"
#include "report/presentable.h"
#include "report/sanitize.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxJsonValues = 4U << 20;

// --- writing -----------------------------------------------------------------------------------

class JsonWriter {
 public:
  explicit JsonWriter(Json& json) : json_(json) {}

  void required_name(const char* key, const std::string& x) { json_[key] = sanitize(x, kMaxName); }
  void name(const char* key, const std::string& x) {
    if (!x.empty()) required_name(key, x);
  }
  void required_code(const char* key, const std::string& x) {
    json_[key] = sanitize(x, kMaxName, Lines::code);
  }
  void code(const char* key, const std::string& x) {
    if (!x.empty()) required_code(key, x);
  }
  void prose(const char* key, const std::string& x) {
    if (!x.empty()) json_[key] = sanitize(x, kMaxProse, Lines::many);
  }
  void required_number(const char* key, std::integral auto x) { json_[key] = x; }
  void number(const char* key, std::integral auto x) {
    if (x != 0) json_[key] = x;
  }
  template <std::integral I>
  void number(const char* key, const std::optional<I>& x) {
    if (x) json_[key] = *x;
  }
  void real(const char* key, double x) { json_[key] = std::isfinite(x) ? x : 0.0; }
  void hex(const char* key, std::uint64_t x) { json_[key] = to_hex(x); }
  void hex(const char* key, Address x) { json_[key] = to_hex(x); }
  template <typename T>
  void hex(const char* key, const std::optional<T>& x) {
    if (x) hex(key, *x);
  }
  void flag(const char* key, bool x, bool fallback) {
    if (x != fallback) json_[key] = x;
  }
  void flag(const char* key, const std::optional<bool>& x) {
    if (x) json_[key] = *x;
  }
  void choice(const char* key, auto x) { json_[key] = to_string(x); }
  template <typename T>
  void required_object(const char* key, const T& x) {
    Json child = Json::object();
    JsonWriter writer(child);
    Fields<T>::visit(writer, x);
    json_[key] = std::move(child);
  }
  template <typename T>
  void object(const char* key, const T& x) {
    if (!(x == T{})) required_object(key, x);
  }
  template <typename T>
  void object(const char* key, const std::optional<T>& x) {
    if (x) required_object(key, *x);
  }
  template <typename T>
  void required_list(const char* key, const std::vector<T>& x, std::size_t limit) {
    Json children = Json::array();
    for (std::size_t i = 0; i < x.size() && i < limit; ++i) {
      Json child = Json::object();
      JsonWriter writer(child);
      Fields<T>::visit(writer, x[i]);
      children.push_back(std::move(child));
    }
    json_[key] = std::move(children);
  }
  template <typename T>
  void list(const char* key, const std::vector<T>& x, std::size_t limit) {
    if (!x.empty()) required_list(key, x, limit);
  }
  void names(const char* key, const std::vector<std::string>& x, std::size_t limit) {
    array(key, x, limit, [](const std::string& s) { return Json(sanitize(s, kMaxName)); });
  }
  void hexes(const char* key, const std::vector<std::uint64_t>& x, std::size_t limit) {
    array(key, x, limit, [](std::uint64_t value) { return Json(to_hex(value)); });
  }
  void indices(const char* key, const std::vector<std::uint32_t>& x, std::size_t limit) {
    array(key, x, limit, [](std::uint32_t value) { return Json(value); });
  }

 private:
  template <typename T, typename Convert>
  void array(const char* key, const std::vector<T>& x, std::size_t limit, Convert convert) {
    if (x.empty()) return;
    Json children = Json::array();
    for (std::size_t i = 0; i < x.size() && i < limit; ++i) children.push_back(convert(x[i]));
    json_[key] = std::move(children);
  }

  Json& json_;
};

// --- reading -----------------------------------------------------------------------------------

// The first error wins; after it nothing more is read.
struct ReadState {
  std::string path;  // of the object being read: "hops[2].location."
  std::optional<Error> error;

  void fail(std::string_view key, std::string_view what) {
    if (error) return;
    error = Error{ErrorCode::bad_input, fmt::format("{}{}: {}", path, key, what)};
  }
};

// "0x" and 1–16 lower-case digits without a leading zero, as to_hex writes it.
std::optional<std::uint64_t> parse_hex(std::string_view text) {
  if (!text.starts_with("0x") || text.size() < 3 || text.size() > 18) return std::nullopt;
  text.remove_prefix(2);
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    value = value << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

class JsonReader {
 public:
  JsonReader(const Json& json, ReadState& state) : json_(json), state_(state) {}

  void required_name(const char* key, std::string& x) { text(find(key, true), key, kMaxName, x); }
  void name(const char* key, std::string& x) { text(find(key, false), key, kMaxName, x); }
  void required_code(const char* key, std::string& x) { required_name(key, x); }
  void code(const char* key, std::string& x) { name(key, x); }
  void prose(const char* key, std::string& x) { text(find(key, false), key, kMaxProse, x); }
  void required_number(const char* key, std::integral auto& x) {
    if (const Json* json = find(key, true)) integer(*json, key, x);
  }
  void number(const char* key, std::integral auto& x) {
    if (const Json* json = find(key, false)) integer(*json, key, x);
  }
  template <std::integral I>
  void number(const char* key, std::optional<I>& x) {
    if (const Json* json = find(key, false)) integer(*json, key, x.emplace());
  }
  void real(const char* key, double& x) {
    const Json* json = find(key, true);
    if (json == nullptr) return;
    if (!json->is_number() || !(json->get<double>() >= 0)) {
      state_.fail(key, "expected a number that is not negative");
      return;
    }
    x = json->get<double>();
  }
  void hex(const char* key, std::uint64_t& x) {
    if (const Json* json = find(key, true)) hex_value(*json, key, x);
  }
  void hex(const char* key, Address& x) { hex(key, x.value); }
  void hex(const char* key, std::optional<std::uint64_t>& x) {
    if (const Json* json = find(key, false)) hex_value(*json, key, x.emplace());
  }
  void hex(const char* key, std::optional<Address>& x) {
    if (const Json* json = find(key, false)) hex_value(*json, key, x.emplace().value);
  }
  void flag(const char* key, bool& x, bool fallback) {
    x = fallback;
    if (const Json* json = find(key, false)) boolean(*json, key, x);
  }
  void flag(const char* key, std::optional<bool>& x) {
    if (const Json* json = find(key, false)) boolean(*json, key, x.emplace());
  }
  template <typename E>
  void choice(const char* key, E& x) {
    const Json* json = find(key, true);
    if (json == nullptr) return;
    if (!json->is_string()) {
      state_.fail(key, "expected a string");
      return;
    }
    const auto value = enum_from_string<E>(json->get_ref<const std::string&>());
    if (!value) {
      state_.fail(key, "not a name of its closed list (a report of a newer version?)");
      return;
    }
    x = *value;
  }
  template <typename T>
  void required_object(const char* key, T& x) {
    if (const Json* json = find(key, true)) child(*json, std::string(key), x);
  }
  template <typename T>
  void object(const char* key, T& x) {
    if (const Json* json = find(key, false)) child(*json, std::string(key), x);
  }
  template <typename T>
  void object(const char* key, std::optional<T>& x) {
    if (const Json* json = find(key, false)) child(*json, std::string(key), x.emplace());
  }
  template <typename T>
  void required_list(const char* key, std::vector<T>& x, std::size_t limit) {
    objects(find(key, true), key, x, limit);
  }
  template <typename T>
  void list(const char* key, std::vector<T>& x, std::size_t limit) {
    objects(find(key, false), key, x, limit);
  }
  void names(const char* key, std::vector<std::string>& x, std::size_t limit) {
    array(key, x, limit, [this](const Json& json, const std::string& at, std::string& value) {
      text(&json, at, kMaxName, value);
    });
  }
  void hexes(const char* key, std::vector<std::uint64_t>& x, std::size_t limit) {
    array(key, x, limit, [this](const Json& json, const std::string& at, std::uint64_t& value) {
      hex_value(json, at, value);
    });
  }
  void indices(const char* key, std::vector<std::uint32_t>& x, std::size_t limit) {
    array(key, x, limit, [this](const Json& json, const std::string& at, std::uint32_t& value) {
      integer(json, at, value);
    });
  }

 private:
  const Json* find(const char* key, bool required) {
    if (state_.error) return nullptr;
    const auto found = json_.find(key);
    if (found != json_.end()) return &*found;
    if (required) state_.fail(key, "missing");
    return nullptr;
  }

  void text(const Json* json, std::string_view key, std::size_t limit, std::string& x) {
    if (json == nullptr) return;
    if (!json->is_string()) {
      state_.fail(key, "expected a string");
      return;
    }
    const std::string& value = json->get_ref<const std::string&>();
    if (value.size() > limit) {
      state_.fail(key, fmt::format("longer than {} bytes", limit));
      return;
    }
    x = value;
  }

  template <std::integral I>
  void integer(const Json& json, std::string_view key, I& x) {
    bool fits = false;
    if (json.is_number_unsigned()) {
      fits = std::in_range<I>(json.get<std::uint64_t>());
    } else if (json.is_number_integer()) {
      fits = std::in_range<I>(json.get<std::int64_t>());
    } else {
      state_.fail(key, "expected an integer");
      return;
    }
    if (!fits) {
      state_.fail(key, fmt::format("not between {} and {}", std::numeric_limits<I>::min(),
                                   std::numeric_limits<I>::max()));
      return;
    }
    x = json.get<I>();
  }

  void hex_value(const Json& json, std::string_view key, std::uint64_t& x) {
    const auto value =
        json.is_string() ? parse_hex(json.get_ref<const std::string&>()) : std::nullopt;
    if (!value) {
      state_.fail(key, "expected a string of \"0x\" and up to 16 hexadecimal digits");
      return;
    }
    x = *value;
  }

  void boolean(const Json& json, std::string_view key, bool& x) {
    if (!json.is_boolean()) {
      state_.fail(key, "expected true or false");
      return;
    }
    x = json.get<bool>();
  }

  template <typename T>
  void child(const Json& json, const std::string& key, T& x) {
    if (!json.is_object()) {
      state_.fail(key, "expected an object");
      return;
    }
    const std::size_t length = state_.path.size();
    state_.path += key;
    state_.path += '.';
    JsonReader reader(json, state_);
    Fields<T>::visit(reader, x);
    state_.path.resize(length);
  }

  template <typename T, typename Read>
  void elements(const Json* json, const char* key, std::vector<T>& x, std::size_t limit,
                Read read) {
    if (json == nullptr) return;
    if (!json->is_array()) {
      state_.fail(key, "expected an array");
      return;
    }
    if (json->size() > limit) {
      state_.fail(key, fmt::format("more than {} elements", limit));
      return;
    }
    x.clear();
    x.reserve(json->size());
    for (const Json& element : *json) {
      if (state_.error) return;
      const std::string at = fmt::format("{}[{}]", key, x.size());
      read(element, at, x.emplace_back());
    }
  }

  template <typename T>
  void objects(const Json* json, const char* key, std::vector<T>& x, std::size_t limit) {
    elements(json, key, x, limit, [this](const Json& element, const std::string& at, T& value) {
      child(element, at, value);
    });
  }

  template <typename T, typename Read>
  void array(const char* key, std::vector<T>& x, std::size_t limit, Read read) {
    elements(find(key, false), key, x, limit, read);
  }

  const Json& json_;
  ReadState& state_;
};

// What the types cannot say: indices that point to hops.
Status check_links(const Report& report) {
  const auto fail = [](std::string message) {
    return Error{ErrorCode::bad_input, std::move(message)};
  };
  for (std::size_t i = 0; i < report.hops.size(); ++i) {
    const Hop& hop = report.hops[i];
    if (hop.index != i) return fail(fmt::format("hops[{}].index: not its place in the list", i));
    if (hop.parent && *hop.parent >= i) {
      return fail(fmt::format("hops[{}].parent: not a hop before it", i));
    }
  }
  for (std::size_t i = 0; i < report.verdict.evidence.size(); ++i) {
    if (report.verdict.evidence[i] >= report.hops.size()) {
      return fail(fmt::format("verdict.evidence[{}]: there is no such hop", i));
    }
  }
  return {};
}

}  // namespace

Json to_json(const Report& report) {
  Json json = Json::object();
  JsonWriter writer(json);
  const Report fit = completed(report);
  Fields<Report>::visit(writer, fit);
  return json;
}

std::string to_json_text(const Report& report) {
  return to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

namespace {

/// MAJOR.MINOR, each of 1 to 6 digits.
bool is_version(std::string_view text) {
  const std::size_t dot = text.find('.');
  const auto is_number = [](std::string_view part) {
    return !part.empty() && part.size() <= 6 &&
           part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return dot != std::string_view::npos && is_number(text.substr(0, dot)) &&
         is_number(text.substr(dot + 1));
}

}  // namespace

Json to_json(const History& history) {
  Json json = Json::object();
  JsonWriter writer(json);
  Fields<History>::visit(writer, history);
  return json;
}

std::string to_json_text(const History& history) {
  return to_json(history).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Report> from_json(const Json& json) {
  if (!json.is_object()) {
    return Error{ErrorCode::bad_input, fmt::format("not a JSON object; {}", kNoReport)};
  }
  const auto version = json.find("schema_version");
  if (version == json.end() || !version->is_string()) {
    return Error{ErrorCode::bad_input, fmt::format("schema_version: missing; {}", kNoReport)};
  }
  const std::string& text = version->get_ref<const std::string&>();
  if (!is_version(text)) {
    return Error{ErrorCode::bad_input, fmt::format("schema_version: '{}' is no version; {}",
                                                   sanitize(text, 32), kNoReport)};
  }
  if (!text.starts_with("1.")) {
    return Error{
        ErrorCode::bad_input,
        fmt::format(
            "schema_version: the report has {}, and this culprit reads 1.x: {}", text,
            text.starts_with("0.") ? "0.x was never published" : "read it with a newer culprit")};
  }
  try {
    Report report;
    ReadState state;
    JsonReader reader(json, state);
    Fields<Report>::visit(reader, report);
    if (state.error) return *std::move(state.error);
    CULPRIT_TRY(check_links(report));
    return report;
  } catch (const std::exception& e) {  // the library's accessors and the allocator
    return Error{ErrorCode::internal, fmt::format("reading a report: {}", e.what())};
  }
}

Result<Report> from_json_text(std::string_view text) {
  if (text.size() > kMaxJsonBytes) {
    return Error{ErrorCode::bad_input,
                 fmt::format("a report has at most {} MiB", kMaxJsonBytes >> 20)};
  }
  try {
    std::size_t values = 0;
    bool over = false;
    const auto guard = [&](int depth, Json::parse_event_t, Json&) {
      if (static_cast<std::size_t>(depth) > kMaxJsonDepth || ++values > kMaxJsonValues) over = true;
      return !over;
    };
    const Json json = Json::parse(text, guard, /*allow_exceptions=*/false);
    if (over) return Error{ErrorCode::bad_input, "too deeply nested or too large for a report"};
    if (json.is_discarded()) return Error{ErrorCode::bad_input, "not valid JSON"};
    return from_json(json);
  } catch (const std::exception& e) {
    return Error{ErrorCode::internal, fmt::format("parsing a report: {}", e.what())};
  }
}

}  // namespace culprit::report
