// The program's heap: which functions are its allocator, and whose block an address is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// The functions of the allocators in the process's modules, by their names: malloc and its family, operator
/// new and delete, and the prefixed forms of jemalloc, tcmalloc and mimalloc. Nothing if there are none.
[[nodiscard]] std::optional<replay::HeapSpec> find_allocators(const binary::ModuleMap& modules,
                                                              const binary::Symbolizer& symbols);

/// The call of an allocator as an event of a block's life: "malloc(64)", with its callers.
[[nodiscard]] report::LifeEvent life_event(const ProcessImage& image, const replay::HeapCall& call);

/// The function of the process's allocator that begins at `entry`; null if there is none.
[[nodiscard]] const replay::HeapFunction* allocator_function(const ProcessImage& image, Address entry);

/// The function that the call was of; null if the heap's book is of no allocator that the image knows.
[[nodiscard]] const replay::HeapFunction* function_of(const ProcessImage& image,
                                                      const replay::HeapCall& call);

/// True if the newest frames are inside one of the allocator's functions.
[[nodiscard]] bool in_allocator(const ProcessImage& image, const std::vector<WalkFrame>& frames);

/// The newest block that holds the address and is not freed; null if there is none.
[[nodiscard]] const replay::HeapBlock* living_block(const replay::HeapBlocks& blocks);

/// Leaves out freed blocks whose memory is something else by now: a global's, a stack's, or a mapping's that
/// was made after the release.
[[nodiscard]] replay::HeapBlocks without_replaced(const ProcessImage& image, replay::HeapBlocks blocks,
                                                  const report::Location& location);

/// Says in `location` whose block it is, by the newest block that holds it: the allocator, the block's
/// place and size, its birth and, if it was freed by then, its death. A variable name that the location has
/// already is kept. Does nothing where no block holds it.
void add_block(const ProcessImage& image, const replay::HeapBlocks& blocks, report::Location& location);

}  // namespace culprit::provenance
