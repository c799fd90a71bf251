// Private to slice/: computations whose only other input is a constant of the code.
#pragma once

#include "provenance/slice/window_slice.h"

namespace culprit::provenance {

/// Looks at what the inputs of each computation in `slice` came from. Where a bit operation on a
/// whole word (a mask, a tag, a secret that is XOR-ed, a shift) had constants beside one other
/// input, its result is that input in another dress: it becomes the main input, and carries. Says
/// what the constant was.
///
/// This can only be told once the slice is complete: a constant that does not fit into an
/// instruction is loaded into a register before, and looks like any other value there.
void settle_constant_inputs(const WindowQuery& query, WindowSlice& slice);

}  // namespace culprit::provenance
