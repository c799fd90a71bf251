#include "provenance/testing/scripted_replay.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

namespace culprit::provenance::testing {
namespace {

std::uint64_t low_bytes(std::uint64_t value, std::size_t size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

/// True if the event is one that the probe waits for, whatever value was stored.
bool touches(const replay::Probe& probe, const Event& event) {
  if (probe.kind != event.kind) return false;
  if (probe.thread && *probe.thread != event.thread) return false;
  if (probe.process && *probe.process != event.process) return false;
  if (probe.kind == replay::ProbeKind::execute) return probe.address == event.address;
  return ByteRange{probe.address, probe.size}.overlaps(ByteRange{event.address, event.size});
}

}  // namespace

/// The replay at one event.
class ScriptedReplay::Stop : public replay::LiveState {
 public:
  Stop(const ScriptedReplay& replay, const Memory& memory, const Event* event,
       std::uint64_t sequence)
      : replay_(replay), memory_(memory), event_(event), sequence_(sequence) {}

  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const std::uint64_t at = address.value + done;
      const auto page = memory_.find(at & ~std::uint64_t{4095});
      if (page == memory_.end()) break;
      const std::size_t offset = at & 4095;
      const std::size_t n = std::min(out.size() - done, 4096 - offset);
      std::memcpy(out.data() + done, page->second.data() + offset, n);
      done += n;
    }
    return done;
  }
  [[nodiscard]] Result<Registers> registers(ThreadId thread) const override {
    if (event_ == nullptr || thread != event_->thread) {
      return Error{ErrorCode::not_found, "no such thread"};
    }
    return event_->registers;
  }
  [[nodiscard]] Result<std::vector<Thread>> threads() const override {
    return std::vector<Thread>{{kThread, kProcess}};
  }
  [[nodiscard]] Result<replay::HeapBlocks> heap_blocks(Address address) const override {
    if (!replay_.heap) return LiveState::heap_blocks(address);
    return replay_.heap(address, sequence_);
  }
  [[nodiscard]] Result<std::string> maps() const override { return std::string(); }

 private:
  const ScriptedReplay& replay_;
  const Memory& memory_;
  const Event* event_;
  std::uint64_t sequence_;
};

void ScriptedReplay::store(Memory& memory, Address at, std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint64_t address = at.value + i;
    memory[address & ~std::uint64_t{4095}][address & 4095] = bytes[i];
  }
}

void ScriptedReplay::load(Address at, std::span<const std::byte> bytes) {
  store(initial_, at, bytes);
}

Result<replay::PassResult> ScriptedReplay::run(const replay::PassSpec& spec,
                                               replay::PassObserver& observer) {
  passes.push_back(spec);
  if (const auto failure = failing.find(passes.size()); failure != failing.end()) {
    return failure->second;
  }
  std::size_t count = events.size();
  bool cut = false;
  if (const auto end = ends_behind.find(passes.size()); end != ends_behind.end()) {
    count = std::min(count, end->second);
    cut = true;
  }
  replay::PassResult result;
  // The end mark's own probe comes behind those that were asked for.
  std::vector<replay::Probe> probes = spec.probes;
  const bool at_hit = spec.end.kind == replay::Mark::Kind::probe_hit;
  if (at_hit) probes.push_back(spec.end.probe);
  std::vector<std::uint64_t> matches(probes.size()), raw(probes.size());
  std::vector<std::deque<replay::Hit>> kept(probes.size());
  Memory memory = initial_;
  const Event* last = nullptr;
  std::uint64_t sequence = 0;
  bool stopped = false;
  for (std::size_t i = 0; i < count && !stopped && !result.end_reached; ++i) {
    const Event& event = events[i];
    last = &event;
    sequence = i + 1;
    if (event.kind == replay::ProbeKind::write) {
      std::array<std::byte, 8> bytes;
      std::memcpy(bytes.data(), &event.value, 8);
      store(memory, event.address, std::span(bytes).first(event.size));
    }
    const Stop live(*this, memory, &event, sequence);
    for (std::size_t p = 0; p < probes.size() && !stopped; ++p) {
      const replay::Probe& probe = probes[p];
      if (!touches(probe, event)) continue;
      ++raw[p];
      const std::size_t size = probe.kind == replay::ProbeKind::write ? probe.size : 0;
      std::uint64_t value = 0;
      (void)live.read(probe.address, std::as_writable_bytes(std::span(&value, 1)).first(size));
      if (size != 0 && probe.filter &&
          (value & low_bytes(probe.filter->mask, size)) != probe.filter->value) {
        continue;
      }
      ++matches[p];
      if (p == spec.probes.size()) {
        result.end_reached = matches[p] == spec.end.ordinal;
        continue;
      }
      replay::Hit hit;
      hit.probe = p;
      hit.ordinal = matches[p];
      hit.raw_ordinal = raw[p];
      hit.position = {event.thread, event.process, event.syscalls, sequence};
      hit.registers = event.registers;
      hit.value_after = value;
      hit.kernel = event.kernel;
      if (probe.keep_last != 0) {
        kept[p].push_back(hit);
        if (kept[p].size() > probe.keep_last) kept[p].pop_front();
        continue;
      }
      hit.live = probe.live;
      live_stops += hit.live ? 1 : 0;
      stopped = observer.on_hit(hit, hit.live ? &live : nullptr) == replay::Next::stop_pass;
    }
  }
  result.matches.assign(matches.begin(), matches.begin() + std::ptrdiff_t(spec.probes.size()));
  result.raw_hits.assign(raw.begin(), raw.begin() + std::ptrdiff_t(spec.probes.size()));
  if (stopped) {
    result.end_reached = true;
    return result;
  }
  if (spec.end.kind == replay::Mark::Kind::end) result.end_reached = !cut;
  for (const auto& hits : kept) {
    for (const replay::Hit& hit : hits) (void)observer.on_hit(hit, nullptr);
  }
  if (result.end_reached) {
    replay::Position at;
    at.thread = last != nullptr ? last->thread : kThread;
    at.process = last != nullptr ? last->process : kProcess;
    at.sequence = sequence + 1;
    observer.on_end(at, last != nullptr ? last->registers : Registers{},
                    Stop(*this, memory, last, sequence));
  }
  return result;
}

ProcessImage& bare_image() {
  static const replay::TraceIndex index = [] {
    replay::TraceIndexParser parser;
    (void)parser.feed(
        "{\n  real_time:1.0 global_time:1, event:`SYSCALL: read' (state:ENTERING_SYSCALL) tid:10, "
        "ticks:0\nrax:0x0 rdx:0x0 rsi:0x0 rdi:0x0 r8:0x0 r9:0x0 r10:0x0 rip:0x1 orig_rax:0x0\n}\n");
    return *parser.finish();
  }();
  static ProcessImage image(index, kProcess, EventNumber{0}, {});
  return image;
}

}  // namespace culprit::provenance::testing
