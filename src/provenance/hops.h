// Writing down what was found: one function for each kind of hop.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "provenance/crash_scene.h"
#include "provenance/last_writer.h"
#include "provenance/long_jump.h"
#include "provenance/process_image.h"
#include "provenance/revisit.h"
#include "provenance/unmapping.h"
#include "report/model.h"

namespace culprit::provenance {

/// The crash itself: who noticed the value, in which slot.
[[nodiscard]] report::Hop crash_hop(const ProcessImage& image, const CrashScene& scene,
                                    std::string_view reporting, const Slot* slot,
                                    const report::Location* location, const RevisitStyle& style);

/// What kind of hop a write of the slot is; the garbage collector's buffers are not told apart
/// here.
[[nodiscard]] report::HopKind kind_of_write(const ProcessImage& image, const replay::Hit& hit);

/// The system call that changed memory; nothing if no call did (another process's shared mapping,
/// the frame of a signal handler).
[[nodiscard]] std::optional<report::Syscall> syscall_of(const replay::Hit::Kernel& kernel);

/// True if nothing was mapped at `address` after the call.
[[nodiscard]] bool took_away(const replay::Hit::Kernel& kernel, Address address);

/// A write of a slot. `source` and `place` are where its value came from, resolved as far as possible.
[[nodiscard]] report::Hop writer_hop(const ProcessImage& image, const WriterHit& writer,
                                     const Slot& slot, const ValueSource& source,
                                     const std::optional<SourcePlace>& place,
                                     const RevisitStyle& style);

/// What the library's function at whose entry `frames` are was told to write; `store` is the hop of what it wrote.
[[nodiscard]] report::Hop told_length_hop(const ProcessImage& image, const std::vector<WalkFrame>& frames,
                                          std::uint64_t length, const report::Hop& store);

/// What `function` of the allocator, in the innermost of `frames`, was asked for.
[[nodiscard]] report::Hop asked_size_hop(const ProcessImage& image, const std::vector<WalkFrame>& frames,
                                         std::string_view function, std::uint64_t size,
                                         const report::Hop& user);

/// A longjmp that took away the frame that `local` was in.
[[nodiscard]] report::Hop long_jump_hop(const ProcessImage& image, const LongJump& jump, Address local);

/// The address of a local left the frame that the local is in: `left` is the stack there, that frame first.
[[nodiscard]] report::Hop left_frame_hop(const ProcessImage& image, const std::vector<WalkFrame>& left,
                                         std::uint64_t value, const report::Hop& user);

/// A slot whose bytes are older than the activation that owns it. `reader` is the hop that read it.
[[nodiscard]] report::Hop stale_hop(const ProcessImage& image, const Slot& slot,
                                    const SourcePlace& place, const LastWriter& found,
                                    const report::Hop& reader);

/// Where a value was born, when that is in other code than its writer's (a callee that returned it).
/// `frames` is the stack there, or empty.
[[nodiscard]] report::Hop origin_hop(const ProcessImage& image, const ValueSource& source,
                                     const std::vector<WalkFrame>& frames, std::uint64_t value,
                                     const report::Hop& writer);

/// The release (`released`) or the allocation of a heap block, as a hop. `about` is a place in it.
[[nodiscard]] report::Hop block_hop(const ProcessImage& image, const replay::HeapBlock& block,
                                    bool released, const report::Location& about);

/// The system call that took memory away, as a hop. `address` was in it.
[[nodiscard]] report::Hop unmapping_hop(const ProcessImage& image, const Unmapping& unmapping,
                                        Address address);

/// A mapping that was made (over `range`) or taken away at `address`, as a hop. `moment` is the call's entry.
[[nodiscard]] report::Hop mapping_change_hop(const ProcessImage& image,
                                             const replay::Hit::Kernel& call, bool made,
                                             ByteRange range, const Moment& moment,
                                             Address address);

/// Turns the hop of a collector's store into the hop of the block that it gave up with it.
void describe_sweep(report::Hop& hop, const runtimes::Reclaimed& block,
                    const std::optional<runtimes::BlindSpot>& hidden_by);

/// A range that was made known to a runtime, as a hop. `location` is the range as it was then.
[[nodiscard]] report::Hop registration_hop(const ProcessImage& image, const Moment& moment,
                                           const binary::CodeLocation& code,
                                           const report::Location& location,
                                           const runtimes::Registrar& registrar);

/// A heap block that was not written, at `slot`, since it was allocated.
[[nodiscard]] report::Hop stale_block_hop(const ProcessImage& image, const Slot& slot,
                                          const SourcePlace& place, const LastWriter& found,
                                          const report::Hop& reader);

/// The object that a store was meant for, when it went out of it: `stored` is where it went.
[[nodiscard]] report::Hop intended_object_hop(const ProcessImage& image, const ObjectBounds& object,
                                              const Slot& stored);

/// The value's source in the report's words.
[[nodiscard]] report::Source report_source(const ValueSource& source,
                                           const std::optional<SourcePlace>& place,
                                           std::uint64_t value);

/// The inputs of the computations that the value came out of, as far as they are known.
[[nodiscard]] std::vector<report::Source> report_inputs(const ValueSource& source);

/// True for a slot of a garbage collector's write barrier buffer.
[[nodiscard]] bool in_write_barrier_buffer(const report::Location& location);

}  // namespace culprit::provenance
