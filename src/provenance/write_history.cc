#include "provenance/write_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/hops.h"
#include "provenance/last_writer.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

/// A stop walks a stack: more than so many writes are listed without their callers.
constexpr std::size_t kMaxStops = 500;
/// Different instructions and system calls that are told apart; the rest is summed up.
constexpr std::size_t kMaxGroups = 256;

/// What tells the filters that no probe can: thread and time.
bool wanted(const report::HistoryFilters& filters, const ProcessImage& image,
            const replay::Hit& hit) {
  if (filters.thread && hit.position.thread.value != *filters.thread) return false;
  if (!filters.first && !filters.last) return true;
  const std::int64_t event = image.index().event_of(hit.position).value;
  return (!filters.first || event >= *filters.first) && (!filters.last || event <= *filters.last);
}

/// Who wrote, as the hit and the modules' code alone tell it.
report::Writer writer_of(const ProcessImage& image, const replay::Hit& hit, ByteRange slot) {
  binary::CodeLocation code = image.symbols().locate(hit.registers.pc());
  if (hit.kernel) return report_writer(image, code, nullptr);
  std::optional<Address> start;
  if (!code.function.empty()) start = code.function.start;
  const ModuleCode memory(image.modules());
  auto candidates = x86::find_writer_before(memory, start, hit.registers, slot);
  if (candidates.empty()) return report_writer(image, code, nullptr);
  code = image.symbols().locate(candidates.front().instruction.address);
  return report_writer(image, code, &candidates.front().instruction);
}

/// Counts all writes, by who made them, and keeps the newest.
class CountingObserver : public replay::PassObserver {
 public:
  CountingObserver(const ProcessImage& image, const WriteSearch& search,
                   const std::vector<replay::Probe>& probes)
      : image_(image), search_(search), probes_(probes) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (hit.probe >= probes_.size() || !wanted(search_.filters, image_, hit))
      return replay::Next::go_on;
    ++matching;
    add_to_group(hit);
    newest.push_back(hit);
    if (newest.size() > search_.limit) newest.pop_front();
    return replay::Next::go_on;
  }

  std::uint64_t matching = 0;
  std::uint64_t groups_left_out = 0;
  std::deque<replay::Hit> newest;
  std::vector<report::WriteGroup> groups;

  /// The hit as far as it can be told without having stopped there.
  report::Hop bare_hop(const replay::Hit& hit) const {
    report::Hop hop;
    hop.kind = kind_of_write(image_, hit);
    hop.position = report_position(image_, hit.position, nullptr);
    hop.location.emplace();
    hop.location->address = probes_[hit.probe].address;
    hop.location->size = probes_[hit.probe].size;
    hop.location->region = report::RegionKind::unknown;
    if (hit.before_known) hop.value_before = hit.value_before;
    if (!hit.kernel || !took_away(*hit.kernel, probes_[hit.probe].address)) {
      hop.value_after = hit.value_after;
    }
    hop.confidence = report::Confidence::likely;
    const auto found = group_of_.find(key_of(hit));
    if (found != group_of_.end()) hop.writer = groups[found->second].writer;
    if (hit.kernel) hop.syscall = syscall_of(*hit.kernel);
    return hop;
  }

 private:
  using Key = std::tuple<report::HopKind, std::uint64_t, std::uint64_t>;
  Key key_of(const replay::Hit& hit) const {
    return {kind_of_write(image_, hit), hit.kernel ? hit.kernel->syscall : 0, hit.registers.rip};
  }

  void add_to_group(const replay::Hit& hit) {
    const EventNumber event = image_.index().event_of(hit.position);
    const auto [found, fresh] = group_of_.try_emplace(key_of(hit), groups.size());
    if (fresh) {
      if (groups.size() == kMaxGroups) {
        group_of_.erase(found);
        ++groups_left_out;
        return;
      }
      report::WriteGroup group;
      group.kind = kind_of_write(image_, hit);
      group.writer = writer_of(image_, hit, {probes_[hit.probe].address, probes_[hit.probe].size});
      if (hit.kernel) group.syscall = syscall_name(hit.kernel->syscall);
      group.first = event;
      groups.push_back(std::move(group));
    }
    report::WriteGroup& group = groups[found->second];
    ++group.count;
    group.last = event;
  }

  const ProcessImage& image_;
  const WriteSearch& search_;
  const std::vector<replay::Probe>& probes_;
  std::map<Key, std::size_t> group_of_;
};

/// Stops at each write.
class StoppingObserver : public replay::PassObserver {
 public:
  StoppingObserver(const ProcessImage& image, const WriteSearch& search,
                   const std::vector<replay::Probe>& probes, const RevisitStyle& style)
      : image_(image), search_(search), probes_(probes), style_(style) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState* live) override {
    if (live == nullptr || hit.probe >= probes_.size() || !wanted(search_.filters, image_, hit)) {
      return replay::Next::go_on;
    }
    const replay::Probe& probe = probes_[hit.probe];
    const Slot slot{probe.address, probe.size, hit.value_after};
    WriterHit writer = examine_write(image_, slot, hit_mark(probe, hit.ordinal), hit, *live);
    if (!search_.name.empty() && !writer.location.owner) writer.location.description = search_.name;
    report::Hop hop = writer_hop(image_, writer, slot, writer.source, writer.source_place, style_);
    // The revisit counts writes of one value; here each write counts.
    hop.revisit.reset();
    hops.push_back(std::move(hop));
    return replay::Next::go_on;
  }

  std::vector<report::Hop> hops;

 private:
  const ProcessImage& image_;
  const WriteSearch& search_;
  const std::vector<replay::Probe>& probes_;
  const RevisitStyle& style_;
};

}  // namespace

Result<std::vector<replay::Probe>> probes_of(ByteRange range, ProcessId process) {
  constexpr std::uint64_t kWord = 8;
  constexpr std::uint64_t kMost = 4 * kWord;
  std::vector<replay::Probe> out;
  replay::Probe probe;
  probe.kind = replay::ProbeKind::write;
  probe.process = process;
  if (range.size >= 1 && range.size <= kWord) {
    probe.address = range.start;
    probe.size = static_cast<std::uint8_t>(range.size);
    out.push_back(probe);
    return out;
  }
  if (range.size == 0 || range.size > kMost || range.size % kWord != 0 ||
      range.start.value % kWord != 0) {
    return Error{
        ErrorCode::usage,
        fmt::format(
            "{} bytes at {} cannot be watched: the processor has four registers for 8 aligned "
            "bytes each; say --size 1 to 8, or 16, 24 or 32 at a multiple of 8",
            range.size, to_hex(range.start))};
  }
  for (std::uint64_t at = 0; at < range.size; at += kWord) {
    probe.address = Address{range.start.value + at};
    out.push_back(probe);
  }
  return out;
}

Status find_writes(replay::Replay& replay, const ProcessImage& image, const WriteSearch& search,
                   const RevisitStyle& style, report::History& out) {
  const auto deadline = std::chrono::steady_clock::now() + search.timeout;
  const auto remaining = [&] {
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(
                        deadline - std::chrono::steady_clock::now()),
                    std::chrono::milliseconds{1});
  };
  CULPRIT_ASSIGN(std::vector<replay::Probe> probes, probes_of(search.range, image.process()));
  if (search.filters.value) {
    if (probes.size() != 1) return Error{ErrorCode::usage, "--value needs a --size of at most 8"};
    probes.front().filter = replay::ValueFilter{*search.filters.value, ~std::uint64_t{0}};
  }
  replay::PassSpec spec;
  spec.probes = probes;
  spec.end = search.until;
  spec.deadline = remaining();
  CountingObserver counting(image, search, probes);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, counting));
  count(out.stats, pass);
  for (const std::uint64_t hits : pass.raw_hits) out.writes_seen += hits;
  out.writes_matching = counting.matching;
  out.writers_left_out = counting.groups_left_out;

  if (counting.matching > 0 && counting.matching <= std::min(search.limit, kMaxStops)) {
    for (replay::Probe& probe : spec.probes) probe.live = true;
    if (image.heap() != nullptr) spec.heap = *image.heap();
    spec.deadline = remaining();
    StoppingObserver stopping(image, search, probes, style);
    CULPRIT_ASSIGN(const replay::PassResult again, replay.run(spec, stopping));
    count(out.stats, again);
    out.writes = std::move(stopping.hops);
  } else {
    for (const replay::Hit& hit : counting.newest) out.writes.push_back(counting.bare_hop(hit));
  }
  out.writers = std::move(counting.groups);
  out.writes_left_out =
      out.writes_matching - std::min<std::uint64_t>(out.writes.size(), out.writes_matching);
  for (std::size_t i = 0; i < out.writes.size(); ++i) {
    out.writes[i].index = static_cast<std::uint32_t>(out.writes_left_out + i);
  }
  std::stable_sort(out.writers.begin(), out.writers.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  return {};
}

}  // namespace culprit::provenance
