#include "runtimes/ocaml/layout.h"

#include <array>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "binary/symbolizer.h"
#include "binary/variables.h"

namespace culprit::runtimes::ocaml {
namespace {

/// caml/sizeclasses.h of OCaml 5.1.
constexpr std::array<std::uint32_t, 32> kBlockWords = {1,  2,  3,  4,  5,  6,  7,  8,   9,   10, 12,
                                                       14, 16, 18, 20, 23, 26, 29, 33,  37,  42, 47,
                                                       53, 59, 65, 73, 81, 89, 99, 108, 118, 128};

struct Wanted {
  std::string_view member;
  std::uint64_t* offset;
};

/// Takes the members' offsets; true if all of them are there.
bool take(const std::optional<binary::Type>& type, std::initializer_list<Wanted> members) {
  if (!type) return false;
  bool all = true;
  for (const Wanted& wanted : members) {
    const auto member = type->stripped().member(wanted.member);
    if (member) *wanted.offset = member->offset;
    all &= member.has_value();
  }
  return all;
}

std::optional<std::uint64_t> size_of(const std::optional<binary::Type>& type) {
  return type ? type->size() : std::nullopt;
}

/// The table's variable and how it is kept.
void find_table(const binary::VariableFinder& variables, Layout& out) {
  const auto table = variables.find_global("code_fragments_by_pc", out.module);
  if (!table || !table->location.address()) return;
  out.table = *table->location.address();
  const binary::Type type = table->type.stripped();
  const bool lock_free = type.valid() ? type.member("head").has_value() : true;
  out.table_kind = lock_free ? FragmentTable::lock_free_skiplist : FragmentTable::skiplist;
  if (!lock_free) out.cell_forward = 16;
}

}  // namespace

std::optional<Layout> find_layout(const binary::ModuleMap& map) {
  Layout out;
  const binary::Symbolizer symbols(map);
  for (const std::string_view name : {"caml_register_code_fragment", "caml_interprete"}) {
    for (const binary::SymbolAddress& symbol : symbols.find_symbol(name)) {
      if (out.module == nullptr) out.module = symbol.module;
    }
  }
  auto fragment = binary::find_type(map, "code_fragment", out.module);
  if (fragment &&
      !take(fragment, {{"code_start", &out.fragment_start}, {"code_end", &out.fragment_end}})) {
    fragment.reset();  // another program's structure of that name
  }
  if (out.module == nullptr) {
    // All of it may have been inlined; the structure's name alone says enough.
    if (!fragment) return std::nullopt;
    out.module = map.main_module();
    if (out.module == nullptr) return std::nullopt;
  }
  take(fragment, {{"fragnum", &out.fragment_number}});

  const binary::VariableFinder variables(map);
  find_table(variables, out);
  const std::string_view cell =
      out.table_kind == FragmentTable::skiplist ? "skipcell" : "lf_skipcell";
  take(binary::find_type(map, cell, out.module),
       {{"key", &out.cell_key}, {"data", &out.cell_data}, {"forward", &out.cell_forward}});
  if (out.table_kind == FragmentTable::lock_free_skiplist) {
    take(binary::find_type(map, "lf_skiplist", out.module), {{"tail", &out.table_tail}});
  }

  const auto pool = binary::find_type(map, "pool", out.module);
  if (take(pool, {{"next_obj", &out.pool_next_obj},
                  {"owner", &out.pool_owner},
                  {"sz", &out.pool_class}})) {
    out.pool_type = *pool;
    out.pool_header = size_of(pool).value_or(out.pool_header);
  }
  out.block_words.assign(kBlockWords.begin(), kBlockWords.end());

  const auto domains = variables.find_global("all_domains", out.module);
  const auto domain = binary::find_type(map, "dom_internal", out.module);
  const auto state = binary::find_type(map, "caml_domain_state", out.module);
  const auto stack = binary::find_type(map, "stack_info", out.module);
  const auto heap = binary::find_type(map, "caml_heap_state", out.module);
  const bool known = take(domain, {{"state", &out.domain_state}}) &&
                     take(state, {{"young_start", &out.state_young_start},
                                  {"young_end", &out.state_young_end},
                                  {"current_stack", &out.state_current_stack},
                                  {"shared_heap", &out.state_shared_heap}}) &&
                     take(stack, {{"sp", &out.stack_sp}, {"handler", &out.stack_handler}}) &&
                     take(heap, {{"owner", &out.heap_owner}});
  if (known && domains && domains->location.address()) {
    out.domains = *domains->location.address();
    out.domain_size = size_of(domain).value_or(0);
    out.domain_count = domains->type.stripped().array_count().value_or(0);
    out.stack_info_size = size_of(stack).value_or(out.stack_info_size);
    const auto handler = binary::find_type(map, "stack_handler", out.module);
    out.stack_handler_size = size_of(handler).value_or(out.stack_handler_size);
    out.domains_known = out.domain_size != 0 && out.domain_count != 0;
  }
  return out;
}

}  // namespace culprit::runtimes::ocaml
