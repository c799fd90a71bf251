// What the engine asks of a runtime whose garbage collector gives blocks up: who does it, and where
// the collector does not look for references.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/memory.h"
#include "base/types.h"

namespace culprit::runtimes {

/// A block that the collector has given up.
struct Reclaimed {
  Address reference;  ///< what a reference to the block looks like
  std::string name;   ///< "a block of the pool 0x… of domain 0"
};

/// A range of addresses that the collector takes for something else than references to blocks.
struct BlindSpot {
  ByteRange range;
  std::string name;  ///< "code fragment 14"
  Address record;    ///< the runtime's own record of the range
};

/// How such ranges are made known: a function whose first two arguments are the range's first
/// address and the one past its last, and the record that it makes.
struct Registrar {
  std::string function;            ///< as in the symbol table
  std::string noun;                ///< "code fragment"
  std::string rule;                ///< why a reference into such a range is not followed, a clause
  std::uint64_t record_start = 0;  ///< offset, in a record, of the range's first address
  std::uint64_t record_end = 0;    ///< offset of the address past its last
};

/// A collector, stateless as its runtime is.
class Collector {
 public:
  virtual ~Collector() = default;
  /// True if this function (a plain name) gives blocks up by storing into them.
  [[nodiscard]] virtual bool sweeps(std::string_view function) const = 0;
  /// The block that holds `slot`, just after a sweep stored into that. Nothing if the place does
  /// not look like that of a block that was given up.
  [[nodiscard]] virtual std::optional<Reclaimed> reclaimed(Address slot,
                                                           const MemoryReader& memory) const = 0;
  /// The range that hides `reference` from the collector at this moment, from the runtime's own
  /// table. Nothing if there is none, or the table is not known.
  [[nodiscard]] virtual std::optional<BlindSpot> blind_spot(Address reference,
                                                            const MemoryReader& memory) const = 0;
  [[nodiscard]] virtual const Registrar& registrar() const = 0;
};

}  // namespace culprit::runtimes
