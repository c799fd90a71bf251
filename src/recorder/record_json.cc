#include "recorder/record_json.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "agent/exact_ticks_file.h"
#include "base/file.h"

namespace culprit::recorder {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t max_record_size = std::size_t{4} << 20;

struct Stamp {
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  bool operator==(const Stamp&) const = default;
};

std::optional<Stamp> stamp_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return Stamp{info.st_size, static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 +
                                 info.st_mtim.tv_nsec};
}

Json to_json(const Stamp& stamp) {
  return {{"size", stamp.size}, {"modified_ns", stamp.modified_ns}};
}

/// JSON strings are UTF-8; a file name need not be. Broken bytes become U+FFFD (see dump() below).
Json stream_json(const char* file, const CapturedOutput& captured) {
  Json out{{"file", file}, {"bytes", captured.total}, {"kept", captured.text.size()}};
  if (captured.gap) out["gap_at"] = *captured.gap;
  return out;
}

template <typename T>
std::optional<T> member(const Json& object, const char* name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return std::nullopt;
  } else {
    if (!found->is_number_integer()) return std::nullopt;
  }
  return found->template get<T>();
}

std::optional<Stamp> stamp_member(const Json& object) {
  const auto size = member<std::int64_t>(object, "size");
  const auto modified = member<std::int64_t>(object, "modified_ns");
  if (!size || !modified) return std::nullopt;
  return Stamp{*size, *modified};
}

}  // namespace

Status write_record(const RecordOptions& options, const RecordOutcome& outcome) {
  std::error_code code;
  Json json;
  json["format"] = 1;
  json["tool"] = "culprit";
  json["command"] = options.command;
  json["working_directory"] = fs::current_path(code).string();
  json["engine"] = engine_name(outcome.engine);
  json["rr_version"] = outcome.rr.version_text;
  json["failure"] = outcome.failure;
  if (outcome.status.signal != 0) {
    json["signal"] = outcome.status.signal;
  } else {
    json["exit_code"] = outcome.status.code;
  }
  json["timed_out"] = outcome.timed_out;
  json["attempts"] = outcome.attempts;
  json["elapsed_ms"] = outcome.elapsed.count();
  json["recorded_at_unix"] = std::chrono::duration_cast<std::chrono::seconds>(
                                 std::chrono::system_clock::now().time_since_epoch())
                                 .count();
  json["stdout"] = stream_json(stdout_file, outcome.out);
  json["stderr"] = stream_json(stderr_file, outcome.err);
  if (outcome.engine == Engine::software) {
    json["ticks"] = {{"held", outcome.ticks.held},
                     {"released", outcome.ticks.released},
                     {"dropped", outcome.ticks.dropped},
                     {"interrupts", outcome.ticks.interrupts},
                     {"killed", outcome.ticks.killed},
                     {"landed", outcome.ticks.landed},
                     {"landings", outcome.landings.size()}};
  }
  if (!outcome.landings.empty()) {
    // A file of its own: the agent reads it at each replay.
    CULPRIT_TRY(write_file_atomically(outcome.trace / agent::landings_file,
                                      agent::print_landings(outcome.landings)));
  }
  if (outcome.engine == Engine::exact) {
    CULPRIT_TRY(write_file_atomically(outcome.trace / agent::exact_ticks_file, "v1\n"));
  }
  if (const std::optional<std::string> program = find_program(options.command.front())) {
    const fs::path real = fs::canonical(*program, code);
    if (const auto stamp = stamp_of(real); !code && stamp) {
      json["program"] = to_json(*stamp);
      json["program"]["path"] = real.string();
    }
  }
  // rr links unwritable system files into the trace instead of copying them.
  json["shared_files"] = Json::array();
  for (const fs::directory_entry& entry : fs::directory_iterator(outcome.trace, code)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("mmap_hardlink_")) continue;
    if (const auto stamp = stamp_of(entry.path())) {
      Json file = to_json(*stamp);
      file["file"] = name;
      json["shared_files"].push_back(std::move(file));
    }
  }
  CULPRIT_TRY(write_file_atomically(outcome.trace / stdout_file, outcome.out.text));
  CULPRIT_TRY(write_file_atomically(outcome.trace / stderr_file, outcome.err.text));
  return write_file_atomically(
      outcome.trace / record_file,
      json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Status read_record(TraceInfo& info) {
  std::error_code code;
  if (fs::is_regular_file(info.path / stdout_file, code)) info.out = info.path / stdout_file;
  if (fs::is_regular_file(info.path / stderr_file, code)) info.err = info.path / stderr_file;
  const Result<std::string> text = read_file(info.path / record_file, max_record_size);
  if (!text.ok()) return {};
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return {};

  if (const auto command = json.find("command"); command != json.end() && command->is_array()) {
    for (const Json& word : *command) {
      if (word.is_string()) info.command.push_back(word.get<std::string>());
    }
  }
  info.working_directory = member<std::string>(json, "working_directory").value_or("");
  const std::string engine = member<std::string>(json, "engine").value_or("");
  for (const Engine known : {Engine::hardware, Engine::software, Engine::exact}) {
    if (engine == engine_name(known)) info.engine = known;
  }
  if (const auto value = member<std::int64_t>(json, "exit_code")) {
    info.exit_code = static_cast<int>(*value);
  }
  if (const auto value = member<std::int64_t>(json, "signal")) {
    info.signal = static_cast<int>(*value);
  }
  if (const auto program = json.find("program"); program != json.end()) {
    const auto path = member<std::string>(*program, "path");
    const auto then = stamp_member(*program);
    if (path && then && stamp_of(*path) != then) info.changed_binaries.push_back(*path);
  }
  if (const auto shared = json.find("shared_files"); shared != json.end() && shared->is_array()) {
    for (const Json& file : *shared) {
      const auto name = member<std::string>(file, "file");
      const auto then = stamp_member(file);
      if (!name || !then || name->find('/') != std::string::npos) continue;
      const auto now = stamp_of(info.path / *name);
      // Gone: `rr pack` has replaced it by a copy.
      if (now && now != then) {
        return Error{ErrorCode::bad_input,
                     info.path.string() + ": " + *name +
                         " was changed in place since the recording; the trace cannot be replayed. "
                         "Record again, or keep traces with `rr pack`"};
      }
    }
  }
  return {};
}

}  // namespace culprit::recorder
