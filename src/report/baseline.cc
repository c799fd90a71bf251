#include "report/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/limits.h"
#include "report/sanitize.h"

namespace culprit::report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 200'000;

Error bad(std::string message) { return Error{ErrorCode::bad_input, std::move(message)}; }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// The `key` member of an object, as text.
std::string key_of(const Json& json) {
  if (!json.is_object()) return {};
  const auto found = json.find("key");
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

bool Baseline::knows(const Report& report) const {
  const Fingerprint keys = fingerprint(report);
  return keys_.contains(keys.strict) || keys_.contains(keys.loose);
}

Status Baseline::add_key(std::string_view key) {
  constexpr std::size_t kLength = 3 + 32;  // "1s-" and 128 bits
  const bool shaped = key.size() == kLength && (key[1] == 's' || key[1] == 'l') && key[2] == '-' &&
                      key.substr(3).find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!shaped) return bad(fmt::format("'{}' is no key of a cause", sanitize(key, 60)));
  if (key[0] != '1') {
    return bad(fmt::format("{} is a key of another version of culprit", key));
  }
  keys_.emplace(key);
  return {};
}

Status Baseline::add_text(std::string_view text) {
  if (text.size() > kMaxJsonBytes) return bad("larger than 64 MiB");
  try {
    const std::string_view content = trimmed(text);
    const bool json_like = content.starts_with('{');
    const Json whole = json_like ? Json::parse(content, nullptr, false) : Json();
    if (whole.is_object() && whole.contains("clusters")) {
      if (!whole["clusters"].is_array()) return bad("clusters: no list");
      for (const Json& one : whole["clusters"]) CULPRIT_TRY(add_key(key_of(one)));
      return {};
    }
    if (whole.is_object() && whole.contains("schema_version")) {
      CULPRIT_ASSIGN(const Report report, from_json_text(content));
      return add_key(fingerprint(report).strict);
    }
    std::size_t number = 0;
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = trimmed(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++number;
      if (line.empty() || line.starts_with('#')) continue;
      std::string key;
      if (line.starts_with('{')) {
        const Json result = Json::parse(line, nullptr, false);
        // Of a batch: a case without a report has an outcome, and no key.
        if (result.is_object() && result.contains("outcome") && !result.contains("key")) continue;
        key = key_of(result);
        if (key.empty()) return bad(fmt::format("line {}: no key; {}", number, kNoReport));
      } else {
        key = line.substr(0, line.find_first_of(" \t#"));
      }
      if (Status added = add_key(key); !added.ok()) {
        return added.error().with_context(fmt::format("line {}", number));
      }
    }
    return {};
  } catch (const std::exception& error) {  // the library's accessors and the allocator
    return bad(fmt::format("cannot be read: {}", error.what()));
  }
}

Result<Baseline> read_baseline(const std::string& path) {
  Baseline baseline;
  std::error_code code;
  if (!fs::is_directory(path, code)) {
    const Result<std::string> text = read_file(path, kMaxJsonBytes);
    if (!text.ok()) return Error{ErrorCode::usage, "--baseline: " + text.error().message};
    if (const Status added = baseline.add_text(*text); !added.ok()) {
      return added.error().with_context(path);
    }
    return baseline;
  }
  std::vector<fs::path> files;
  auto it =
      fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, code);
  for (; !code && it != fs::recursive_directory_iterator(); it.increment(code)) {
    std::error_code ignored;
    const std::string extension = it->path().extension().string();
    if (extension != ".json" && extension != ".jsonl" && extension != ".txt") continue;
    if (!it->is_regular_file(ignored)) continue;
    if (files.size() == kMaxFiles) return bad(path + " holds more than 200000 files");
    files.push_back(it->path());
  }
  if (code) return Error{ErrorCode::io, "cannot search " + path + ": " + code.message()};
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    CULPRIT_ASSIGN(const std::string text, read_file(file, kMaxJsonBytes));
    const Status added = baseline.add_text(text);
    const bool foreign =
        !added.ok() && file.extension() == ".json" && added.error().message.ends_with(kNoReport);
    if (!added.ok() && !foreign) return added.error().with_context(file.string());
  }
  return baseline;
}

}  // namespace culprit::report
