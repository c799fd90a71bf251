#include "agent/landing_set.h"

#include <charconv>

namespace culprit::agent {
namespace {

/// The end of user space with four-level page tables; five-level ones are opt-in by mmap's hint.
constexpr std::uint64_t user_space_end = std::uint64_t{1} << 47;

constexpr std::string_view head = "v1\n";

}  // namespace

bool LandingSet::contains(std::uint64_t address) const {
  for (std::size_t i = 0; i < count_; ++i) {
    if (addresses_[i] == address) return true;
  }
  return false;
}

bool LandingSet::add(std::uint64_t address) {
  if (address == 0 || address >= user_space_end || contains(address)) return false;
  if (count_ == max_landings) return false;
  addresses_[count_++] = address;
  return true;
}

std::string print_landings(const LandingSet& landings) {
  std::string out(head);
  for (std::size_t i = 0; i < landings.size(); ++i) {
    char digits[16];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, landings[i], 16).ptr);
    out += '\n';
  }
  return out;
}

bool parse_landings(std::string_view text, LandingSet* out) {
  *out = LandingSet();
  if (!text.starts_with(head)) return false;
  text.remove_prefix(head.size());
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    std::uint64_t address = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), address, 16);
    if (newline == std::string_view::npos || error != std::errc() ||
        end != line.data() + line.size() || !out->add(address)) {
      *out = LandingSet();
      return false;
    }
    text.remove_prefix(newline + 1);
  }
  return true;
}

}  // namespace culprit::agent
