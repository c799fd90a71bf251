// Private to slice/: what registers hold along a straight path, relative to each other.
//
// Each register at each moment is "root + constant", where a root stands for a value that some
// instruction made (or that was there at the start). Registers whose values are known at the end
// give the roots their numbers, and with them every address that is built on them earlier.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/registers.h"
#include "base/types.h"
#include "provenance/slice/static_path.h"
#include "provenance/slice/static_slice.h"
#include "x86/data_flow.h"

namespace culprit::provenance {

/// A value: root + offset. Root 0 is the number 0.
struct Symbol {
  std::uint32_t root = 0;
  std::uint64_t offset = 0;
  bool operator==(const Symbol&) const = default;
};

/// An address: base root + index root * scale + offset (+ segment base).
struct SymbolicAddress {
  std::uint32_t base = 0;
  std::uint32_t index = 0;
  std::uint8_t scale = 0;  ///< 0 without index
  x86::Segment segment = x86::Segment::none;
  std::uint64_t offset = 0;
  bool comparable = true;              ///< false: the formula has no such form
  std::optional<std::uint64_t> value;  ///< the number, if it could be recovered

  /// This address moved up by `delta` bytes.
  SymbolicAddress plus(std::uint64_t delta) const;
};

/// Distance from `from` to `to` in bytes, if it is known.
std::optional<std::uint64_t> distance(const SymbolicAddress& from, const SymbolicAddress& to);

/// True for the registers that a call gives back unchanged.
bool survives_call(const x86::RegisterBytes& r, CallConvention convention);
/// True if the function that `call` leads to is known to keep this register.
bool kept_by_callee(const x86::RegisterBytes& r, const x86::Instruction& call,
                    const StaticQuery& query);

/// True if the call is one that the path goes past, false if the path ends inside the callee (the
/// moment just after a call instruction that is the last of the path).
bool goes_past_call(const StaticPath& path, std::size_t k, bool after_last);

class SymbolicValues {
 public:
  /// `flows[k]` belongs to path.instructions[k]. Moment k is before instruction k; the last moment
  /// is the query's.
  SymbolicValues(const StaticPath& path, const std::vector<x86::DataFlow>& flows,
                 const StaticQuery& query);

  SymbolicAddress address(std::size_t moment, const x86::MemOperand& operand) const;
  /// Two registers at the end contradict what the code must have made of them.
  bool contradicted() const { return contradicted_; }

 private:
  using State = std::array<Symbol, 16>;
  // value(result) = value(a) + value(b) * scale + addend
  struct Relation {
    std::uint32_t result;
    Symbol a;
    Symbol b;
    std::uint64_t scale;
    std::uint64_t addend;
  };

  Symbol fresh() { return {next_root_++, 0}; }
  State after(const State& before, const x86::DataFlow& flow);
  Symbol result_of(const State& before, const x86::DataFlow& flow, std::uint8_t number);
  void learn_from_end(const StaticQuery& query);
  void solve();
  bool learn(std::uint32_t root, std::uint64_t value);
  std::optional<std::uint64_t> value_of(const Symbol& symbol) const;

  std::vector<State> states_;
  std::vector<Relation> relations_;
  std::vector<std::optional<std::uint64_t>> roots_;
  Registers end_;
  std::uint32_t next_root_ = 1;
  bool contradicted_ = false;
};

}  // namespace culprit::provenance
