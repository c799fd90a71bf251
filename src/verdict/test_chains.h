// For tests: chains of hops, built from what a rule looks at.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/model.h"

namespace culprit::verdict::testing {

/// A hop of `function`, on the main line; proved unless changed.
inline report::Hop hop(report::HopKind kind, const std::string& function) {
  report::Hop out;
  out.kind = kind;
  out.writer.function = function;
  out.writer.file = "/src/" + function + ".c";
  out.writer.line = 7;
  out.writer.module = "/bin/program";
  out.confidence = report::Confidence::proved;
  out.position.thread = ThreadId{100};
  return out;
}

inline report::Frame frame(const std::string& function, const std::string& demangled = {}) {
  report::Frame out;
  out.function = function;
  out.demangled = demangled;
  return out;
}

/// Bytes [address, address + size) in a region, without an owner.
inline report::Location place(report::RegionKind region, std::uint64_t address = 0x5000,
                              std::uint64_t size = 8) {
  report::Location out;
  out.region = region;
  out.address = Address{address};
  out.size = size;
  return out;
}

/// The same, owned by an object of `size` bytes at `start`.
inline report::Location object(report::RegionKind region, std::uint64_t start, std::uint64_t size) {
  report::Location out = place(region, start, size);
  out.owner.emplace();
  out.owner->object = Address{start};
  out.owner->object_size = size;
  out.owner->offset = 0;
  return out;
}

/// A report of a crash in `reader`, of a value that is neither null nor an index, and then these
/// hops.
inline report::Report chain(std::vector<report::Hop> hops) {
  report::Report out;
  out.crash.fault_address = Address{0x123456789};
  out.crash.signal_name = "SIGSEGV";
  out.crash.frames = {frame("reader"), frame("main")};
  out.suspect = report::Suspect{};
  out.suspect->value = 0x123456780;
  out.verdict.stopped_because = report::StopReason::origin_found;
  out.hops = std::move(hops);
  out.hops.insert(out.hops.begin(), hop(report::HopKind::crash_report, "reader"));
  report::number_hops(out.hops);
  return out;
}

}  // namespace culprit::verdict::testing
