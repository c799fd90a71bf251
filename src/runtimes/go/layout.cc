#include "runtimes/go/layout.h"

#include <initializer_list>
#include <string_view>

#include "binary/symbolizer.h"

namespace culprit::runtimes::go {
namespace {

/// The offset of a nested member ("sched", "sp") from the start of `type`.
std::optional<binary::Member> nested(const binary::Type& type,
                                     std::initializer_list<std::string_view> path) {
  std::optional<binary::Member> found;
  std::uint64_t offset = 0;
  binary::Type at = type;
  for (const std::string_view name : path) {
    found = at.stripped().member(name);
    if (!found) return std::nullopt;
    offset += found->offset;
    at = found->type;
  }
  if (found) found->offset = offset;
  return found;
}

Address symbol(const binary::Symbolizer& symbols, const binary::Module* module,
               std::string_view name) {
  for (const binary::SymbolAddress& s : symbols.find_symbol(name)) {
    if (module == nullptr || s.module == module) return s.address;
  }
  return Address{};
}

}  // namespace

std::optional<Layout> find_layout(const binary::ModuleMap& map, std::string& problem) {
  const binary::Symbolizer symbols(map);
  const auto allm = symbols.find_symbol("runtime.allm");
  if (allm.empty()) return std::nullopt;

  Layout layout;
  layout.module = allm.front().module;
  layout.allm = allm.front().address;
  layout.allp = symbol(symbols, layout.module, "runtime.allp");
  layout.allgs = symbol(symbols, layout.module, "runtime.allgs");

  const auto g = binary::find_type(map, "runtime.g", layout.module);
  const auto m = binary::find_type(map, "runtime.m", layout.module);
  const auto p = binary::find_type(map, "runtime.p", layout.module);
  if (!g || !m || !p) {
    problem = "the Go runtime's types are missing from the debug information of " +
              layout.module->path + " (built with -ldflags=-w or stripped?)";
    return std::nullopt;
  }
  bool complete = true;
  const auto take = [&](const binary::Type& type, std::initializer_list<std::string_view> path,
                        std::uint64_t& out) {
    if (const auto member = nested(type, path)) {
      out = member->offset;
    } else {
      complete = false;
    }
  };
  take(*g, {"stack", "lo"}, layout.g_stack_lo);
  take(*g, {"stack", "hi"}, layout.g_stack_hi);
  take(*g, {"m"}, layout.g_m);
  take(*g, {"goid"}, layout.g_goid);
  take(*g, {"sched", "sp"}, layout.g_sched_sp);
  take(*g, {"sched", "pc"}, layout.g_sched_pc);
  take(*g, {"sched", "bp"}, layout.g_sched_bp);
  take(*m, {"g0"}, layout.m_g0);
  take(*m, {"curg"}, layout.m_curg);
  take(*m, {"gsignal"}, layout.m_gsignal);
  take(*m, {"procid"}, layout.m_procid);
  take(*m, {"alllink"}, layout.m_alllink);
  if (!complete) {
    problem = "the Go runtime's g or m structure lacks an expected field in " + layout.module->path;
    return std::nullopt;
  }
  layout.g_type = *g;
  layout.g_size = g->size().value_or(0);
  layout.p_type = *p;
  layout.p_size = p->size().value_or(0);
  if (const auto buf = nested(*p, {"wbBuf", "buf"})) {
    layout.p_wbbuf_buf = buf->offset;
    layout.p_wbbuf_entries = buf->type.stripped().array_count().value_or(0);
  }
  return layout;
}

}  // namespace culprit::runtimes::go
