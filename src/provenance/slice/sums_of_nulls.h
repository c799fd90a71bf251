// Sums whose operands do not tell which of them was the pointer.
#pragma once

#include <functional>

#include "base/types.h"
#include "provenance/slice/window_slice.h"

namespace culprit::provenance {

/// A null pointer and an index of zero make a null address: by their values they are alike, and the slice went
/// on with either. Makes the operand the main input that was read from a place which `holds_pointer` (the
/// program's types say so), if the main input was read from one that does not. Places are where the operand
/// last lay in memory in the window. `holds_pointer` is asked at most 16 times.
void settle_sums_of_nulls(WindowSlice& slice,
                          const std::function<bool(const ByteRange&)>& holds_pointer);

}  // namespace culprit::provenance
