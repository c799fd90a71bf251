#include "provenance/address_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "provenance/cached_memory.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/region_life.h"
#include "provenance/visit.h"
#include "provenance/write_history.h"

namespace culprit::provenance {
namespace {

/// Each costs a pass.
constexpr std::size_t kMaxCallers = 16;
constexpr std::size_t kMaxLifeFrames = 16;

/// Looks at the moment of the failure: evaluates the expression, names the place, asks whose block
/// it was.
class EndObserver : public replay::PassObserver {
 public:
  EndObserver(ProcessImage& image, const HistoryOptions& options)
      : image_(image), options_(options) {}

  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    image_.verify(memory);
    Moment moment;
    stand_at(image_, at, registers, memory, moment);
    std::uint64_t type_size = 0;
    if (options_.address) {
      range.start = *options_.address;
    } else {
      auto place = place_named(image_, moment, options_.expression, memory);
      if (!place.ok()) {
        error = Error{ErrorCode::usage, place.error().message};
        return;
      }
      range.start = place->address;
      type_size = place->size;
    }
    constexpr std::uint64_t kWord = 8;
    range.size = options_.size != 0                     ? options_.size
                 : type_size >= 1 && type_size <= kWord ? type_size
                                                        : kWord;
    location = describe_location(image_, moment, range.start, range.size, memory);
    position = report_position(image_, at, nullptr);
    if (image_.heap() == nullptr) return;
    auto found = live.heap_blocks(range.start);
    if (!found.ok()) return image_.forget_heap();
    if (!found->complete) {
      image_.give_up_heap(
          fmt::format("the program makes more than {} calls of its allocator: heap blocks are not "
                      "in this history",
                      image_.heap()->max_calls));
      return;
    }
    // The location names what is there now; the history has all of them.
    const replay::HeapBlocks now = without_replaced(image_, *found, location);
    if (!now.holding.empty()) add_block(image_, now, location);
    blocks = *std::move(found);
  }

  ByteRange range;
  report::Location location;
  report::Position position;
  replay::HeapBlocks blocks;
  std::optional<Error> error;

 private:
  ProcessImage& image_;
  const HistoryOptions& options_;
};

report::RegionPeriod period_of(const ProcessImage& image, const replay::HeapBlock& block) {
  report::RegionPeriod out;
  out.kind = report::RegionKind::heap;
  out.range = block.range;
  out.from = life_event(image, block.allocated);
  if (block.released) out.to = life_event(image, *block.released);
  out.description = fmt::format("heap block of {} bytes", block.range.size);
  return out;
}

/// A variable lives as long as its module is mapped.
std::optional<report::RegionPeriod> period_of_variable(
    const report::Location& location, const std::vector<report::RegionPeriod>& regions) {
  if ((location.region != report::RegionKind::global &&
       location.region != report::RegionKind::tls) ||
      !location.owner || location.owner->variable.empty() || !location.owner->object) {
    return std::nullopt;
  }
  const report::Owner& owner = *location.owner;
  report::RegionPeriod out;
  out.kind = location.region;
  out.range = ByteRange{*owner.object, owner.object_size.value_or(1)};
  out.description = fmt::format("variable {}{}{}", owner.variable,
                                owner.type.empty() ? "" : " of type ", owner.type);
  if (!owner.declared_file.empty()) {
    out.description += fmt::format(", declared at {}:{}", owner.declared_file, owner.declared_line);
  }
  for (const report::RegionPeriod& region : regions) {
    if (region.range && region.range->contains(location.address) && !region.to)
      out.from = region.from;
  }
  return out;
}

void trim(std::vector<report::Frame>& frames) {
  if (frames.size() > kMaxLifeFrames) frames.resize(kMaxLifeFrames);
}

/// The callers of the system calls that made and ended the regions, newest first: a pass each.
class Callers {
 public:
  Callers(replay::Replay& replay, const ProcessImage& image, report::Stats& stats)
      : replay_(replay), image_(image), stats_(stats) {}

  Status name(const RegionEvent& event, report::LifeEvent& out,
              std::chrono::milliseconds deadline) {
    if (!event.caller) return {};
    for (const auto& [at, frames] : known_) {
      if (at == event.event) {
        out.backtrace = frames;
        return {};
      }
    }
    if (known_.size() == kMaxCallers) {
      ++left_out;
      return {};
    }
    CULPRIT_ASSIGN(const auto moment, visit(replay_, image_, *event.caller, deadline, stats_));
    if (moment) out.backtrace = report_frames(image_, moment->frames);
    trim(out.backtrace);
    known_.emplace_back(event.event, out.backtrace);
    return {};
  }

  std::uint64_t left_out = 0;

 private:
  replay::Replay& replay_;
  const ProcessImage& image_;
  report::Stats& stats_;
  std::vector<std::pair<EventNumber, std::vector<report::Frame>>> known_;
};

}  // namespace

Result<report::History> address_history(replay::Replay& replay, const replay::TraceIndex& index,
                                        const HistoryOptions& options) {
  const auto deadline = std::chrono::steady_clock::now() + options.timeout;
  const auto remaining = [&] {
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(
                        deadline - std::chrono::steady_clock::now()),
                    std::chrono::milliseconds{1});
  };
  report::History out;
  const auto phase = [&](std::string_view name) {
    if (options.progress) options.progress(name, out.stats.hits);
  };
  if (options.address) {
    // Said before anything is replayed.
    const std::uint64_t size = options.size != 0 ? options.size : 8;
    CULPRIT_TRY([&]() -> Status {
      CULPRIT_ASSIGN(const auto probes, probes_of(ByteRange{*options.address, size}, ProcessId{}));
      (void)probes;
      return {};
    }());
  }
  replay::CrashCandidate at;
  if (options.point) {
    phase("going to the moment that --at names");
    CULPRIT_ASSIGN(ChosenPoint chosen,
                   find_crash_point(replay, index, *options.point, options.process,
                                    options.output_source, {}, remaining(), out.stats));
    at = std::move(chosen.moment);
  } else {
    CULPRIT_ASSIGN(at, failure_or_end(index, options.process));
  }
  ProcessImage image(index, at.process, at.event, options.source_prefixes);

  phase(options.point ? "looking at the chosen moment" : "going to the end");
  replay::PassSpec spec;
  spec.end = at.mark;
  spec.deadline = remaining();
  if (image.heap() != nullptr) spec.heap = *image.heap();
  EndObserver end(image, options);
  auto pass = replay.run(spec, end);
  if (!pass.ok() && pass.error().code == ErrorCode::replay_failed && image.heap() != nullptr) {
    // A program that looks at its own code sees the breakpoints on the allocator.
    image.give_up_heap(
        "the replay failed with the allocator's calls followed: heap blocks were not");
    spec.heap.reset();
    spec.deadline = remaining();
    pass = replay.run(spec, end);
  }
  if (!pass.ok()) return pass.error();
  count(out.stats, *pass);
  if (!pass->end_reached) {
    return Error{ErrorCode::replay_failed,
                 "the replay ended before the moment that the trace records; record it again"};
  }
  if (end.error) return *std::move(end.error);
  out.program.pid = at.process;
  if (const binary::Module* main = image.modules().main_module()) {
    out.program.executable = main->path;
    out.program.build_id = main->build_id;
  }
  out.expression = options.expression;
  out.location = end.location;
  out.evaluated_at = end.position;
  out.filters = options.filters;

  phase(fmt::format("looking for the writes to {}", to_hex(end.range.start)));
  WriteSearch search;
  search.range = end.range;
  search.name = options.expression;
  search.filters = options.filters;
  search.limit = options.limit;
  search.until = at.mark;
  search.timeout = remaining();
  CULPRIT_TRY(find_writes(replay, image, search, RevisitStyle{}, out));

  phase("following the memory's owners");
  const RegionLife life = region_life(index, at.process, at.event, end.range.start);
  out.regions_left_out = life.left_out;
  Callers callers(replay, image, out.stats);
  for (const RegionTime& time : life.times) out.regions.push_back(period_of(time));
  for (std::size_t i = life.times.size(); i-- > 0;) {
    if (life.times[i].to) {
      CULPRIT_TRY(callers.name(*life.times[i].to, *out.regions[i].to, remaining()));
    }
    if (life.times[i].from) {
      CULPRIT_TRY(callers.name(*life.times[i].from, *out.regions[i].from, remaining()));
    }
  }
  if (auto variable = period_of_variable(out.location, out.regions)) {
    out.regions.push_back(*std::move(variable));
  }
  for (const replay::HeapBlock& block : end.blocks.holding) {
    out.regions.push_back(period_of(image, block));
    trim(out.regions.back().from->backtrace);
    if (out.regions.back().to) trim(out.regions.back().to->backtrace);
  }
  std::stable_sort(out.regions.begin(), out.regions.end(),
                   [](const report::RegionPeriod& a, const report::RegionPeriod& b) {
                     return (a.from ? a.from->position.event.value : 0) <
                            (b.from ? b.from->position.event.value : 0);
                   });
  if (out.regions.size() > options.limit) {
    const std::size_t over = out.regions.size() - options.limit;
    out.regions_left_out += over;
    out.regions.erase(out.regions.begin(), out.regions.begin() + static_cast<std::ptrdiff_t>(over));
  }
  if (callers.left_out > 0) {
    image.warn(fmt::format("the callers of {} older changes of the mapping were not looked at",
                           callers.left_out));
  }
  constexpr std::size_t kMostBlocks = 8;
  if (end.blocks.holding.size() >= kMostBlocks) {
    image.warn(
        "only the newest heap blocks that held the address are known: there may be older ones");
  }
  out.warnings = image.warnings();
  return out;
}

}  // namespace culprit::provenance
