#include "provenance/object_writes.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "provenance/heap.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

constexpr std::uint64_t kWord = 8;
constexpr std::uint32_t kKeptEntries = 256;

/// The newest write of each word, and when the object's life began.
class BesideObserver : public replay::PassObserver {
 public:
  BesideObserver(std::size_t words, const std::optional<Activation>& owner, Address slot)
      : newest(words), owner_(owner), slot_(slot) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (hit.probe < newest.size()) {
      newest[hit.probe] = hit;
    } else if (owner_ && hit.registers.sp().value + 8 == owner_->cfa.value) {
      born = hit.position.sequence;
    }
    return replay::Next::go_on;
  }

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    if (owner_) return;
    const auto blocks = live.heap_blocks(slot_);
    if (blocks.ok() && !blocks->holding.empty()) {
      born = blocks->holding.front().allocated.position.sequence;
    }
  }

  std::vector<std::optional<replay::Hit>> newest;
  std::optional<std::uint64_t> born;

 private:
  const std::optional<Activation>& owner_;
  Address slot_;
};

/// Looks at the stores of one instruction into three elements: the last one of an object, the one
/// behind it, and the one behind that.
class RunObserver : public replay::PassObserver {
 public:
  using Filter = std::function<bool(const replay::Hit&)>;
  explicit RunObserver(Filter same_code) : same_code_(std::move(same_code)) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (!same_code_(hit)) return replay::Next::go_on;
    if (hit.probe == 0) previous_ = hit.value_after;
    if (hit.probe == 1) before_end = std::exchange(previous_, std::nullopt);
    if (hit.probe == 2) further = true;
    return replay::Next::go_on;
  }

  std::optional<std::uint64_t> before_end;  ///< what was stored into the last element just before
  bool further = false;

 private:
  Filter same_code_;
  std::optional<std::uint64_t> previous_;
};

/// The newest write of one of `words` in the object's life. Two passes, one if there is none.
Result<std::optional<WriterHit>> newest_write(replay::Replay& replay, const ProcessImage& image,
                                              const Slot& slot, std::vector<Slot> words,
                                              const replay::Mark& before,
                                              const std::optional<Activation>& owner,
                                              std::chrono::milliseconds deadline,
                                              report::Stats& stats) {
  replay::PassSpec spec;
  for (const Slot& word : words) {
    replay::Probe probe;
    probe.kind = replay::ProbeKind::write;
    probe.address = word.address;
    probe.size = kWord;
    probe.process = image.process();
    probe.keep_last = 1;
    spec.probes.push_back(probe);
  }
  if (owner) {
    spec.probes.push_back(execution_of(owner->entry, image, owner->thread));
    spec.probes.back().keep_last = kKeptEntries;
  } else {
    spec.heap = *image.heap();
  }
  spec.end = before;
  spec.deadline = deadline;
  BesideObserver observer(words.size(), owner, slot.address);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!observer.born) return std::optional<WriterHit>{};
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& hit = observer.newest[i];
    if (!hit || hit->kernel || hit->position.sequence < *observer.born) continue;
    words[i].value = hit->value_after;
    CULPRIT_ASSIGN(LastWriter found, find_last_writer(replay, image, words[i], before, std::nullopt,
                                                      false, deadline, stats));
    if (found.writer && !found.writer->hit.kernel &&
        !in_allocator(image, found.writer->moment.frames)) {
      return std::move(found.writer);
    }
  }
  return std::optional<WriterHit>{};
}

}  // namespace

std::vector<Slot> words_beside(const ByteRange& slot, const ByteRange& object) {
  constexpr std::size_t kMost = 6;
  const std::uint64_t first = (object.start.value + kWord - 1) / kWord * kWord;
  const std::uint64_t end = object.end().value / kWord * kWord;
  const std::uint64_t above = (slot.end().value + kWord - 1) / kWord * kWord;
  const std::uint64_t below = slot.start.value / kWord * kWord;
  std::vector<Slot> out;
  const auto add = [&](std::uint64_t word) {
    if (word < first || word + kWord > end || out.size() >= kMost) return;
    if (word < slot.end().value && word + kWord > slot.start.value) return;
    const Slot candidate{Address{word}, kWord, 0};
    const bool known = std::any_of(out.begin(), out.end(), [&](const Slot& other) {
      return other.address == candidate.address;
    });
    if (!known) out.push_back(candidate);
  };
  if (end < first + kWord) return out;
  if (below >= kWord) add(below - kWord);
  add(above);
  add(first);
  add(end - kWord);
  for (std::uint64_t word = first; word + kWord <= end && out.size() < kMost; word += kWord)
    add(word);
  return out;
}

Result<std::optional<WriterHit>> find_write_beside(
    replay::Replay& replay, const ProcessImage& image, const Slot& slot, const ByteRange& object,
    const replay::Mark& before, const std::optional<Activation>& owner,
    std::chrono::milliseconds deadline, report::Stats& stats) {
  const std::vector<Slot> all = words_beside(slot.range(), object);
  if (all.empty() || (!owner && image.heap() == nullptr)) return std::optional<WriterHit>{};
  // A mark and an owner's entry need debug registers too.
  const std::size_t at_once = owner ? 2 : 3;
  for (std::size_t begin = 0; begin < all.size(); begin += at_once) {
    std::vector<Slot> words(
        all.begin() + static_cast<std::ptrdiff_t>(begin),
        all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), begin + at_once)));
    CULPRIT_ASSIGN(auto found, newest_write(replay, image, slot, std::move(words), before, owner,
                                            deadline, stats));
    if (found) return found;
  }
  return std::optional<WriterHit>{};
}

Result<std::optional<WriterHit>> find_step_before_end(
    replay::Replay& replay, const ProcessImage& image, const WriterHit& writer,
    const ByteRange& object, std::chrono::milliseconds deadline, report::Stats& stats) {
  const std::optional<WriterHit> nothing;
  if (!writer.writer || !writer.writer->written) return nothing;
  const ByteRange stored = *writer.writer->written;
  if (stored.start != object.end() || stored.size > kWord || stored.size > object.size)
    return nothing;
  const auto size = static_cast<std::uint32_t>(stored.size);
  Slot last{Address{object.end().value - size}, size, 0};
  replay::PassSpec spec;
  for (const Address element : {last.address, stored.start, stored.end()}) {
    replay::Probe probe;
    probe.kind = replay::ProbeKind::write;
    probe.address = element;
    probe.size = static_cast<std::uint8_t>(size);
    probe.thread = writer.moment.position.thread;
    probe.process = image.process();
    spec.probes.push_back(probe);
  }
  // Further elements are written after this one: the whole trace is looked at.
  spec.deadline = deadline;
  const auto same_code = [&](const replay::Hit& hit) {
    return !hit.kernel && hit.registers.rip == writer.moment.registers.rip &&
           hit.registers.sp() == writer.moment.registers.sp();
  };
  RunObserver run(same_code);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, run));
  count(stats, pass);
  if (!run.before_end || run.further) return nothing;
  last.value = *run.before_end;
  CULPRIT_ASSIGN(LastWriter found, find_last_writer(replay, image, last, writer.moment.mark,
                                                    std::nullopt, false, deadline, stats));
  return std::move(found.writer);
}

}  // namespace culprit::provenance
