#include "provenance/ended_scope.h"

#include <algorithm>
#include <string>
#include <vector>

#include "provenance/cached_memory.h"

namespace culprit::provenance {
namespace {

using binary::Type;
using binary::TypeKind;
using binary::Variable;

std::vector<Variable> variables_of(const ProcessImage& image, const Moment& moment, std::size_t i,
                                   const MemoryReader& memory) {
  auto all = image.variables().variables(view_of(moment, i, memory), true);
  return all.ok() ? *std::move(all) : std::vector<Variable>{};
}

/// What a variable holds, if that is a word in a register or in memory.
std::optional<std::uint64_t> word_in(const Variable& variable, const WalkFrame& frame,
                                     const MemoryReader& memory) {
  const auto& pieces = variable.location.pieces;
  if (pieces.size() != 1) return std::nullopt;
  if (pieces.front().kind == binary::LocationKind::gpr && pieces.front().reg) {
    return frame.frame.registers.get(*pieces.front().reg);
  }
  const auto address = variable.location.address();
  return address ? memory.read_as<std::uint64_t>(*address) : std::nullopt;
}

bool is_object(const Type& type) {
  const TypeKind kind = type.kind();
  return kind == TypeKind::structure || kind == TypeKind::class_type ||
         kind == TypeKind::union_type;
}

}  // namespace

std::optional<report::Location> ended_variable_pointed_to(const ProcessImage& image,
                                                          const Moment& moment, std::size_t user,
                                                          std::size_t holder, Address pointer,
                                                          const MemoryReader& memory) {
  if (user >= moment.frames.size() || holder >= moment.frames.size()) return std::nullopt;
  // Only a struct or a class has a type that tells it from what else may lie there.
  std::vector<std::string> wanted;
  for (const Variable& v : variables_of(image, moment, user, memory)) {
    const Type type = v.type.stripped();
    if (!v.in_scope || (type.kind() != TypeKind::pointer && type.kind() != TypeKind::reference))
      continue;
    const Type object = type.target().stripped();
    if (is_object(object) && word_in(v, moment.frames[user], memory) == pointer.value)
      wanted.push_back(object.name());
  }
  const auto is_wanted = [&](const Variable& v) {
    return std::find(wanted.begin(), wanted.end(), v.type.stripped().name()) != wanted.end();
  };
  const Variable* ended = nullptr;
  const std::vector<Variable> all = variables_of(image, moment, holder, memory);
  for (const Variable& v : all) {
    const auto at = v.location.address();
    if (at != pointer || !is_wanted(v)) continue;
    if (v.in_scope) return std::nullopt;
    ended = &v;
  }
  if (ended == nullptr) return std::nullopt;
  report::Location out;
  out.address = pointer;
  out.size = ended->size;
  out.region = report::RegionKind::stack;
  report::Owner owner;
  owner.variable = ended->name;
  owner.type = ended->type_name;
  owner.declared_file = ended->declared.file;
  owner.declared_line = ended->declared.line;
  owner.function = ended->function;
  const WalkFrame& frame = moment.frames[holder];
  if (frame.code.module != nullptr) owner.module = frame.code.module->path;
  owner.frame = frame.frame.cfa;
  owner.object = pointer;
  owner.object_size = ended->size;
  owner.offset = 0;
  owner.life.died.emplace().description = "its scope had ended";
  out.owner = std::move(owner);
  return out;
}

bool scope_has_ended(const ProcessImage& image, const Moment& moment, const report::Owner& owner,
                     const MemoryReader& memory) {
  if (!owner.frame || owner.variable.empty() || !owner.object) return false;
  for (std::size_t i = 0; i < moment.frames.size(); ++i) {
    if (moment.frames[i].frame.cfa != owner.frame) continue;
    const std::vector<Variable> all = variables_of(image, moment, i, memory);
    const auto same = std::find_if(all.begin(), all.end(), [&](const Variable& v) {
      return v.name == owner.variable && v.function == owner.function &&
             v.declared.line == owner.declared_line && v.location.address() == owner.object;
    });
    return same != all.end() && !same->in_scope;
  }
  return false;
}

}  // namespace culprit::provenance
