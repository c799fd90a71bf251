#include "agent/config.h"

#include <charconv>

namespace culprit::agent {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

std::string to_hex(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += hex_digits[byte >> 4];
    out += hex_digits[byte & 15];
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const std::size_t high = hex_digits.find(text[i]);
    const std::size_t low = hex_digits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out += static_cast<char>(static_cast<unsigned char>(high * 16 + low));
  }
  return out;
}

std::string_view name_of(AgentConfig::Ticks ticks) {
  switch (ticks) {
    case AgentConfig::Ticks::hardware:
      return "hardware";
    case AgentConfig::Ticks::exact:
      return "exact";
    case AgentConfig::Ticks::software:
      break;
  }
  return "software";
}

bool parse_ticks(std::string_view text, AgentConfig::Ticks& out) {
  for (const auto ticks : {AgentConfig::Ticks::software, AgentConfig::Ticks::hardware,
                           AgentConfig::Ticks::exact}) {
    if (text != name_of(ticks)) continue;
    out = ticks;
    return true;
  }
  return false;
}

template <typename T>
bool parse_number(std::string_view text, T& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_addresses(std::string_view text, LandingSet& out) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::uint64_t address = 0;
    if (!parse_number(text.substr(0, comma), address, 16) || !out.add(address)) return false;
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return true;
}

}  // namespace

std::string encode(const AgentConfig& config) {
  std::string out = "v1;mode=";
  out += config.mode == AgentConfig::Mode::record ? "record" : "replay";
  out += ";ticks=";
  out += name_of(config.ticks);
  out += ";report=" + std::to_string(config.report_fd);
  out += ";control=" + std::to_string(config.control_fd);
  out += ";library=" + std::to_string(config.library_fd);
  out += ";hold_ms=" + std::to_string(config.hold_ms);
  out += ";starve_ms=" + std::to_string(config.starve_ms);
  if (config.learn_ms != 0) out += ";learn_ms=" + std::to_string(config.learn_ms);
  if (config.fixed_addresses) out += ";fixed=1";
  if (config.most_steps != 0) out += ";steps=" + std::to_string(config.most_steps);
  for (std::size_t i = 0; i < config.landings.size(); ++i) {
    char digits[16];
    const auto end = std::to_chars(digits, digits + sizeof digits, config.landings[i], 16).ptr;
    out += i == 0 ? ";landings=" : ",";
    out.append(digits, end);
  }
  if (config.user_preload) out += ";preload=" + to_hex(*config.user_preload);
  if (config.user_config) out += ";own=" + to_hex(*config.user_config);
  return out;
}

std::optional<AgentConfig> decode(std::string_view text) {
  AgentConfig config;
  bool first = true;
  bool mode_seen = false;
  while (!text.empty()) {
    const std::size_t end = text.find(';');
    const std::string_view field = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (first) {
      if (field != "v1") return std::nullopt;
      first = false;
      continue;
    }
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = field.substr(0, equals);
    const std::string_view value = field.substr(equals + 1);
    bool good = true;
    if (key == "mode") {
      good = value == "record" || value == "replay";
      mode_seen = good;
      config.mode = value == "record" ? AgentConfig::Mode::record : AgentConfig::Mode::replay;
    } else if (key == "ticks") {
      good = parse_ticks(value, config.ticks);
    } else if (key == "report") {
      good = parse_number(value, config.report_fd);
    } else if (key == "control") {
      good = parse_number(value, config.control_fd);
    } else if (key == "library") {
      good = parse_number(value, config.library_fd);
    } else if (key == "hold_ms") {
      good = parse_number(value, config.hold_ms);
    } else if (key == "starve_ms") {
      good = parse_number(value, config.starve_ms);
    } else if (key == "learn_ms") {
      good = parse_number(value, config.learn_ms);
    } else if (key == "steps") {
      good = parse_number(value, config.most_steps);
    } else if (key == "fixed") {
      good = value == "0" || value == "1";
      config.fixed_addresses = value == "1";
    } else if (key == "landings") {
      good = parse_addresses(value, config.landings);
    } else if (key == "preload" || key == "own") {
      std::optional<std::string> decoded = from_hex(value);
      good = decoded.has_value();
      (key == "own" ? config.user_config : config.user_preload) = std::move(decoded);
    }
    if (!good) return std::nullopt;
  }
  if (!mode_seen) return std::nullopt;
  return config;
}

}  // namespace culprit::agent
