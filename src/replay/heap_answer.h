// What the agent's book of the heap says, in the terms of replay.h.
#pragma once

#include "agent/protocol.h"
#include "replay/replay.h"

namespace culprit::replay {

/// All that `in` says; a block of no bytes gets one.
[[nodiscard]] HeapBlocks heap_answer(const agent::wire::HeapBlocks& in);

/// A position in the agent's terms.
[[nodiscard]] Position position_of(const agent::wire::Position& in);

}  // namespace culprit::replay
