// For tests: one triage that can be put into any state, and its steps called one by one.
#pragma once

#include <memory>
#include <utility>

#include "provenance/chain.h"

namespace culprit::provenance::testing {

/// Chain's only friend. The chain stands in `image`, whose trace the triage is about; the deadline
/// is far away.
class ChainBench {
 public:
  ChainBench(replay::Replay& replay, ProcessImage& image)
      : chain_(replay, image.index(), options_) {
    chain_.image_ = &image;
  }
  /// As above, but the image is the one that the triage began in, as explain_ended_scopes() asks
  /// for.
  ChainBench(replay::Replay& replay, std::unique_ptr<ProcessImage> image)
      : chain_(replay, image->index(), options_) {
    chain_.images_.push_back(std::move(image));
    chain_.image_ = chain_.images_.back().get();
  }

  [[nodiscard]] report::Report& report() { return chain_.report_; }
  [[nodiscard]] ProcessImage& image() { return *chain_.image_; }
  [[nodiscard]] CrashScene& scene() { return chain_.scene_; }
  [[nodiscard]] std::optional<Link>& link() { return chain_.link_; }
  [[nodiscard]] std::optional<Link::Reader>& first_reader() { return chain_.first_reader_; }
  [[nodiscard]] bool looked_for_way_of_pointer() const { return chain_.way_of_pointer_; }

  void explain_ended_scopes() { chain_.explain_ended_scopes(); }
  void add_way_of_bound(const ResolvedSource& index, const Moment& moment) {
    chain_.add_way_of_bound(index, moment);
  }
  void add_first_release(const replay::HeapBlock& block, std::uint32_t release) {
    chain_.add_first_release(block, release);
  }
  void add_size_of_block(const replay::HeapBlock& block, std::uint32_t allocation) {
    chain_.add_size_of_block(block, replay::Mark{}, allocation);
  }
  bool follow_older_bytes(const WriterHit& change) { return chain_.follow_older_bytes(change); }
  void add_last_store(std::uint32_t parent) { chain_.add_last_store(replay::Mark{}, parent); }
  void check_pointer_to_number() { chain_.check_pointer_to_number(); }
  void check_pointer_into_frame() { chain_.check_pointer_into_frame(); }
  void follow_pointer(ResolvedSource source, Moment moment, std::uint64_t value,
                      std::uint32_t parent) {
    chain_.follow_pointer(std::move(source), std::move(moment), value, parent);
  }

 private:
  TriageOptions options_;
  Chain chain_;
};

}  // namespace culprit::provenance::testing
