#include "provenance/slice/static_path.h"

#include <algorithm>
#include <unordered_map>

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxCode = std::size_t{4} << 20;
constexpr std::size_t kMaxPath = 4096;

struct Brief {
  std::uint32_t offset = 0;
  x86::Flow flow = x86::Flow::fallthrough;
};

// Direct jumps to one instruction: how many, and one of them.
struct JumpsIn {
  std::uint32_t count = 0;
  std::uint32_t source = 0;  // index into the grid
};

struct Grid {
  std::vector<Brief> instructions;
  std::unordered_map<std::uint32_t, JumpsIn> jumps;  // by offset of the target
  bool indirect_jumps = false;
  bool unclean = false;

  std::optional<std::size_t> index_of(std::uint32_t offset) const {
    const auto it =
        std::lower_bound(instructions.begin(), instructions.end(), offset,
                         [](const Brief& b, std::uint32_t value) { return b.offset < value; });
    if (it == instructions.end() || it->offset != offset) return std::nullopt;
    return static_cast<std::size_t>(it - instructions.begin());
  }

  bool falls_through(std::size_t index) const {
    switch (instructions[index].flow) {
      case x86::Flow::fallthrough:
      case x86::Flow::conditional:
      case x86::Flow::call:
      case x86::Flow::indirect_call:
        return true;
      default:
        return false;
    }
  }

  std::optional<std::size_t> only_predecessor(std::size_t index) const {
    const bool from_above = index > 0 && falls_through(index - 1);
    const auto jump = jumps.find(instructions[index].offset);
    const std::uint32_t count = jump == jumps.end() ? 0 : jump->second.count;
    if (from_above && count == 0) return index - 1;
    if (!from_above && count == 1) return jump->second.source;
    return std::nullopt;
  }
};

Grid decode_grid(std::span<const std::byte> code, Address function) {
  Grid grid;
  grid.instructions.reserve(code.size() / 4);
  for (std::size_t at = 0; at < code.size();) {
    const auto next = x86::outline(code.subspan(at), function + static_cast<std::int64_t>(at));
    Brief brief{static_cast<std::uint32_t>(at), x86::Flow::stop};
    if (!next.ok()) {
      grid.unclean = true;
      grid.instructions.push_back(brief);
      ++at;
      continue;
    }
    brief.flow = next->flow;
    grid.indirect_jumps = grid.indirect_jumps || next->table_jump;
    if (next->target) {
      const std::uint64_t target = next->target->value - function.value;
      if (target < code.size()) {
        JumpsIn& in = grid.jumps[static_cast<std::uint32_t>(target)];
        ++in.count;
        // A call's target is another activation: it is never the only predecessor.
        if (next->flow == x86::Flow::call) ++in.count;
        in.source = static_cast<std::uint32_t>(grid.instructions.size());
      }
    }
    grid.instructions.push_back(brief);
    at += next->length;
  }
  return grid;
}

}  // namespace

Result<StaticPath> find_static_path(std::span<const std::byte> code, Address function,
                                    Address instruction, bool with_instruction) {
  if (code.size() > kMaxCode)
    return Error{ErrorCode::bad_input,
                 "the function at " + to_hex(function) + " is too large to slice"};
  const std::uint64_t into = instruction.value - function.value;
  const Grid grid = decode_grid(code, function);
  const auto end =
      into < code.size() ? grid.index_of(static_cast<std::uint32_t>(into)) : std::nullopt;
  if (!end)
    return Error{ErrorCode::bad_input, "no instruction of the function at " + to_hex(function) +
                                           " starts at " + to_hex(instruction)};
  StaticPath path;
  path.indirect_jumps = grid.indirect_jumps;
  path.unclean = grid.unclean;
  std::vector<std::size_t> indexes{*end};
  std::vector<bool> visited(grid.instructions.size(), false);
  visited[*end] = true;
  std::size_t current = *end;
  while (true) {
    // The entry has callers, whatever else jumps to it.
    if (grid.instructions[current].offset == 0) {
      path.from_entry = true;
      break;
    }
    const auto previous = grid.only_predecessor(current);
    if (!previous || visited[*previous]) break;
    if (indexes.size() >= kMaxPath) {
      path.truncated = true;
      break;
    }
    visited[*previous] = true;
    indexes.push_back(*previous);
    current = *previous;
  }
  std::reverse(indexes.begin(), indexes.end());
  path.leader = function + grid.instructions[indexes.front()].offset;
  if (!with_instruction) indexes.pop_back();
  path.instructions.reserve(indexes.size());
  for (const std::size_t index : indexes) {
    const std::uint32_t offset = grid.instructions[index].offset;
    auto decoded = x86::decode(code.subspan(offset), function + offset);
    if (!decoded.ok()) {
      // Bytes that are no instruction can only be the end itself: nothing falls out of them.
      return std::move(decoded).error();
    }
    path.instructions.push_back(std::move(*decoded));
  }
  return path;
}

}  // namespace culprit::provenance
