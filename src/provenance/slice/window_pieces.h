// Private to slice/: the pieces of value that a window slice follows, byte by byte.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "provenance/slice/slice_path.h"
#include "provenance/slice/window_slice.h"
#include "x86/places.h"

namespace culprit::provenance {

/// A run of bytes in memory, or in the register file laid out flat.
struct Spot {
  std::uint64_t position = 0;  ///< address, or byte number in the flat register file
  std::uint64_t size = 0;
  bool memory = false;
  bool operator==(const Spot&) const = default;
};

/// Bytes of the flat register file.
inline constexpr std::uint64_t kRegisterFileSize = 2336;

std::optional<Spot> to_spot(const x86::RegisterBytes& r);
Spot to_spot(const ByteRange& range);
Place to_place(const Spot& spot);
/// The general-purpose register's number if all of the spot is inside one.
std::optional<std::uint8_t> gpr_of(const Spot& spot);
/// Bytes of the logged registers, if the spot lies in one that is logged.
std::optional<std::uint64_t> logged_value(const Spot& spot, const Registers& registers);

/// Up to eight followed bytes inside one aligned unit of eight.
struct Fragment {
  Spot spot;                 ///< where they are, at moments `since` and before
  std::uint32_t group = 0;   ///< 0: the asked bytes; else WindowTrace::groups
  std::uint32_t target = 0;  ///< offset within the group
  std::int32_t path = -1;    ///< newest node added to its path (the oldest step), -1 for none
  std::size_t since = 0;     ///< index of the step before which they are at `spot`
  std::uint64_t value = 0;   ///< if known
  std::int64_t added = 0;
  bool known = false;
  bool likely = false;
  bool in_index = false;     ///< part of the index of an address that is bad
};

/// The fragments being followed, found by place.
class LiveFragments {
 public:
  void add(const Fragment& fragment);
  /// Removes all followed bytes inside `range`; fragments that reach out of it are cut.
  void take(const Spot& range, std::vector<Fragment>& out);
  void take_all(std::vector<Fragment>& out);
  std::size_t count() const { return count_; }
  bool any_in_registers() const { return in_registers_ != 0; }
  bool any_in_memory() const { return count_ != in_registers_; }
  /// The fragments that lie in a general-purpose register now.
  std::vector<Fragment>& gpr(std::size_t number) { return registers_[number]; }
  std::uint32_t gprs_in_use() const { return gprs_in_use_; }
  void removed_from_gpr(std::size_t number, std::size_t how_many);

 private:
  using Unit = std::vector<Fragment>;
  void take_from(Unit& unit, const Spot& range, std::vector<Fragment>& out);

  std::array<Unit, kRegisterFileSize / 8> registers_;
  std::unordered_map<std::uint64_t, Unit> memory_;  // by address / 8
  std::size_t count_ = 0;
  std::size_t in_registers_ = 0;
  std::uint32_t gprs_in_use_ = 0;
};

/// Cuts `fragment`, moved to `to` (same size), at unit boundaries.
void split_to_units(const Fragment& fragment, const Spot& to, std::vector<Fragment>& out);
/// The part [skip, skip + size) of a fragment.
Fragment part_of(const Fragment& fragment, std::uint64_t skip, std::uint64_t size);

/// Paths that share their newer steps.
class PathArena {
 public:
  /// Returns the new node, or `previous` when the arena is full (the path then lacks older steps).
  std::int32_t add(std::int32_t previous, std::size_t step, Address pc, x86::FlowKind kind,
                   std::optional<Spot> from, Spot to);
  /// The steps of a path, newest first.
  std::vector<PathStep> steps(std::int32_t node) const;

 private:
  struct Node {
    Spot from;
    Spot to;
    Address pc;
    std::int32_t previous = -1;
    std::uint32_t step = 0;
    x86::FlowKind kind = x86::FlowKind::copy;
    bool has_from = false;
  };
  std::vector<Node> nodes_;
};

/// A fragment that reached its origin.
struct FinishedFragment {
  Fragment fragment;
  Origin origin;
};

/// Joins neighbours of one group that have one origin. `groups[g - 1]` is group g's parent and
/// input.
struct GroupParent {
  std::size_t transformation = 0;
  std::size_t input = 0;
};
std::vector<WindowPiece> join_fragments(std::vector<FinishedFragment> finished,
                                        const PathArena& paths,
                                        const std::vector<GroupParent>& groups);

}  // namespace culprit::provenance
