// The newest registers of a single-stepped thread, kept encoded.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "agent/step_codec.h"
#include "base/registers.h"

namespace culprit::agent {

/// Keeps the newest `max_steps` register files (and up to one chunk more), oldest first, in chunks
/// that can be decoded one by one.
class StepRecorder {
 public:
  struct Chunk {
    std::uint32_t count = 0;
    std::vector<std::uint8_t> bytes;
  };

  void start(std::uint32_t max_steps) { max_steps_ = max_steps; }

  /// Forgets what was added.
  void restart() {
    chunks_.clear();
    kept_ = 0;
    total_ = 0;
  }

  void add(const Registers& registers) {
    if (chunks_.empty() || chunks_.back().bytes.size() + kMaxStepRecord > kChunkBytes) {
      open_chunk();
    }
    Chunk& chunk = chunks_.back();
    encode_step(chunk.bytes, chunk.count == 0 ? Registers{} : previous_, registers);
    ++chunk.count;
    ++kept_;
    ++total_;
    previous_ = registers;
  }

  std::uint64_t total() const { return total_; }
  std::uint64_t kept() const { return kept_; }
  const std::deque<Chunk>& chunks() const { return chunks_; }

 private:
  static constexpr std::size_t kChunkBytes = 32 * 1024;

  void open_chunk() {
    while (!chunks_.empty() && kept_ - chunks_.front().count >= max_steps_) {
      kept_ -= chunks_.front().count;
      chunks_.pop_front();
    }
    chunks_.emplace_back().bytes.reserve(kChunkBytes);
  }

  std::deque<Chunk> chunks_;
  Registers previous_;
  std::uint32_t max_steps_ = 0;
  std::uint64_t kept_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace culprit::agent
