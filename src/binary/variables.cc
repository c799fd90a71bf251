#include "binary/variables.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "binary/binary.h"
#include "binary/location_expression.h"
#include "binary/symbolizer.h"
#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

namespace dwarf = llvm::dwarf;
using llvm::DWARFDie;
using llvm::DWARFUnit;

constexpr std::size_t kMaxVariables = 4096;
constexpr std::size_t kMaxWalk = 1U << 20;

std::span<const std::byte> as_bytes(llvm::ArrayRef<std::uint8_t> data) {
  return {reinterpret_cast<const std::byte*>(data.data()), data.size()};
}

// The physical function that a frame stands in.
struct FunctionContext {
  const Module* module = nullptr;
  DwarfIndex* index = nullptr;
  DWARFUnit* unit = nullptr;
  DWARFDie function;
  std::uint64_t lookup = 0;  // file address to look at (pc, or pc - 1)
};

Result<FunctionContext> function_context(const ModuleMap& map, const Frame& frame) {
  FunctionContext context;
  const Address lookup = frame.pc_kind == PcKind::return_address ? frame.pc - 1 : frame.pc;
  context.module = map.module_at(lookup);
  if (context.module == nullptr) {
    return Error{ErrorCode::not_found, to_hex(frame.pc) + " lies in no module"};
  }
  if (context.module->binary == nullptr) {
    return Error{ErrorCode::not_found, context.module->problem};
  }
  const std::string name(context.module->name());
  context.index = context.module->binary->dwarf();
  if (context.index == nullptr) {
    return Error{ErrorCode::not_found, "no debug information for " + name + ": " +
                                           context.module->binary->no_debug_info()};
  }
  context.lookup = context.module->file_address(lookup);
  context.unit = context.index->unit_at(context.lookup);
  if (context.unit != nullptr) {
    const std::string problem = context.index->split_problem(*context.unit);
    if (!problem.empty()) {
      return Error{ErrorCode::not_found, "no debug information for " + name + ": " + problem};
    }
  }
  const auto hit = context.unit != nullptr
                       ? context.index->function_at(*context.unit, context.lookup)
                       : std::nullopt;
  if (!hit) {
    return Error{ErrorCode::not_found,
                 "no debug information covers " + to_hex(frame.pc) + " in " + name};
  }
  context.function = hit->die;
  return context;
}

// The thread-local block of the main program ends at the thread pointer, its size rounded up to its
// alignment (ELF Handling For Thread-Local Storage, variant II).
struct ThreadLocalBlock {
  Address start;
  std::uint64_t size = 0;
};

std::optional<ThreadLocalBlock> thread_local_block(const ModuleMap& map, const Module& module,
                                                   std::optional<std::uint64_t> fs_base) {
  if (!fs_base || *fs_base == 0 || map.main_module() != &module || module.binary == nullptr) {
    return std::nullopt;
  }
  for (const ElfFile::Segment& s : module.binary->elf().segments()) {
    if (s.type != PT_TLS) continue;
    const std::uint64_t align = std::max<std::uint64_t>(s.alignment, 1);
    if ((align & (align - 1)) != 0) return std::nullopt;
    const std::uint64_t size = (s.memory_size + align - 1) & ~(align - 1);
    return ThreadLocalBlock{Address{*fs_base - size}, s.memory_size};
  }
  return std::nullopt;
}

// Everything an expression of this frame may ask for. The returned object must not outlive its
// arguments.
class FrameEvaluator {
 public:
  FrameEvaluator(const ModuleMap& map, const FunctionContext& function, const Frame& frame,
                 const Frame* caller, const MemoryReader* memory)
      : map_(map), function_(function), frame_(frame), caller_(caller), memory_(memory) {
    context_.registers = &frame_.registers;
    context_.memory = memory;
    context_.bias = function.module->bias;
    context_.unit = function.unit;
    context_.cfa = frame.cfa;
    if (!context_.cfa && memory != nullptr) {
      context_.cfa = Unwinder(map).step(frame, *memory).callee.cfa;
    }
    context_.frame_base = [this] { return frame_base(); };
    context_.entry_value = [this](std::span<const std::byte> e) { return entry_value(e); };
    context_.thread_local_address = [this](std::uint64_t offset) -> std::optional<Address> {
      if (!frame_.registers.valid_segments) return std::nullopt;
      const auto block =
          thread_local_block(map_, *function_.module, frame_.registers.values.fs_base);
      if (!block) return std::nullopt;
      return Address{block->start.value + offset};
    };
  }
  FrameEvaluator(const FrameEvaluator&) = delete;
  FrameEvaluator& operator=(const FrameEvaluator&) = delete;

  [[nodiscard]] const ExpressionContext& context() const { return context_; }

  // The expression of an attribute at the frame's pc. `exact` tells whether a location list covers
  // the pc. With `any`, falls back to an expression for another pc.
  struct Selected {
    std::vector<std::byte> expression;
    bool present = false;  // the attribute exists
    bool covers = false;
  };
  [[nodiscard]] Selected select(const DWARFDie& die, dwarf::Attribute attribute, bool any) const;

 private:
  std::optional<std::uint64_t> frame_base();
  std::optional<std::uint64_t> entry_value(std::span<const std::byte> expression) const;

  const ModuleMap& map_;
  const FunctionContext& function_;
  const Frame& frame_;
  const Frame* caller_;
  const MemoryReader* memory_;
  ExpressionContext context_;
  bool base_known_ = false;
  std::optional<std::uint64_t> base_;
};

// A fixed place in the frame: relative to the frame base or the CFA, or, as clang writes it, to rsp
// or rbp alone ("DW_OP_breg7 12": the offset is the rest of the expression).
template <typename Bytes>
bool is_frame_place(const Bytes& expression) {
  const std::uint8_t op = expression.front();
  if (op == dwarf::DW_OP_fbreg || op == dwarf::DW_OP_call_frame_cfa) return true;
  if (op != dwarf::DW_OP_breg6 && op != dwarf::DW_OP_breg7) return false;
  std::size_t offset = 1;
  while (offset < expression.size() && (expression[offset] & 0x80) != 0) ++offset;
  return offset + 1 == expression.size();
}

FrameEvaluator::Selected FrameEvaluator::select(const DWARFDie& die, dwarf::Attribute attribute,
                                                bool any) const {
  Selected selected;
  const auto value = die.find(attribute);
  if (!value) return selected;
  selected.present = true;
  if (const auto block = value->getAsBlock()) {
    const auto bytes = as_bytes(*block);
    selected.expression.assign(bytes.begin(), bytes.end());
    selected.covers = true;
    return selected;
  }
  auto locations = die.getLocations(attribute);
  if (!locations) {
    llvm::consumeError(locations.takeError());
    return selected;
  }
  const llvm::DWARFLocationExpression* chosen = nullptr;
  const llvm::DWARFLocationExpression* fallback = nullptr;
  const llvm::DWARFLocationExpression* other = nullptr;
  for (const auto& location : *locations) {
    if (!location.Range) {
      if (fallback == nullptr) fallback = &location;
    } else if (function_.lookup >= location.Range->LowPC &&
               function_.lookup < location.Range->HighPC) {
      if (chosen == nullptr) chosen = &location;
    } else if (other == nullptr && !location.Expr.empty()) {
      if (is_frame_place(location.Expr)) other = &location;
    }
  }
  if (chosen == nullptr) chosen = fallback;
  selected.covers = chosen != nullptr;
  // A variable that is in a register by now still owns its place in the frame.
  const bool moved = chosen != nullptr && other != nullptr && !chosen->Expr.empty() &&
                     chosen->Expr.front() >= dwarf::DW_OP_reg0 &&
                     chosen->Expr.front() <= dwarf::DW_OP_reg31;
  if (any && (chosen == nullptr || moved)) {
    selected.covers = false;
    chosen = other;
  }
  if (chosen != nullptr) {
    const auto bytes = as_bytes(chosen->Expr);
    selected.expression.assign(bytes.begin(), bytes.end());
  }
  return selected;
}

std::optional<std::uint64_t> FrameEvaluator::frame_base() {
  if (base_known_) return base_;
  base_known_ = true;
  const Selected selected = select(function_.function, dwarf::DW_AT_frame_base, false);
  if (selected.expression.empty()) return std::nullopt;
  // A frame base must not refer to itself.
  ExpressionContext context = context_;
  context.frame_base = nullptr;
  base_ = evaluate_value(selected.expression, context);
  return base_;
}

std::optional<std::uint64_t> FrameEvaluator::entry_value(
    std::span<const std::byte> expression) const {
  // On the function's first instruction the entry value is the current one.
  if (frame_.pc_kind == PcKind::exact) {
    const auto low = dwarf::toAddress(function_.function.find(dwarf::DW_AT_low_pc));
    if (low && *low == function_.lookup) {
      ExpressionContext context = context_;
      context.entry_value = nullptr;
      return evaluate_value(expression, context);
    }
  }
  // Else the caller's call site may say what it passed (DW_AT_call_value).
  if (caller_ == nullptr || memory_ == nullptr) return std::nullopt;
  const auto caller = function_context(map_, *caller_);
  if (!caller) return std::nullopt;
  const std::uint64_t return_pc = caller->module->file_address(caller_->pc);
  std::vector<DWARFDie> pending{caller->function};
  std::size_t visited = 0;
  while (!pending.empty() && visited < kMaxWalk) {
    const DWARFDie die = pending.back();
    pending.pop_back();
    for (const DWARFDie child : die.children()) {
      if (++visited > kMaxWalk) return std::nullopt;
      const dwarf::Tag tag = child.getTag();
      if (tag == dwarf::DW_TAG_lexical_block || tag == dwarf::DW_TAG_inlined_subroutine) {
        pending.push_back(child);
        continue;
      }
      if (tag != dwarf::DW_TAG_call_site && tag != dwarf::DW_TAG_GNU_call_site) continue;
      auto address = dwarf::toAddress(child.find(dwarf::DW_AT_call_return_pc));
      if (!address) address = dwarf::toAddress(child.find(dwarf::DW_AT_low_pc));
      if (!address || *address != return_pc) continue;
      // Only if it calls this very function: a tail call in between would have changed registers.
      DWARFDie target = die_reference(child, dwarf::DW_AT_call_origin);
      if (!target) target = die_reference(child, dwarf::DW_AT_abstract_origin);
      if (!target) return std::nullopt;
      const bool same =
          die_origin(target) == die_origin(function_.function) ||
          (!die_name_through_origin(target).empty() &&
           die_name_through_origin(target) == die_name_through_origin(function_.function) &&
           die_linkage_name(target) == die_linkage_name(function_.function));
      if (!same) return std::nullopt;
      for (const DWARFDie parameter : child.children()) {
        if (parameter.getTag() != dwarf::DW_TAG_call_site_parameter &&
            parameter.getTag() != dwarf::DW_TAG_GNU_call_site_parameter) {
          continue;
        }
        const auto place = dwarf::toBlock(parameter.find(dwarf::DW_AT_location));
        if (!place) continue;
        const auto bytes = as_bytes(*place);
        if (!std::equal(bytes.begin(), bytes.end(), expression.begin(), expression.end())) continue;
        auto value = dwarf::toBlock(parameter.find(dwarf::DW_AT_call_value));
        if (!value) value = dwarf::toBlock(parameter.find(dwarf::DW_AT_GNU_call_site_value));
        if (!value) return std::nullopt;
        const FrameEvaluator evaluator(map_, *caller, *caller_, nullptr, memory_);
        return evaluate_value(as_bytes(*value), evaluator.context());
      }
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::vector<std::byte>> constant_bytes(const DWARFDie& die, std::uint64_t size) {
  const auto value = die.find(dwarf::DW_AT_const_value);
  if (!value) return std::nullopt;
  std::vector<std::byte> bytes;
  if (const auto block = value->getAsBlock()) {
    const auto data = as_bytes(*block);
    bytes.assign(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(
                                                  std::min<std::size_t>(data.size(), 4096)));
    return bytes;
  }
  if (const auto text = dwarf::toString(value)) {
    const std::size_t length = *text != nullptr ? ::strnlen(*text, 4096) : 0;
    bytes.resize(length + 1);
    if (length != 0) std::memcpy(bytes.data(), *text, length);
    return bytes;
  }
  std::uint64_t number = 0;
  if (const auto u = value->getAsUnsignedConstant()) {
    number = *u;
  } else if (const auto s = value->getAsSignedConstant()) {
    number = static_cast<std::uint64_t>(*s);
  } else {
    return std::nullopt;
  }
  bytes.resize(size == 0 || size > 8 ? 8 : static_cast<std::size_t>(size));
  std::memcpy(bytes.data(), &number, bytes.size());
  return bytes;
}

Type type_of_die(Binary* binary, const DWARFDie& die) {
  // A concrete instance has its type at its abstract origin; an out-of-class definition of a static
  // array may have a completed one itself.
  DWARFDie current = die;
  for (int step = 0; step < 16 && current; ++step) {
    if (const DWARFDie type = die_reference(current, dwarf::DW_AT_type)) {
      return {binary, type.getDwarfUnit(), type.getDebugInfoEntry()};
    }
    DWARFDie next = die_reference(current, dwarf::DW_AT_abstract_origin);
    if (!next) next = die_reference(current, dwarf::DW_AT_specification);
    current = next;
  }
  return {};
}

std::string function_name(const DWARFDie& scope) {
  DWARFDie die = scope;
  while (die && die.getTag() != dwarf::DW_TAG_subprogram &&
         die.getTag() != dwarf::DW_TAG_inlined_subroutine) {
    die = die.getParent();
  }
  return die ? die_qualified_name(die) : std::string();
}

bool is_variable(dwarf::Tag tag) {
  return tag == dwarf::DW_TAG_variable || tag == dwarf::DW_TAG_formal_parameter;
}

bool is_scope(dwarf::Tag tag) {
  return tag == dwarf::DW_TAG_lexical_block || tag == dwarf::DW_TAG_inlined_subroutine ||
         tag == dwarf::DW_TAG_try_block || tag == dwarf::DW_TAG_catch_block;
}

std::optional<Variable> read_variable(const FunctionContext& function,
                                      const FrameEvaluator& evaluator, const DWARFDie& die,
                                      bool in_scope, bool any) {
  Variable variable;
  variable.name = std::string(die_name_through_origin(die));
  if (variable.name.empty()) return std::nullopt;
  variable.type = type_of_die(function.module->binary, die);
  variable.type_name = plain_pointer_name(variable.type);
  variable.size = variable.type.size().value_or(0);
  variable.declared = function.index->declaration(die);
  variable.scope = die.getTag() == dwarf::DW_TAG_formal_parameter ? VariableScope::parameter
                                                                  : VariableScope::local;
  variable.in_scope = in_scope;
  const auto selected = evaluator.select(die, dwarf::DW_AT_location, any);
  if (!selected.present) {
    // Purely declared here ("extern int x;" in a block): it has its own place elsewhere.
    if (die_unsigned(die, dwarf::DW_AT_declaration).value_or(0) != 0) return std::nullopt;
    auto bytes = constant_bytes(die, variable.size);
    if (!bytes) bytes = constant_bytes(die_origin(die), variable.size);
    LocationPiece piece;
    piece.kind = bytes ? LocationKind::value : LocationKind::optimized_out;
    if (bytes) piece.bytes = std::move(*bytes);
    piece.size = variable.size;
    if (!bytes) piece.note = "optimized out";
    variable.location.pieces.push_back(std::move(piece));
    return variable;
  }
  if (!selected.covers) variable.in_scope = false;
  if (selected.expression.empty()) {
    LocationPiece piece;
    piece.kind = LocationKind::optimized_out;
    piece.size = variable.size;
    piece.note = selected.covers ? "optimized out" : "not available at this pc";
    variable.location.pieces.push_back(std::move(piece));
    return variable;
  }
  variable.location = evaluate_location(selected.expression, variable.size, evaluator.context());
  return variable;
}

// "v.x", "v[2]", "v".
std::string expression_of(const std::string& name, const TypePath& place) {
  return name + place.path;
}

AddressDescription describe(const Variable& variable, const Module* module, std::uint64_t offset,
                            Address start) {
  AddressDescription description;
  description.variable = variable.name;
  description.variable_type = variable.type_name;
  description.scope = variable.scope;
  description.in_scope = variable.in_scope;
  description.function = variable.function;
  description.module = module;
  description.declared = variable.declared;
  description.offset = offset;
  description.size = variable.size;
  description.start = start;
  if (auto place = describe_in_type(variable.type, offset)) description.place = std::move(*place);
  description.expression = expression_of(variable.name, description.place);
  return description;
}

}  // namespace

std::optional<Address> VariableLocation::address() const {
  if (pieces.empty() || pieces.front().kind != LocationKind::memory) return std::nullopt;
  // Consecutive memory pieces make one place (Go describes strings and slices so).
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    if (pieces[i].kind != LocationKind::memory ||
        pieces[i].address.value != pieces.front().address.value + pieces[i].offset) {
      return std::nullopt;
    }
  }
  return pieces.front().address;
}

LocationKind VariableLocation::kind() const {
  return pieces.empty() ? LocationKind::unknown : pieces.front().kind;
}

std::string VariableLocation::note() const {
  for (const LocationPiece& piece : pieces) {
    if (!piece.note.empty()) return piece.note;
  }
  return {};
}

Result<std::vector<Variable>> VariableFinder::variables(const FrameView& view,
                                                        bool whole_function) const {
  if (view.frame == nullptr) return Error{ErrorCode::not_found, "no frame"};
  CULPRIT_ASSIGN(const FunctionContext function, function_context(*map_, *view.frame));
  const FrameEvaluator evaluator(*map_, function, *view.frame, view.caller, view.memory);

  std::vector<Variable> variables;
  std::set<std::uint64_t> seen;
  const auto add = [&](const DWARFDie& die, bool in_scope, std::uint32_t depth) {
    if (variables.size() >= kMaxVariables || !seen.insert(die.getOffset()).second) return;
    auto variable = read_variable(function, evaluator, die, in_scope, whole_function);
    if (!variable) return;
    variable->function = function_name(die.getParent());
    variable->inline_depth = depth;
    variables.push_back(std::move(*variable));
  };

  const std::vector<DWARFDie> scopes =
      function.index->scopes_at(function.function, function.lookup);
  std::uint32_t depth = 0;
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
    for (const DWARFDie child : scope->children()) {
      if (is_variable(child.getTag())) add(child, true, depth);
    }
    if (scope->getTag() == dwarf::DW_TAG_inlined_subroutine) ++depth;
  }
  if (whole_function) {
    std::vector<DWARFDie> pending{function.function};
    std::size_t visited = 0;
    while (!pending.empty() && visited < kMaxWalk && variables.size() < kMaxVariables) {
      const DWARFDie die = pending.back();
      pending.pop_back();
      for (const DWARFDie child : die.children()) {
        if (++visited > kMaxWalk) break;
        if (is_scope(child.getTag())) pending.push_back(child);
        if (is_variable(child.getTag())) add(child, false, depth);
      }
    }
    std::stable_partition(variables.begin(), variables.end(),
                          [](const Variable& v) { return v.in_scope; });
  }
  return variables;
}

std::optional<AddressDescription> VariableFinder::describe_address(const FrameView& view,
                                                                   Address address) const {
  const auto all = variables(view, /*whole_function=*/true);
  if (!all) return std::nullopt;
  for (const Variable& variable : *all) {
    for (const LocationPiece& piece : variable.location.pieces) {
      if (piece.kind != LocationKind::memory || piece.size == 0) continue;
      if (!ByteRange{piece.address, piece.size}.contains(address)) continue;
      const std::uint64_t offset =
          piece.offset + static_cast<std::uint64_t>(address - piece.address);
      const Module* module = map_->module_at(view.frame->pc);
      return describe(variable, module, offset, address - static_cast<std::int64_t>(offset));
    }
  }
  return std::nullopt;
}

std::optional<AddressDescription> VariableFinder::describe_pointee(const FrameView& view,
                                                                   Address address) const {
  const auto all = variables(view);
  if (!all) return std::nullopt;
  for (const Variable& variable : *all) {
    const Type type = variable.type.stripped();
    if (type.kind() != TypeKind::pointer && type.kind() != TypeKind::reference) continue;
    const Type target = type.target();
    const auto size = target.size();
    if (!size || *size == 0) continue;
    const auto bytes = read(view, variable, 8);
    if (!bytes || bytes->size() != 8) continue;
    std::uint64_t pointer = 0;
    std::memcpy(&pointer, bytes->data(), 8);
    if (pointer == 0 || !ByteRange{Address{pointer}, *size}.contains(address)) continue;
    const std::uint64_t offset = address.value - pointer;
    AddressDescription description;
    description.variable = variable.name;
    description.variable_type = variable.type_name;
    description.scope = variable.scope;
    description.through_pointer = true;
    description.in_scope = variable.in_scope;
    description.function = variable.function;
    description.module = map_->module_at(view.frame->pc);
    description.declared = variable.declared;
    description.offset = offset;
    description.size = *size;
    description.start = Address{pointer};
    if (auto place = describe_in_type(target, offset)) description.place = std::move(*place);
    const std::string& path = description.place.path;
    const bool arrow =
        type.kind() == TypeKind::pointer && type.language() != "Go" && type.language() != "Rust";
    if (path.empty()) {
      description.expression = (type.kind() == TypeKind::reference ? "" : "*") + variable.name;
    } else if (path[0] == '.') {
      description.expression = variable.name + (arrow ? "->" + path.substr(1) : path);
    } else {
      description.expression =
          (type.kind() == TypeKind::reference ? variable.name : "(*" + variable.name + ")") + path;
    }
    return description;
  }
  return std::nullopt;
}

namespace {

// "x.1234" is what gcc calls a static local `x` in the symbol table.
std::string_view without_suffix(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return name;
  if (name.substr(dot + 1).find_first_not_of("0123456789") != std::string_view::npos) return name;
  return name.substr(0, dot);
}

Variable static_variable(const Module& module, DwarfIndex& index, const DWARFDie& die,
                         const StaticVariable& entry, std::optional<Address> tls_start) {
  Variable variable;
  variable.scope = VariableScope::global;
  variable.name = die_qualified_name(die);
  variable.linkage_name = std::string(die_linkage_name(die));
  variable.type = type_of_die(module.binary, die);
  variable.type_name = plain_pointer_name(variable.type);
  variable.size = variable.type.size().value_or(0);
  variable.declared = index.declaration(die);
  variable.function = function_name(die.getParent());
  LocationPiece piece;
  piece.size = variable.size;
  if (!entry.thread_local_offset) {
    piece.kind = LocationKind::memory;
    piece.address = Address{entry.address + module.bias};
  } else if (tls_start) {
    piece.kind = LocationKind::memory;
    piece.address = Address{tls_start->value + entry.address};
  } else {
    piece.kind = LocationKind::thread_local_storage;
    piece.address = Address{entry.address};
    piece.note = "offset in the module's thread-local storage";
  }
  variable.location.pieces.push_back(std::move(piece));
  return variable;
}

// The static variable of these units that covers the address (or TLS offset).
std::optional<AddressDescription> search_units(const Module& module, DwarfIndex& index,
                                               const std::vector<DWARFUnit*>& units,
                                               std::uint64_t address, bool tls,
                                               std::optional<Address> tls_start) {
  for (DWARFUnit* unit : units) {
    for (const StaticVariable& entry : index.static_variables(*unit)) {
      if (entry.thread_local_offset != tls || entry.address > address) continue;
      const DWARFDie die = unit->getDIEAtIndex(entry.die);
      const std::uint64_t size =
          std::max<std::uint64_t>(type_of_die(module.binary, die).size().value_or(0), 1);
      if (address - entry.address >= size) continue;
      const Variable variable = static_variable(module, index, die, entry, tls_start);
      if (variable.name.empty()) continue;
      const Address start = variable.location.pieces.front().address;
      return describe(variable, &module, address - entry.address, start);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<AddressDescription> VariableFinder::describe_global(
    Address address, std::optional<std::uint64_t> fs_base) const {
  const Module* module = map_->module_at(address);
  bool tls = false;
  std::uint64_t wanted = 0;
  std::optional<Address> tls_start;
  if (module == nullptr) {
    const Module* main = map_->main_module();
    if (main == nullptr) return std::nullopt;
    const auto block = thread_local_block(*map_, *main, fs_base);
    if (!block || !ByteRange{block->start, block->size}.contains(address)) return std::nullopt;
    module = main;
    tls = true;
    tls_start = block->start;
    wanted = address.value - block->start.value;
  } else {
    wanted = module->file_address(address);
  }
  if (module->binary == nullptr) return std::nullopt;
  const SymbolTable& symbols = module->binary->symbols();
  const auto* symbol = tls ? symbols.thread_local_at(wanted) : symbols.at(wanted, false);
  DwarfIndex* index = module->binary->dwarf();
  if (index != nullptr) {
    if (symbol != nullptr) {
      auto found =
          search_units(*module, *index, index->units_mentioning(without_suffix(symbol->name)),
                       wanted, tls, tls_start);
      if (found) return found;
    }
    if (auto found =
            search_units(*module, *index, index->all_units_if_small(), wanted, tls, tls_start)) {
      return found;
    }
  }
  if (symbol == nullptr) return std::nullopt;
  AddressDescription description;
  description.variable = std::string(symbol->name);
  description.expression = description.variable;
  description.scope = VariableScope::global;
  description.module = module;
  description.offset = wanted - symbol->address;
  description.size = tls ? symbol->size : symbols.end_of(*symbol) - symbol->address;
  description.start = address - static_cast<std::int64_t>(description.offset);
  description.from_symbol_table = true;
  if (description.offset != 0) description.expression += "+" + to_hex(description.offset);
  return description;
}

std::optional<Variable> VariableFinder::find_global(std::string_view name,
                                                    const Module* only) const {
  for (const auto& module : map_->modules()) {
    if (module->binary == nullptr || (only != nullptr && module.get() != only)) continue;
    DwarfIndex* index = module->binary->dwarf();
    if (index == nullptr) continue;
    // The last component is what DW_AT_name holds; a linkage name stands as it is.
    const std::size_t colon = name.rfind("::");
    const std::string_view last = colon == std::string_view::npos ? name : name.substr(colon + 2);
    for (DWARFUnit* unit : index->units_mentioning(last)) {
      for (const StaticVariable& entry : index->static_variables(*unit)) {
        const DWARFDie die = unit->getDIEAtIndex(entry.die);
        const bool match = die_name_through_origin(die) == name || die_linkage_name(die) == name ||
                           (colon != std::string_view::npos && die_qualified_name(die) == name);
        if (match) return static_variable(*module, *index, die, entry, std::nullopt);
      }
    }
  }
  return std::nullopt;
}

Result<std::vector<std::byte>> VariableFinder::read(const FrameView& view, const Variable& variable,
                                                    std::size_t max_bytes) const {
  std::vector<std::byte> bytes;
  for (const LocationPiece& piece : variable.location.pieces) {
    if (bytes.size() >= max_bytes) break;
    const std::uint64_t size = piece.size != 0 ? piece.size : variable.size;
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(size, max_bytes - bytes.size()));
    std::vector<std::byte> part(wanted);
    switch (piece.kind) {
      case LocationKind::memory:
        if (view.memory == nullptr || view.memory->read(piece.address, part) != wanted) {
          return Error{ErrorCode::not_found,
                       "memory at " + to_hex(piece.address) + " cannot be read"};
        }
        break;
      case LocationKind::gpr: {
        const auto value = view.frame != nullptr && piece.reg
                               ? view.frame->registers.get(*piece.reg)
                               : std::nullopt;
        if (!value || wanted > 8) {
          return Error{ErrorCode::not_found, std::string("in ") +
                                                 (piece.reg ? gpr_name(*piece.reg) : "a register") +
                                                 ", which is not known in this frame"};
        }
        if (wanted != 0) std::memcpy(part.data(), &*value, wanted);
        break;
      }
      case LocationKind::value:
        std::copy_n(piece.bytes.begin(), std::min(piece.bytes.size(), wanted), part.begin());
        break;
      default:
        return Error{ErrorCode::not_found,
                     piece.note.empty() ? std::string("optimized out") : piece.note};
    }
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

}  // namespace culprit::binary
