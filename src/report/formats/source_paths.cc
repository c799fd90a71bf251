#include "report/formats/source_paths.h"

#include <fmt/format.h>

#include <iterator>

namespace culprit::report {
namespace {

// Without "." and empty parts, ".." resolved; nothing if it climbs above its start.
std::optional<std::string> normalised(std::string_view path) {
  const bool absolute = path.starts_with('/');
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    } else if (!absolute) {
      return std::nullopt;
    }
  }
  return fmt::format("{}{}", absolute ? "/" : "", fmt::join(parts, "/"));
}

}  // namespace

SourcePaths::SourcePaths(std::string_view root, const std::vector<std::string>& prefixes) {
  const auto add = [this](std::string_view directory) {
    if (directory.empty()) return;
    if (auto clean = normalised(directory); clean && !clean->empty() && *clean != "/") {
      directories_.push_back(*std::move(clean));
    }
  };
  for (const std::string& prefix : prefixes) add(prefix);
  add(root);
}

std::optional<std::string> SourcePaths::in_repository(std::string_view path) const {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (name.empty() || name.starts_with('<')) return std::nullopt;
  const std::optional<std::string> clean = normalised(path);
  if (!clean || clean->empty()) return std::nullopt;
  for (const std::string& directory : directories_) {
    if (clean->size() > directory.size() + 1 && clean->starts_with(directory) &&
        (*clean)[directory.size()] == '/') {
      return clean->substr(directory.size() + 1);
    }
  }
  if (clean->front() == '/') return std::nullopt;
  return clean;
}

std::string path_to_uri(std::string_view path) {
  std::string uri;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
    if (plain) {
      uri += c;
    } else {
      fmt::format_to(std::back_inserter(uri), "%{:02X}", byte);
    }
  }
  return uri;
}

}  // namespace culprit::report
