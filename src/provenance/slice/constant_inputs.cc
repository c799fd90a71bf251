#include "provenance/slice/constant_inputs.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "provenance/slice/window_pieces.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

/// What packs a pointer is wide; small numbers are masked and shifted for other reasons.
constexpr std::uint64_t kNarrow = std::uint64_t{1} << 32;

/// The pieces of one input of a computation.
struct Input {
  std::vector<std::size_t> pieces;
  bool constant = false;
  std::optional<std::uint64_t> value;  ///< of a constant
};

std::optional<std::uint64_t> number(const WindowSlice& slice,
                                    const std::vector<std::size_t>& pieces) {
  std::uint64_t value = 0;
  for (const std::size_t i : pieces) {
    const WindowPiece& piece = slice.pieces[i];
    if (piece.offset >= 8) continue;
    std::uint64_t part = piece.origin.constant.value_or(0);
    if (!piece.value.empty()) {
      part = 0;
      std::memcpy(&part, piece.value.data(), std::min<std::size_t>(8, piece.value.size()));
    } else if (piece.origin.kind == OriginKind::transformation) {
      return std::nullopt;
    }
    value |= part << (8 * piece.offset);
  }
  return value;
}

}  // namespace

void settle_constant_inputs(const WindowQuery& query, WindowSlice& slice) {
  const std::size_t count = slice.transformations.size();
  std::vector<std::vector<Input>> inputs(count);
  for (std::size_t t = 0; t < count; ++t) inputs[t].resize(slice.transformations[t].inputs.size());
  for (std::size_t i = 0; i < slice.pieces.size(); ++i) {
    const WindowPiece& piece = slice.pieces[i];
    if (piece.parent && *piece.parent < count && piece.input < inputs[*piece.parent].size()) {
      inputs[*piece.parent][piece.input].pieces.push_back(i);
    }
  }
  // A computation further back has a larger number than the one that its result went into.
  std::vector<bool> computes_constant(count, false);
  for (std::size_t t = count; t-- > 0;) {
    Transformation& transformation = slice.transformations[t];
    std::optional<std::size_t> variable;
    std::size_t variables = 0;
    for (std::size_t k = 0; k < inputs[t].size(); ++k) {
      Input& input = inputs[t][k];
      const auto is_constant = [&](std::size_t i) {
        const Origin& origin = slice.pieces[i].origin;
        if (origin.kind == OriginKind::immediate || origin.kind == OriginKind::zero) return true;
        return origin.kind == OriginKind::transformation && origin.transformation &&
               *origin.transformation > t && *origin.transformation < count &&
               computes_constant[*origin.transformation];
      };
      input.constant = !input.pieces.empty() &&
                       std::all_of(input.pieces.begin(), input.pieces.end(), is_constant);
      if (input.constant) {
        input.value = number(slice, input.pieces);
        if (k < transformation.input_values.size() && !transformation.input_values[k])
          transformation.input_values[k] = input.value;
      } else {
        variable = k;
        ++variables;
      }
    }
    // The address of something in the program is as good as a constant: a lea without a register.
    const bool address = transformation.kind == x86::FlowKind::address;
    computes_constant[t] = variables == 0 && (!inputs[t].empty() || address);
    if (variables > 1 || inputs[t].empty() || transformation.kind != x86::FlowKind::arithmetic) {
      continue;
    }
    const auto instruction = x86::decode_at(*query.code, transformation.pc);
    if (!instruction.ok()) continue;
    const x86::BitOperation operation = x86::bit_operation(*instruction);
    if (operation == x86::BitOperation::none) continue;
    if (variables == 0) {
      transformation.carries = false;  // the value was made here, of what the code itself says
      continue;
    }
    const Spot place = std::holds_alternative<ByteRange>(transformation.inputs[*variable])
                           ? to_spot(std::get<ByteRange>(transformation.inputs[*variable]))
                           : to_spot(std::get<x86::RegisterBytes>(transformation.inputs[*variable]))
                                 .value_or(Spot{});
    const Spot result_place =
        std::holds_alternative<ByteRange>(transformation.result)
            ? to_spot(std::get<ByteRange>(transformation.result))
            : to_spot(std::get<x86::RegisterBytes>(transformation.result)).value_or(Spot{});
    const Registers& after = transformation.step + 1 < query.steps.size()
                                 ? query.steps[transformation.step + 1]
                                 : query.final_registers;
    const auto result = logged_value(result_place, after);
    auto before = transformation.input_values[*variable];
    for (std::size_t k = 0; k < inputs[t].size(); ++k) {
      if (k != *variable && inputs[t][k].constant && !transformation.constant)
        transformation.constant = inputs[t][k].value;
    }
    if (!before && operation == x86::BitOperation::xor_ && result && transformation.constant) {
      // The only operation that can be undone.
      before = *result ^ *transformation.constant;
      transformation.input_values[*variable] = before;
      for (const std::size_t i : inputs[t][*variable].pieces) {
        WindowPiece& piece = slice.pieces[i];
        if (!piece.value.empty() || piece.offset >= 8 || piece.size > 8 - piece.offset) continue;
        piece.value.resize(piece.size);
        const std::uint64_t part = *before >> (8 * piece.offset);
        std::memcpy(piece.value.data(), &part, piece.size);
      }
    }
    const bool wide = (result && *result >= kNarrow) || (before && *before >= kNarrow);
    if (place.size != 8 || !wide) continue;
    transformation.main_input = variable;
    transformation.carries = true;
  }
}

}  // namespace culprit::provenance
