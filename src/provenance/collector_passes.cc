#include "provenance/collector_passes.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

/// The newest calls of the registrar that are kept.
constexpr std::uint32_t kKeptCalls = 4096;
/// The end mark watches a slot, which takes up to two debug registers.
constexpr std::size_t kMostEntries = 2;
/// A record is moved at most this often before the search for its maker is given up.
constexpr int kMostMoves = 32;

bool named(const binary::CodeLocation& code, std::string_view function) {
  return std::any_of(code.frames.begin(), code.frames.end(),
                     [&](const binary::FunctionFrame& f) {
                       return f.name == function || f.linkage_name == function;
                     }) ||
         code.symbol == function;
}

/// The frame of the registrar; none if no frame near the top is it, not even inlined.
std::optional<std::size_t> frame_named(const std::vector<WalkFrame>& frames,
                                       std::string_view function) {
  constexpr std::size_t kNear = 4;
  for (std::size_t i = 0; i < frames.size() && i < kNear; ++i) {
    if (named(frames[i].code, function)) return i;
  }
  return std::nullopt;
}

/// A pair of neighbouring words: a range that holds the reference.
struct Pair {
  Address at;
  ByteRange range;
};

/// Looks through the program's writable memory for records: the two words of `wanted`, or, without
/// that, of any range of code that holds `reference`, the narrowest first.
std::vector<Pair> find_records(const ProcessImage& image, const runtimes::Registrar& registrar,
                               Address reference, const std::optional<ByteRange>& wanted,
                               const replay::LiveState& live) {
  constexpr std::uint64_t kChunk = 1 << 20;
  constexpr std::uint64_t kMostScanned = std::uint64_t{256} << 20;
  constexpr std::uint64_t kMostCode = 1 << 20;  // of one fragment: no stack, no heap
  constexpr std::size_t kMostFound = 16;
  std::vector<Pair> found;
  // Records whose two words do not follow each other are not looked for.
  if (registrar.record_end != registrar.record_start + 8) return found;
  std::vector<std::uint64_t> chunk(kChunk / 8);
  std::uint64_t scanned = 0;
  for (const replay::Mapping& m : image.mappings()) {
    if (!m.writable || m.kind == replay::MappingKind::recorder) continue;
    for (std::uint64_t at = 0; at < m.range.size && scanned < kMostScanned; at += kChunk - 8) {
      const auto n = static_cast<std::size_t>(std::min(kChunk, m.range.size - at));
      const std::size_t words = live.read(m.range.start + static_cast<std::int64_t>(at),
                                          std::as_writable_bytes(std::span(chunk)).first(n)) /
                                8;
      scanned += n;
      for (std::size_t i = 0; i + 1 < words; ++i) {
        const std::uint64_t start = chunk[i];
        const std::uint64_t end = chunk[i + 1];
        if (start > reference.value || end <= reference.value || end - start > kMostCode) continue;
        const ByteRange range{Address{start}, end - start};
        if (wanted && range != *wanted) continue;
        found.push_back({m.range.start + static_cast<std::int64_t>(at + 8 * i), range});
      }
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Pair& a, const Pair& b) { return a.range.size < b.range.size; });
  if (found.size() > kMostFound) found.resize(kMostFound);
  return found;
}

/// Collects the registrar's calls on the way to the sweep, and looks around there.
class SweepObserver : public replay::PassObserver {
 public:
  SweepObserver(const ProcessImage& image, const runtimes::Collector& collector, Address slot)
      : image_(image), collector_(collector), slot_(slot) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    calls_.push_back(hit);
    return replay::Next::go_on;
  }

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    const CachedMemory memory(live);
    block = collector_.reclaimed(slot_, memory);
    if (!block) return;
    hidden_by = collector_.blind_spot(block->reference, memory);
    for (const replay::Hit& hit : calls_) {
      const std::uint64_t start = hit.registers[Gpr::rdi];
      const std::uint64_t end = hit.registers[Gpr::rsi];
      const ByteRange range{Address{start}, end > start ? end - start : 0};
      if (!range.contains(block->reference)) continue;
      if (hidden_by && range != hidden_by->range) continue;
      call = hit;
      called_with = range;
    }
    if (hidden_by) return;
    // The runtime's table is not known by name; a record of the same two words is as good.
    records = find_records(image_, collector_.registrar(), block->reference, called_with, live);
  }

  std::optional<runtimes::Reclaimed> block;
  std::optional<runtimes::BlindSpot> hidden_by;
  std::optional<replay::Hit> call;  ///< the newest that made such a range known
  std::optional<ByteRange> called_with;
  std::vector<Pair> records;

 private:
  const ProcessImage& image_;
  const runtimes::Collector& collector_;
  Address slot_;
  std::vector<replay::Hit> calls_;
};

/// Stands at a registration.
class CallObserver : public replay::PassObserver {
 public:
  CallObserver(const ProcessImage& image, Registration& out) : image_(image), out_(out) {}
  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    stand_at(image_, at, registers, memory, out_.moment);
    out_.location =
        describe_location(image_, out_.moment, out_.range.start, out_.range.size, memory);
  }

 private:
  const ProcessImage& image_;
  Registration& out_;
};

Result<std::optional<Registration>> visit(replay::Replay& replay, const ProcessImage& image,
                                          const replay::Mark& mark, const ByteRange& range,
                                          std::chrono::milliseconds deadline,
                                          report::Stats& stats) {
  Registration out;
  out.range = range;
  out.moment.mark = mark;
  replay::PassSpec spec;
  spec.end = mark;
  spec.deadline = deadline;
  CallObserver observer(image, out);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!pass.end_reached || out.moment.frames.empty()) return std::optional<Registration>{};
  out.code = out.moment.frames.front().code;
  return std::optional(std::move(out));
}

/// Who made the record at `pair`: the last writer of its first word, or, where that only moved it
/// from another place of the table, of that one.
Result<std::optional<Registration>> maker_of(replay::Replay& replay, const ProcessImage& image,
                                             const runtimes::Registrar& registrar, const Pair& pair,
                                             const replay::Mark& before,
                                             std::chrono::milliseconds deadline,
                                             report::Stats& stats) {
  Slot slot{pair.at, 8, pair.range.start.value};
  replay::Mark until = before;
  for (int moves = 0; moves < kMostMoves; ++moves) {
    CULPRIT_ASSIGN(LastWriter found, find_last_writer(replay, image, slot, until, std::nullopt,
                                                      false, deadline, stats));
    if (!found.writer || found.writer->hit.kernel) break;
    WriterHit& writer = *found.writer;
    const bool moved = writer.source.kind == ValueSource::Kind::memory && writer.source.address &&
                       writer.source.size >= 8 && !writer.moment.frame_of(*writer.source.address);
    if (moved) {
      slot.address = *writer.source.address + writer.source.offset;
      until = writer.moment.mark;
      continue;
    }
    const auto frame = frame_named(writer.moment.frames, registrar.function);
    if (!frame && !named(writer.code, registrar.function)) break;
    CULPRIT_ASSIGN(auto out, visit(replay, image, writer.moment.mark, pair.range, deadline, stats));
    if (out) {
      out->code = writer.code;
      out->frame = frame.value_or(writer.frame);
    }
    return out;
  }
  return std::optional<Registration>{};
}

}  // namespace

const runtimes::Collector* sweeping_collector(const ProcessImage& image, const WriterHit& writer) {
  if (writer.hit.kernel || !writer.writer) return nullptr;
  for (const auto& runtime : image.runtimes()) {
    const runtimes::Collector* collector = runtime->collector();
    if (collector == nullptr) continue;
    for (const binary::FunctionFrame& frame : writer.code.frames) {
      if (collector->sweeps(frame.name)) return collector;
    }
    if (collector->sweeps(writer.code.symbol)) return collector;
  }
  return nullptr;
}

Result<std::optional<Sweep>> examine_sweep(replay::Replay& replay, const ProcessImage& image,
                                           const runtimes::Collector& collector,
                                           const WriterHit& writer,
                                           std::chrono::milliseconds deadline,
                                           report::Stats& stats) {
  const runtimes::Registrar& registrar = collector.registrar();
  replay::PassSpec spec;
  const std::vector<Address> entries = image.symbols().function_entries(registrar.function);
  for (const Address entry : entries) {
    if (spec.probes.size() >= kMostEntries) break;
    spec.probes.push_back(execution_of(entry, image, std::nullopt));
    spec.probes.back().keep_last = kKeptCalls;
  }
  spec.end = writer.moment.mark;
  spec.deadline = deadline;
  SweepObserver observer(image, collector, writer.location.address);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!pass.end_reached || !observer.block) return std::optional<Sweep>{};

  Sweep out;
  out.block = *std::move(observer.block);
  out.hidden_by = std::move(observer.hidden_by);
  if (observer.call) {
    const ByteRange range = *observer.called_with;
    if (!out.hidden_by && !observer.records.empty()) {
      out.hidden_by =
          runtimes::BlindSpot{range, "a " + registrar.noun, observer.records.front().at};
    }
    const replay::Mark mark =
        hit_mark(execution_of(spec.probes[observer.call->probe].address, image, std::nullopt),
                 observer.call->ordinal);
    if (out.hidden_by) {
      CULPRIT_ASSIGN(out.registration, visit(replay, image, mark, range, deadline, stats));
    }
    return std::optional(std::move(out));
  }
  // The registrar is inlined, or its arguments are not where its signature says: its store is left.
  std::vector<Pair> records = std::move(observer.records);
  if (out.hidden_by) {
    const auto start = static_cast<std::int64_t>(registrar.record_start);
    records = {Pair{out.hidden_by->record + start, out.hidden_by->range}};
  }
  for (const Pair& record : records) {
    CULPRIT_ASSIGN(out.registration,
                   maker_of(replay, image, registrar, record, writer.moment.mark, deadline, stats));
    if (!out.registration) continue;
    if (!out.hidden_by) {
      out.hidden_by = runtimes::BlindSpot{record.range, "a " + registrar.noun, record.at};
    }
    break;
  }
  return std::optional(std::move(out));
}

}  // namespace culprit::provenance
