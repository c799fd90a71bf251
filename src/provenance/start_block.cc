#include "provenance/start_block.h"

#include <fmt/format.h>

#include <vector>

#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxPointers = 65'536;
constexpr std::size_t kMaxName = 256;
constexpr std::int64_t kMaxText = 1 << 17;  // MAX_ARG_STRLEN of Linux

std::string variable_name(const MemoryReader& memory, Address text) {
  std::string name;
  for (std::size_t i = 0; i < kMaxName; ++i) {
    const auto c = memory.read_as<char>(text + static_cast<std::int64_t>(i));
    if (!c || *c == '\0') return {};  // no "=": what it holds is not its name
    if (*c == '=') break;
    name += *c;
  }
  return name.size() < kMaxName ? name : std::string();
}

}  // namespace

std::string StartBlockPart::words() const {
  switch (kind) {
    case Kind::argument:
      return fmt::format("argv[{}]", index);
    case Kind::end_of_arguments:
      return "the end of the arguments";
    case Kind::environment:
      return name.empty() ? "an environment variable" : "the environment variable " + name;
    case Kind::end_of_environment:
      return std::string(report::kEndOfEnvironment);
    case Kind::auxiliary:
      break;
  }
  return "the program's arguments or environment";
}

std::optional<StartBlockPart> find_in_start_block(const MemoryReader& memory, Address sp,
                                                  Address address) {
  using Kind = StartBlockPart::Kind;
  const auto count = memory.read_u64(sp);
  if (!count || *count > kMaxPointers || address < sp) return std::nullopt;
  StartBlockPart best;
  std::optional<Address> nearest;  // the text that begins nearest below the address
  Address slot = sp + 8;
  const auto found_at = [&](Address at) { return address >= at && address < at + 8; };
  for (std::size_t i = 0; i < *count; ++i, slot = slot + 8) {
    const auto text = memory.read_u64(slot);
    if (!text) return std::nullopt;
    if (found_at(slot)) return StartBlockPart{Kind::argument, i, {}};
    const Address begin{*text};
    if (begin <= address && (!nearest || begin > *nearest)) {
      nearest = begin;
      best = {Kind::argument, i, {}};
    }
  }
  if (found_at(slot)) return StartBlockPart{Kind::end_of_arguments, *count, {}};
  slot = slot + 8;
  for (std::size_t i = 0; i < kMaxPointers; ++i, slot = slot + 8) {
    const auto text = memory.read_u64(slot);
    if (!text) return std::nullopt;
    if (*text == 0) {
      if (found_at(slot)) return StartBlockPart{Kind::end_of_environment, i, {}};
      break;
    }
    const Address begin{*text};
    if (found_at(slot)) return StartBlockPart{Kind::environment, i, variable_name(memory, begin)};
    if (begin <= address && (!nearest || begin > *nearest)) {
      nearest = begin;
      best = {Kind::environment, i, {}};
    }
  }
  if (!nearest || address - *nearest > kMaxText) return StartBlockPart{};
  // The text must reach up to the address.
  for (Address a = *nearest; a < address; a = a + 1) {
    const auto c = memory.read_as<char>(a);
    if (!c || *c == '\0') return StartBlockPart{};
  }
  if (best.kind == Kind::environment) best.name = variable_name(memory, *nearest);
  return best;
}

}  // namespace culprit::provenance
