#include "report/model.h"

#include <array>

namespace culprit::report {

bool complete(const Report& report) {
  if (report.hops.empty()) return false;
  switch (report.verdict.stopped_because) {
    case StopReason::origin_found:
    case StopReason::kernel_input:
    case StopReason::constant:
    case StopReason::arithmetic:
    case StopReason::mapping_created:
    case StopReason::initial_image:
      return true;
    case StopReason::start_of_recording:
    case StopReason::limit_reached:
    case StopReason::timeout:
    case StopReason::decoder_unknown:
    case StopReason::replay_diverged:
    case StopReason::value_not_found:
    case StopReason::writer_not_found:
    case StopReason::unexplained_change:
    case StopReason::interrupted:
      return false;
  }
  return false;
}

void number_hops(std::vector<Hop>& hops) {
  std::optional<std::uint32_t> last_main;
  for (std::size_t i = 0; i < hops.size(); ++i) {
    const auto index = static_cast<std::uint32_t>(i);
    hops[i].index = index;
    if (hops[i].main_line) {
      if (!hops[i].parent) hops[i].parent = last_main;
      last_main = index;
    } else if (!hops[i].parent && i > 0) {
      hops[i].parent = index - 1;
    }
    // A hop explains one that comes before it; anything else would be a circle.
    if (hops[i].parent && *hops[i].parent >= index) hops[i].parent = last_main;
    if (hops[i].parent == index) hops[i].parent.reset();
  }
}

template <>
std::span<const EnumName<Confidence>> enum_names<Confidence>() {
  static constexpr std::array<EnumName<Confidence>, 3> kNames{{{Confidence::proved, "proved"},
                                                               {Confidence::likely, "likely"},
                                                               {Confidence::unknown, "unknown"}}};
  return kNames;
}

template <>
std::span<const EnumName<HopKind>> enum_names<HopKind>() {
  static constexpr std::array<EnumName<HopKind>, 18> kNames{{
      {HopKind::crash_report, "crash_report"},
      {HopKind::load, "load"},
      {HopKind::register_slice, "register_slice"},
      {HopKind::store, "store"},
      {HopKind::runtime_store, "runtime_store"},
      {HopKind::block_copy, "block_copy"},
      {HopKind::stale_bytes, "stale_bytes"},
      {HopKind::kernel_write, "kernel_write"},
      {HopKind::foreign_write, "foreign_write"},
      {HopKind::channel, "channel"},
      {HopKind::remap, "remap"},
      {HopKind::arithmetic, "arithmetic"},
      {HopKind::allocation, "allocation"},
      {HopKind::release, "release"},
      {HopKind::registration, "registration"},
      {HopKind::conflict, "conflict"},
      {HopKind::initial_image, "initial_image"},
      {HopKind::origin, "origin"},
  }};
  return kNames;
}

template <>
std::span<const EnumName<RegionKind>> enum_names<RegionKind>() {
  static constexpr std::array<EnumName<RegionKind>, 11> kNames{{
      {RegionKind::unknown, "unknown"},
      {RegionKind::stack, "stack"},
      {RegionKind::runtime_stack, "runtime_stack"},
      {RegionKind::heap, "heap"},
      {RegionKind::runtime_object, "runtime_object"},
      {RegionKind::global, "global"},
      {RegionKind::tls, "tls"},
      {RegionKind::code, "code"},
      {RegionKind::mapping, "mapping"},
      {RegionKind::kernel, "kernel"},
      {RegionKind::unmapped, "unmapped"},
  }};
  return kNames;
}

template <>
std::span<const EnumName<SourceKind>> enum_names<SourceKind>() {
  static constexpr std::array<EnumName<SourceKind>, 10> kNames{{
      {SourceKind::unknown, "unknown"},
      {SourceKind::memory, "memory"},
      {SourceKind::register_, "register"},
      {SourceKind::immediate, "immediate"},
      {SourceKind::zero, "zero"},
      {SourceKind::address, "address"},
      {SourceKind::arithmetic, "arithmetic"},
      {SourceKind::syscall, "syscall"},
      {SourceKind::file, "file"},
      {SourceKind::argument, "argument"},
  }};
  return kNames;
}

template <>
std::span<const EnumName<StackKind>> enum_names<StackKind>() {
  static constexpr std::array<EnumName<StackKind>, 6> kNames{{
      {StackKind::unknown, "unknown"},
      {StackKind::native, "native"},
      {StackKind::goroutine, "goroutine"},
      {StackKind::system, "system"},
      {StackKind::signal, "signal"},
      {StackKind::interpreter, "interpreter"},
  }};
  return kNames;
}

template <>
std::span<const EnumName<StopReason>> enum_names<StopReason>() {
  static constexpr std::array<EnumName<StopReason>, 15> kNames{{
      {StopReason::origin_found, "origin_found"},
      {StopReason::kernel_input, "kernel_input"},
      {StopReason::constant, "constant"},
      {StopReason::arithmetic, "arithmetic"},
      {StopReason::mapping_created, "mapping_created"},
      {StopReason::initial_image, "initial_image"},
      {StopReason::start_of_recording, "start_of_recording"},
      {StopReason::limit_reached, "limit_reached"},
      {StopReason::timeout, "timeout"},
      {StopReason::decoder_unknown, "decoder_unknown"},
      {StopReason::replay_diverged, "replay_diverged"},
      {StopReason::value_not_found, "value_not_found"},
      {StopReason::writer_not_found, "writer_not_found"},
      {StopReason::unexplained_change, "unexplained_change"},
      {StopReason::interrupted, "interrupted"},
  }};
  return kNames;
}

}  // namespace culprit::report
