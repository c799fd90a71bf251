#include "bundle/manifest.h"

#include <nlohmann/json.hpp>

namespace culprit::bundle {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLongest = std::size_t{64} << 10;
constexpr std::uint64_t kMost = std::uint64_t{1} << 60;

Error bad(std::string_view why) {
  return Error{ErrorCode::bad_input, "its bundle.json " + std::string(why)};
}

/// A whole number of the object; 0 if it is missing or none, and then `ok` is false.
std::uint64_t number(const Json& json, const char* name, std::uint64_t most, bool& ok) {
  const auto it = json.find(name);
  if (it == json.end() || !it->is_number_unsigned() || it->get<std::uint64_t>() > most) {
    ok = false;
    return 0;
  }
  return it->get<std::uint64_t>();
}

std::string text(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

}  // namespace

std::string to_text(const Manifest& manifest) {
  Json json;
  json["culprit_bundle"] = kFormat;
  json["tool_version"] = manifest.tool_version;
  json["cpu"] = manifest.cpu;
  json["process"] = manifest.process;
  json["files"] = manifest.files;
  json["bytes"] = manifest.bytes;
  json["may_hold"] = manifest.may_hold;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Manifest> parse_manifest(std::string_view input) {
  if (input.size() > kLongest) return bad("is too long");
  // Without a limit of depth: 64 KiB of brackets are parsed without recursion (SAX into a DOM), but
  // freed with one; so count them first.
  int depth = 0;
  for (const char c : input) {
    if (c == '[' || c == '{') ++depth;
  }
  if (depth > 64) return bad("is no manifest");
  const Json json = Json::parse(input, nullptr, false);
  if (!json.is_object()) return bad("is no JSON object");
  bool ok = true;
  Manifest out;
  if (number(json, "culprit_bundle", kMost, ok) != kFormat) {
    return bad(ok ? "is of a newer format than this culprit knows" : "is no manifest");
  }
  out.process = static_cast<std::int32_t>(number(json, "process", 4194304, ok));
  out.files = number(json, "files", kMost, ok);
  out.bytes = number(json, "bytes", kMost, ok);
  if (!ok) return bad("has no sizes");
  out.tool_version = text(json, "tool_version");
  out.cpu = text(json, "cpu");
  if (const auto list = json.find("may_hold"); list != json.end() && list->is_array()) {
    for (const Json& item : *list) {
      if (item.is_string() && out.may_hold.size() < 64) out.may_hold.push_back(item);
    }
  }
  return out;
}

}  // namespace culprit::bundle
