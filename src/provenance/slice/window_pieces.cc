#include "provenance/slice/window_pieces.h"

#include <algorithm>
#include <tuple>

namespace culprit::provenance {
namespace {

using x86::RegisterBytes;
using x86::RegisterClass;

// The flat register file: each class's first byte, width and count.
struct ClassLayout {
  RegisterClass cls;
  std::uint64_t start;
  std::uint64_t width;
  std::uint64_t count;
};
constexpr std::array<ClassLayout, 7> kLayout = {{{RegisterClass::gpr, 0, 8, 16},
                                                 {RegisterClass::vector, 128, 64, 32},
                                                 {RegisterClass::mask, 2176, 8, 8},
                                                 {RegisterClass::mmx, 2240, 8, 8},
                                                 {RegisterClass::segment_base, 2304, 8, 2},
                                                 {RegisterClass::flags, 2320, 8, 1},
                                                 {RegisterClass::other, 2328, 8, 1}}};

// A path that runs through a long copy loop is not worth more than this to a report.
constexpr std::size_t kMaxNodes = std::size_t{1} << 20;
constexpr std::size_t kMaxPathSteps = 1024;

std::uint64_t low_bytes(std::uint64_t value, std::uint64_t size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

}  // namespace

std::optional<Spot> to_spot(const RegisterBytes& r) {
  for (const auto& layout : kLayout) {
    if (layout.cls != r.cls) continue;
    if (r.number >= layout.count || std::uint64_t{r.offset} + r.size > layout.width)
      return std::nullopt;
    return Spot{layout.start + r.number * layout.width + r.offset, r.size, false};
  }
  return std::nullopt;
}

Spot to_spot(const ByteRange& range) { return {range.start.value, range.size, true}; }

Place to_place(const Spot& spot) {
  if (spot.memory) return ByteRange{Address{spot.position}, spot.size};
  for (const auto& layout : kLayout) {
    if (spot.position >= layout.start + layout.width * layout.count) continue;
    const std::uint64_t within = spot.position - layout.start;
    return RegisterBytes{layout.cls, static_cast<std::uint8_t>(within / layout.width),
                         static_cast<std::uint8_t>(within % layout.width),
                         static_cast<std::uint8_t>(spot.size)};
  }
  return RegisterBytes{RegisterClass::other, 0, 0, 8};
}

std::optional<std::uint8_t> gpr_of(const Spot& spot) {
  if (spot.memory || spot.size == 0 || spot.position >= 128) return std::nullopt;
  if (spot.position / 8 != (spot.position + spot.size - 1) / 8) return std::nullopt;
  return static_cast<std::uint8_t>(spot.position / 8);
}

std::optional<std::uint64_t> logged_value(const Spot& spot, const Registers& registers) {
  const auto gpr = gpr_of(spot);
  if (!gpr) return std::nullopt;
  return low_bytes(registers.gpr[*gpr] >> (8 * (spot.position % 8)), spot.size);
}

void split_to_units(const Fragment& fragment, const Spot& to, std::vector<Fragment>& out) {
  for (std::uint64_t done = 0; done < to.size;) {
    const std::uint64_t position = to.position + done;
    const std::uint64_t n = std::min(to.size - done, 8 - position % 8);
    Fragment piece = part_of(fragment, done, n);
    piece.spot = {position, n, to.memory};
    out.push_back(piece);
    done += n;
  }
}

Fragment part_of(const Fragment& fragment, std::uint64_t skip, std::uint64_t size) {
  Fragment result = fragment;
  result.spot.position += skip;
  result.spot.size = size;
  result.target += static_cast<std::uint32_t>(skip);
  result.value = skip >= 8 ? 0 : low_bytes(fragment.value >> (8 * skip), size);
  return result;
}

void LiveFragments::add(const Fragment& fragment) {
  ++count_;
  if (fragment.spot.memory) {
    memory_[fragment.spot.position / 8].push_back(fragment);
    return;
  }
  const std::uint64_t unit = fragment.spot.position / 8;
  registers_[unit].push_back(fragment);
  ++in_registers_;
  if (unit < 16) gprs_in_use_ |= 1U << unit;
}

void LiveFragments::removed_from_gpr(std::size_t number, std::size_t how_many) {
  count_ -= how_many;
  in_registers_ -= how_many;
  if (registers_[number].empty()) gprs_in_use_ &= ~(1U << number);
}

void LiveFragments::take_from(Unit& unit, const Spot& range, std::vector<Fragment>& out) {
  std::size_t kept = 0;
  const std::size_t old_size = unit.size();
  for (std::size_t i = 0; i < old_size; ++i) {
    const Fragment f = unit[i];
    // Distances instead of ends: ranges may touch the top of the address space.
    const std::uint64_t skip =
        range.position > f.spot.position ? range.position - f.spot.position : 0;
    const std::uint64_t into = f.spot.position + skip - range.position;
    if (skip >= f.spot.size || into >= range.size) {
      unit[kept++] = f;
      continue;
    }
    const std::uint64_t n = std::min(f.spot.size - skip, range.size - into);
    out.push_back(part_of(f, skip, n));
    if (skip > 0) unit[kept++] = part_of(f, 0, skip);
    if (skip + n < f.spot.size) {
      const Fragment tail = part_of(f, skip + n, f.spot.size - skip - n);
      if (kept <= i) {
        unit[kept++] = tail;
      } else {
        unit.push_back(tail);
      }
    }
  }
  // Tails that did not fit in place were appended behind the old end.
  for (std::size_t i = old_size; i < unit.size(); ++i) unit[kept++] = unit[i];
  unit.resize(kept);
}

void LiveFragments::take(const Spot& range, std::vector<Fragment>& out) {
  if (range.size == 0) return;
  const auto visit = [&](Unit& unit) {
    const std::size_t before = unit.size();
    take_from(unit, range, out);
    count_ -= before;
    count_ += unit.size();
    if (!range.memory) {
      in_registers_ -= before;
      in_registers_ += unit.size();
    }
  };
  const std::uint64_t first = range.position / 8;
  const std::uint64_t units = (range.position % 8 + range.size - 1) / 8 + 1;
  if (!range.memory) {
    for (std::uint64_t u = first; u < first + units && u < registers_.size(); ++u) {
      if (registers_[u].empty()) continue;
      visit(registers_[u]);
      if (u < 16 && registers_[u].empty()) gprs_in_use_ &= ~(1U << u);
    }
    return;
  }
  if (!any_in_memory()) return;
  if (units > memory_.size()) {
    for (auto it = memory_.begin(); it != memory_.end();) {
      visit(it->second);
      it = it->second.empty() ? memory_.erase(it) : std::next(it);
    }
    return;
  }
  for (std::uint64_t k = 0; k < units; ++k) {
    const auto it = memory_.find((first + k) & (~std::uint64_t{0} >> 3));
    if (it == memory_.end()) continue;
    visit(it->second);
    if (it->second.empty()) memory_.erase(it);
  }
}

void LiveFragments::take_all(std::vector<Fragment>& out) {
  for (auto& unit : registers_) {
    out.insert(out.end(), unit.begin(), unit.end());
    unit.clear();
  }
  for (auto& [key, unit] : memory_) out.insert(out.end(), unit.begin(), unit.end());
  memory_.clear();
  count_ = 0;
  in_registers_ = 0;
  gprs_in_use_ = 0;
}

std::int32_t PathArena::add(std::int32_t previous, std::size_t step, Address pc, x86::FlowKind kind,
                            std::optional<Spot> from, Spot to) {
  if (nodes_.size() >= kMaxNodes) return previous;
  Node node;
  node.from = from.value_or(Spot{});
  node.has_from = from.has_value();
  node.to = to;
  node.pc = pc;
  node.previous = previous;
  node.step = static_cast<std::uint32_t>(step);
  node.kind = kind;
  nodes_.push_back(node);
  return static_cast<std::int32_t>(nodes_.size()) - 1;
}

std::vector<PathStep> PathArena::steps(std::int32_t node) const {
  std::vector<PathStep> result;
  // A full path would end with the oldest steps; those are the ones worth keeping.
  for (; node >= 0 && result.size() < kMaxPathSteps;) {
    const Node& n = nodes_[static_cast<std::size_t>(node)];
    PathStep step;
    step.index = n.step;
    step.pc = n.pc;
    step.kind = n.kind;
    if (n.has_from) step.from = to_place(n.from);
    step.to = to_place(n.to);
    result.push_back(step);
    node = n.previous;
  }
  std::reverse(result.begin(), result.end());
  return result;
}

namespace {

// The place that continues `a` with `b`, if they touch.
std::optional<Place> joined(const Place& a, const Place& b) {
  if (const auto* m = std::get_if<ByteRange>(&a)) {
    const auto* n = std::get_if<ByteRange>(&b);
    if (n == nullptr || m->end() != n->start) return std::nullopt;
    return ByteRange{m->start, m->size + n->size};
  }
  const auto& r = std::get<RegisterBytes>(a);
  const auto* s = std::get_if<RegisterBytes>(&b);
  if (s == nullptr || !r.same_register(*s) || r.offset + r.size != s->offset) return std::nullopt;
  RegisterBytes result = r;
  result.size = static_cast<std::uint8_t>(r.size + s->size);
  return result;
}

// Bytes that lie next to each other in the group and come from one place, or from one constant.
bool join_origins(Origin& a, const Origin& b, std::uint32_t size_a, std::uint32_t size_b) {
  if (a.kind != b.kind || a.transformation != b.transformation) return false;
  switch (a.kind) {
    case OriginKind::zero:
    case OriginKind::limit:
      return a.pc == b.pc;
    case OriginKind::immediate:
      if (a.step != b.step || size_a + size_b > 8 || !a.constant || !b.constant) return false;
      a.constant = *a.constant | (*b.constant << (8 * size_a));
      return true;
    case OriginKind::transformation:
      return true;
    default:
      break;
  }
  if (!a.place || !b.place) return false;
  const auto place = joined(*a.place, *b.place);
  if (!place) return false;
  if (a.step != b.step) {
    // The older read is the time at which all of these bytes were still as before the window.
    if (a.kind != OriginKind::memory) return false;
    if (b.step < a.step) {
      a.step = b.step;
      a.pc = b.pc;
      a.earlier_system_call = b.earlier_system_call;
    }
  }
  a.place = place;
  return true;
}

std::vector<std::byte> value_bytes(const Fragment& f) {
  std::vector<std::byte> result;
  if (!f.known) return result;
  for (std::uint64_t i = 0; i < f.spot.size; ++i)
    result.push_back(static_cast<std::byte>(f.value >> (8 * i)));
  return result;
}

// Widens the steps of `path` by those of its right neighbour while both went the same way.
void join_paths(std::vector<PathStep>& path, const std::vector<PathStep>& other) {
  const auto widen = [](std::optional<Place>& a, const std::optional<Place>& b) {
    if (!a || !b) return;
    if (const auto place = joined(*a, *b)) a = place;
  };
  for (std::size_t i = 0; i < path.size() && i < other.size(); ++i) {
    if (path[i].pc != other[i].pc || path[i].kind != other[i].kind) return;
    widen(path[i].from, other[i].from);
    widen(path[i].to, other[i].to);
  }
}

}  // namespace

std::vector<WindowPiece> join_fragments(std::vector<FinishedFragment> finished,
                                        const PathArena& paths,
                                        const std::vector<GroupParent>& groups) {
  std::sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) {
    return std::tie(a.fragment.group, a.fragment.target) <
           std::tie(b.fragment.group, b.fragment.target);
  });
  std::vector<WindowPiece> result;
  std::uint32_t last_group = 0;
  std::uint32_t last_fragment_size = 0;
  for (auto& [f, origin] : finished) {
    const auto size = static_cast<std::uint32_t>(f.spot.size);
    auto path = paths.steps(f.path);
    const auto certainty = f.likely ? Certainty::likely : Certainty::proved;
    if (!result.empty() && last_group == f.group) {
      WindowPiece& last = result.back();
      const bool both_known = f.known == !last.value.empty();
      if (last.offset + last.size == f.target && last.added == f.added &&
          last.certainty == certainty && both_known &&
          join_origins(last.origin, origin, last.size, size)) {
        const auto more = value_bytes(f);
        last.value.insert(last.value.end(), more.begin(), more.end());
        last.size += size;
        if (size > last_fragment_size) {
          // The larger fragment's way is the better example.
          join_paths(path, last.path);
          last.path = std::move(path);
          last_fragment_size = size;
        } else {
          join_paths(last.path, path);
        }
        continue;
      }
    }
    WindowPiece piece;
    piece.offset = f.target;
    piece.size = size;
    if (f.group > 0 && f.group - 1 < groups.size()) {
      piece.parent = groups[f.group - 1].transformation;
      piece.input = groups[f.group - 1].input;
    }
    piece.added = f.added;
    piece.origin = origin;
    piece.certainty = certainty;
    piece.value = value_bytes(f);
    piece.path = std::move(path);
    result.push_back(std::move(piece));
    last_group = f.group;
    last_fragment_size = size;
  }
  return result;
}

}  // namespace culprit::provenance
