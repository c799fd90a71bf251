#include "provenance/value_source.h"

#include <algorithm>
#include <span>
#include <utility>

#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxFunctionCode = 1 << 20;
constexpr int kMaxCallers = 8;

CallConvention convention_of(const binary::CodeLocation& code) {
  if (code.language == "Go") return CallConvention::go_internal;
  // Go's assembly has line information without a language of its own.
  if (code.module != nullptr && code.symbol_linkage.starts_with("runtime.")) {
    return CallConvention::go_internal;
  }
  return CallConvention::system_v;
}

const StaticPiece* largest(const std::vector<StaticPiece>& pieces) {
  const StaticPiece* best = nullptr;
  for (const StaticPiece& piece : pieces) {
    if (best == nullptr || piece.size > best->size) best = &piece;
  }
  return best;
}

std::string instruction_text(const MemoryReader& memory, Address pc) {
  const auto instruction = x86::decode_at(memory, pc);
  return instruction.ok() ? x86::text(*instruction) : std::string();
}

/// True if frame `i` was called by frame `i + 1` on the same stack: no stack switch in between.
bool called_by_next(const Moment& moment, std::size_t i) {
  if (i + 1 >= moment.frames.size()) return false;
  const WalkFrame& callee = moment.frames[i];
  const WalkFrame& caller = moment.frames[i + 1];
  return callee.frame.cfa && caller.frame.pc_kind == binary::PcKind::return_address &&
         caller.frame.sp() == *callee.frame.cfa;
}

/// lea of a local or a global makes a new pointer; lea through any other register changes an old one.
bool takes_address(const StaticPiece& piece) {
  return std::all_of(piece.inputs.begin(), piece.inputs.end(), [](const x86::FlowPlace& place) {
    const auto* reg = std::get_if<x86::RegisterBytes>(&place);
    return reg != nullptr && reg->cls == x86::RegisterClass::gpr &&
           (reg->number == static_cast<std::uint8_t>(Gpr::rsp) ||
            reg->number == static_cast<std::uint8_t>(Gpr::rbp));
  });
}

ValueSource from_piece(const StaticPiece& piece, std::size_t frame, const MemoryReader& memory) {
  ValueSource source;
  source.frame = frame;
  source.pc = piece.pc;
  source.size = piece.size;
  source.offset = piece.offset;
  source.certainty = piece.certainty;
  source.note = piece.note;
  source.constant = piece.constant;
  switch (piece.end) {
    case StaticEnd::load:
      source.kind = piece.address ? ValueSource::Kind::memory : ValueSource::Kind::load;
      source.address = piece.address;
      source.operand = piece.operand;
      source.operand_offset = piece.operand_offset;
      break;
    case StaticEnd::memory_at_end:
      source.kind = ValueSource::Kind::memory;
      source.address = piece.address;
      break;
    case StaticEnd::immediate: source.kind = ValueSource::Kind::immediate; break;
    case StaticEnd::zero: source.kind = ValueSource::Kind::zero; break;
    case StaticEnd::address:
      source.kind = takes_address(piece) ? ValueSource::Kind::address : ValueSource::Kind::arithmetic;
      break;
    case StaticEnd::arithmetic: source.kind = ValueSource::Kind::arithmetic; break;
    case StaticEnd::system_call: source.kind = ValueSource::Kind::system_call; break;
    case StaticEnd::live_in:
    case StaticEnd::argument:
    case StaticEnd::call_result:
    case StaticEnd::call_clobbered:
      source.kind = ValueSource::Kind::register_;
      break;
    case StaticEnd::select:
    case StaticEnd::unknown: source.kind = ValueSource::Kind::unknown; break;
  }
  source.returned = piece.end == StaticEnd::call_result;
  if (piece.place) {
    if (const auto* reg = std::get_if<x86::RegisterBytes>(&*piece.place)) source.reg = *reg;
  }
  source.instruction = instruction_text(memory, piece.pc);
  return source;
}

/// A stub of the procedure linkage table: an indirect jump, behind an endbr64 or not.
bool jumps_on(Address at, const MemoryReader& memory) {
  for (int i = 0; i < 2; ++i) {
    const auto instruction = x86::decode_at(memory, at);
    if (!instruction.ok()) return false;
    if (instruction->flow == x86::Flow::indirect_jump) return true;
    if (instruction->flow != x86::Flow::fallthrough) return false;
    at = instruction->end();
  }
  return false;
}

/// True if `call` is what entered the function of `callee`. It is not where the function that was called
/// has jumped on to `callee` in its place (a tail call): its arguments are others then. An indirect call
/// does not tell, so it does not count.
bool enters(const x86::Instruction& call, const WalkFrame& callee, const MemoryReader& memory) {
  if (call.flow != x86::Flow::call || !call.target) return false;
  return *call.target == callee.code.entry || callee.code.function.contains(*call.target) ||
         jumps_on(*call.target, memory);
}

}  // namespace

std::vector<std::byte> function_code(const binary::CodeLocation& code,
                                     const MemoryReader& memory) {
  if (code.function.empty() || code.function.size > kMaxFunctionCode) return {};
  std::vector<std::byte> bytes(static_cast<std::size_t>(code.function.size));
  bytes.resize(memory.read(code.function.start, bytes));
  return bytes;
}

std::optional<x86::Instruction> call_before(const WalkFrame& caller, const MemoryReader& memory) {
  const Address end = caller.frame.pc;
  const std::vector<std::byte> code = function_code(caller.code, memory);
  const std::span<const std::byte> bytes(code);
  Address at = caller.code.function.start;
  while (!code.empty() && at < end) {
    const auto offset = static_cast<std::size_t>(at - caller.code.function.start);
    if (offset >= bytes.size()) return std::nullopt;
    const auto instruction = x86::decode(bytes.subspan(offset), at);
    if (!instruction.ok()) return std::nullopt;
    if (instruction->end() == end) {
      const bool call = instruction->flow == x86::Flow::call ||
                        instruction->flow == x86::Flow::indirect_call;
      return call ? std::optional(*instruction) : std::nullopt;
    }
    at = instruction->end();
  }
  return std::nullopt;
}

ValueSource find_source(const ProcessImage& image, const Moment& moment,
                        const ValueQuestion& question, const MemoryReader& memory) {
  const auto kept_by = [&image](Address target) -> std::uint16_t {
    std::uint16_t kept = 0;
    for (const auto& runtime : image.runtimes()) {
      kept |= runtime->kept_by_call(image.symbols().locate(target).symbol_linkage);
    }
    return kept;
  };
  ValueQuestion asked = question;
  ValueSource source;
  bool partial = false;
  std::uint32_t offset = 0;
  Certainty certainty = Certainty::proved;
  for (int depth = 0; depth <= kMaxCallers; ++depth) {
    source = ValueSource{};
    source.frame = asked.frame;
    source.pc = asked.pc;
    if (asked.frame >= moment.frames.size()) break;
    const WalkFrame& frame = moment.frames[asked.frame];
    const std::vector<std::byte> code = function_code(frame.code, memory);
    if (code.empty()) {
      source.note = "the function's bounds are not known";
      break;
    }
    StaticQuery query;
    query.code = code;
    query.function = frame.code.function.start;
    query.instruction = asked.pc;
    query.after = asked.after;
    query.asked = asked.asked;
    query.convention = convention_of(frame.code);
    query.kept_by = kept_by;
    if (asked.frame == 0 && depth == 0) {
      query.registers = moment.registers;
    } else {
      query.registers = frame.frame.registers.values;
      query.known = static_cast<std::uint16_t>(frame.frame.registers.valid_gpr);
      if (asked.frame > 0 && called_by_next(moment, asked.frame - 1)) {
        query.registers[Gpr::rsp] = moment.frames[asked.frame - 1].frame.cfa->value;
        query.known |= 1U << static_cast<unsigned>(Gpr::rsp);
      }
    }
    const auto slice = slice_static(query);
    if (!slice.ok() || slice->pieces.empty()) {
      source.note = slice.ok() ? "nothing to slice" : slice.error().message;
      break;
    }
    const StaticPiece* piece = largest(slice->pieces);
    partial = partial || slice->pieces.size() > 1;
    offset += piece->offset;
    source = from_piece(*piece, asked.frame, memory);
    if (source.certainty == Certainty::likely) certainty = Certainty::likely;

    // A value that a function got as an argument: go on at the call, in the caller.
    if (piece->end != StaticEnd::argument || !source.reg || !called_by_next(moment, asked.frame)) {
      break;
    }
    const auto call = call_before(moment.frames[asked.frame + 1], memory);
    if (!call || !enters(*call, frame, memory)) break;
    asked.frame += 1;
    asked.pc = call->address;
    asked.after = false;
    asked.asked = *source.reg;
  }
  source.offset = offset;
  source.partial = partial;
  if (certainty == Certainty::likely) source.certainty = Certainty::likely;
  return source;
}

}  // namespace culprit::provenance
