// The addresses of a recording's landings (landing_counter.h), as they are handed around.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace culprit::agent {

/// x86-64 has four debug address registers.
inline constexpr std::size_t max_landings = 4;

/// The file of a trace that names its landings: "v1", then one hexadecimal address per line.
inline constexpr char landings_file[] = "culprit-landings";

/// Addresses of landings. User space only; no address twice.
class LandingSet {
 public:
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  std::uint64_t operator[](std::size_t index) const { return addresses_[index]; }
  bool contains(std::uint64_t address) const;
  /// False if the set is full, has it already, or the address is not one of user code.
  bool add(std::uint64_t address);
  bool operator==(const LandingSet&) const = default;

 private:
  std::array<std::uint64_t, max_landings> addresses_{};
  std::size_t count_ = 0;
};

/// The text of a landings file, and its inverse: false if it is not one; `out` is then empty.
std::string print_landings(const LandingSet& landings);
bool parse_landings(std::string_view text, LandingSet* out);

}  // namespace culprit::agent
