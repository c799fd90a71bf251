// Where the Go runtime keeps what the engine needs: addresses of its globals and offsets of its
// structures' fields, all from the program's own symbols and DWARF, never from a table of versions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/types.h"
#include "binary/debug_type.h"
#include "binary/module_map.h"

namespace culprit::runtimes::go {

/// Facts about one Go runtime in one process. Field names follow runtime/runtime2.go (they are the
/// same from Go 1.5 to Go 1.26); each offset is a DWARF member offset in bytes.
struct Layout {
  const binary::Module* module = nullptr;
  Address allm;    ///< &runtime.allm, a *m
  Address allp;    ///< &runtime.allp, a []*p
  Address allgs;   ///< &runtime.allgs, a []*g; 0 if the symbol is missing

  // runtime.g
  std::uint64_t g_stack_lo = 0, g_stack_hi = 0, g_m = 0, g_goid = 0;
  std::uint64_t g_sched_sp = 0, g_sched_pc = 0, g_sched_bp = 0;
  std::uint64_t g_size = 0;
  // runtime.m
  std::uint64_t m_g0 = 0, m_curg = 0, m_gsignal = 0, m_procid = 0, m_alllink = 0;
  // runtime.p
  binary::Type p_type;
  binary::Type g_type;
  std::uint64_t p_size = 0;
  std::uint64_t p_wbbuf_buf = 0;        ///< of the first entry, from the start of the p
  std::uint64_t p_wbbuf_entries = 0;
};

/// Looks for a Go runtime in the map. Nothing if there is none; `problem` is set when there is one
/// whose debug information does not tell the layout.
std::optional<Layout> find_layout(const binary::ModuleMap& map, std::string& problem);

}  // namespace culprit::runtimes::go
