// Turning what the engine found into the report's words: frames, writers, and whose bytes an address is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "binary/place_expression.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "report/model.h"
#include "x86/instruction.h"

namespace culprit::provenance {

/// The frames of a walk, inlined ones opened, innermost first; at most 256.
[[nodiscard]] std::vector<report::Frame> report_frames(const ProcessImage& image,
                                                       const std::vector<WalkFrame>& frames);

/// Whose code `pc` is, and its source line. `instruction` may be null.
[[nodiscard]] report::Writer report_writer(const ProcessImage& image, const binary::CodeLocation& code,
                                           const x86::Instruction* instruction);

/// The report's position of a moment.
[[nodiscard]] report::Position report_position(const ProcessImage& image,
                                               const replay::Position& position,
                                               const replay::Mark* mark);

/// Whose bytes [address, address + size) are at `moment`, which must be the stopped one that `memory`
/// reads: a runtime's structure, a variable of a walked frame, a global, or just the mapping.
[[nodiscard]] report::Location describe_location(const ProcessImage& image, const Moment& moment,
                                                 Address address, std::uint64_t size,
                                                 const MemoryReader& memory);

/// A short name for an address used as a source: what a pointer variable of the innermost frames calls
/// it ("gp.stack.lo"), or describe_location's owner. Empty if it has no name.
[[nodiscard]] std::string short_name(const ProcessImage& image, const Moment& moment,
                                     Address address, const MemoryReader& memory);

/// The place that an expression of the program's source names at a stopped moment: see
/// binary/place_expression.h, its errors included. The innermost frame is the first one outside of
/// the system's libraries (/lib, /usr/lib), whose own frames come last.
[[nodiscard]] Result<binary::NamedPlace> place_named(const ProcessImage& image,
                                                     const Moment& moment,
                                                     std::string_view expression,
                                                     const MemoryReader& memory);

/// "variable.member" of an owner, or its frame and offset, or the location's own description.
[[nodiscard]] std::string name_of(const report::Location& location);

}  // namespace culprit::provenance
