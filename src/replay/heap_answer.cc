#include "replay/heap_answer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace culprit::replay {

namespace wire = agent::wire;

namespace {

HeapCall heap_call_of(const wire::HeapCall& in) {
  HeapCall call;
  call.position = position_of(in.position);
  call.ordinal = in.ordinal;
  call.function = in.function;
  call.registers = in.registers;
  call.stack.resize(in.stack.size());
  if (!in.stack.empty()) std::memcpy(call.stack.data(), in.stack.data(), in.stack.size());
  return call;
}

HeapBlock heap_block_of(const wire::HeapBlock& in) {
  HeapBlock block;
  block.range = ByteRange{Address{in.start}, std::max<std::uint64_t>(in.size, 1)};
  block.allocated = heap_call_of(in.allocated);
  if (in.released) block.released = heap_call_of(*in.released);
  return block;
}

}  // namespace

Position position_of(const wire::Position& in) {
  return {ThreadId{in.thread}, ProcessId{in.process}, in.syscalls, in.sequence};
}

HeapBlocks heap_answer(const wire::HeapBlocks& in) {
  HeapBlocks out;
  out.complete = in.complete;
  for (const wire::HeapBlock& block : in.holding) out.holding.push_back(heap_block_of(block));
  if (in.below) out.below = heap_block_of(*in.below);
  if (in.above) out.above = heap_block_of(*in.above);
  if (in.current) out.current = heap_call_of(*in.current);
  for (const wire::HeapCall& call : in.stray) out.stray.push_back(heap_call_of(call));
  return out;
}

}  // namespace culprit::replay
