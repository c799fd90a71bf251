// Slices a step window backwards from a question, and names the place that the way leads to.
#pragma once

#include <cstddef>

#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/source_passes.h"
#include "provenance/window_answers.h"
#include "replay/replay.h"

namespace culprit::provenance {

/// `window` began at the entry of frame `frame` of the moment, and ends at the moment, where `live`
/// stands. What `out` holds before stays where the window does not tell: Kind::unknown with a note,
/// or Kind::register_ where the way leads to the window's begin.
void ask_window(const ProcessImage& image, const Moment& moment, const ModuleCode& code,
                const WindowQuestion& question, std::size_t frame, const replay::StepWindow& window,
                const replay::LiveState& live, ResolvedSource& out);

}  // namespace culprit::provenance
