// Memory that several processes of a recording have mapped: where each of them has it.
#pragma once

#include <vector>

#include "base/types.h"
#include "provenance/process_image.h"

namespace culprit::provenance {

/// The same byte in another process.
struct SharedPlace {
  ProcessId process;
  Address address;
  EventNumber at;  ///< the process had it mapped after this frame
};

/// Where other processes have `slot`, which must not cross a mapping's end, mapped shared; empty if
/// that memory is the process's own. A process that has ended is looked at before its end.
[[nodiscard]] std::vector<SharedPlace> other_places(const ProcessImage& image, ByteRange slot);

}  // namespace culprit::provenance
