// Why a garbage collector gave up a block that was still in use: what hid the reference, and who
// made that known.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "provenance/last_writer.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"
#include "runtimes/collector.h"

namespace culprit::provenance {

/// The collector whose sweep the writer is; null if it is none.
[[nodiscard]] const runtimes::Collector* sweeping_collector(const ProcessImage& image,
                                                            const WriterHit& writer);

/// A range that was made known to a runtime, at the moment of that.
struct Registration {
  ByteRange range;
  Moment moment;              ///< in the registrar, or just after its store into the record
  binary::CodeLocation code;  ///< the registrar's: its entry, or the store
  std::size_t frame = 0;      ///< of the registrar, in moment.frames
  report::Location location;  ///< the range, as it was named then
};

/// What a sweep did, seen from the moment of its store.
struct Sweep {
  runtimes::Reclaimed block;
  /// The range that hides the block's reference, and whether it was in the runtime's table then.
  std::optional<runtimes::BlindSpot> hidden_by;
  std::optional<Registration> registration;
};

/// Stands at the sweep's store into `slot`, with the registrar's calls of the whole trace before
/// it, then at the registration. Two passes, and one for each place that a record was moved from.
/// Nothing if the sweep did not give the slot's block up.
[[nodiscard]] Result<std::optional<Sweep>> examine_sweep(
    replay::Replay& replay, const ProcessImage& image, const runtimes::Collector& collector,
    const WriterHit& writer, std::chrono::milliseconds deadline, report::Stats& stats);

}  // namespace culprit::provenance
