#include "binary/place_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "binary/debug_type.h"

namespace culprit::binary {
namespace {

constexpr std::size_t kMaxText = 256;
constexpr int kMaxDepth = 32;

bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
         (c & 0x80) != 0;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// What a part of an expression stands for: a place in memory, or bytes that are in none.
struct Value {
  Type type;
  std::optional<Address> place;
  std::vector<std::byte> bytes;  ///< if there is no place
  std::string text;              ///< the part of the expression
  std::string nowhere;           ///< why there is no place
};

class Evaluator {
 public:
  Evaluator(const VariableFinder& variables, std::span<const FrameView> frames,
            const MemoryReader& memory, std::string_view text)
      : variables_(variables), frames_(frames), memory_(memory), text_(text) {}

  Result<Value> run() {
    CULPRIT_ASSIGN(Value value, unary());
    if (peek() != '\0') return syntax("unexpected text");
    return value;
  }

 private:
  Error syntax(std::string_view what) const {
    return Error{ErrorCode::usage, fmt::format("'{}': {} at character {}; an expression is like "
                                               "page->b, table[3].next or *list",
                                               text_, what, at_ + 1)};
  }
  static Error missing(std::string message) {
    return Error{ErrorCode::not_found, std::move(message)};
  }

  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(std::string_view token) {
    peek();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view since(std::size_t begin) const { return text_.substr(begin, at_ - begin); }

  Result<Value> unary() {
    if (++depth_ > kMaxDepth) return syntax("more than 32 levels");
    peek();
    const std::size_t begin = at_;
    if (!take("*")) {
      auto out = postfix();
      --depth_;
      return out;
    }
    CULPRIT_ASSIGN(const Value pointer, unary());
    CULPRIT_ASSIGN(Value out, pointee(pointer));
    out.text = since(begin);
    --depth_;
    return out;
  }

  Result<Value> postfix() {
    peek();
    const std::size_t begin = at_;
    CULPRIT_ASSIGN(Value value, primary());
    for (;;) {
      if (take("->")) {
        CULPRIT_ASSIGN(const std::string_view name, member_name());
        CULPRIT_ASSIGN(value, pointee(value));
        CULPRIT_ASSIGN(value, member(value, name));
      } else if (take(".")) {
        CULPRIT_ASSIGN(const std::string_view name, member_name());
        if (value.type.stripped().kind() == TypeKind::pointer) {
          CULPRIT_ASSIGN(value, pointee(value));
        }
        CULPRIT_ASSIGN(value, member(value, name));
      } else if (take("[")) {
        CULPRIT_ASSIGN(const std::int64_t number, index());
        if (!take("]")) return syntax("']' is missing");
        CULPRIT_ASSIGN(value, element(value, number));
      } else {
        return value;
      }
      value.text = since(begin);
    }
  }

  Result<Value> primary() {
    if (take("(")) {
      CULPRIT_ASSIGN(Value inner, unary());
      if (!take(")")) return syntax("')' is missing");
      return inner;
    }
    CULPRIT_ASSIGN(const std::string_view name, variable_name());
    CULPRIT_ASSIGN(auto found, look_up(name));
    if (!found && peek() == '.') {
      // Go's globals have their package in their name: "main.table".
      const std::size_t before = at_;
      take(".");
      if (auto second = member_name(); second.ok()) {
        CULPRIT_ASSIGN(found, look_up(fmt::format("{}.{}", name, *second)));
      }
      if (!found) at_ = before;
    }
    if (!found) {
      return missing(
          fmt::format("no variable '{}' is known in the frames of the crash, and no global", name));
    }
    return *std::move(found);
  }

  Result<std::string_view> variable_name() {
    peek();
    const std::size_t begin = at_;
    for (;;) {
      if (at_ >= text_.size() || !begins_name(text_[at_])) return syntax("a name is missing");
      while (at_ < text_.size() && (begins_name(text_[at_]) || is_digit(text_[at_]))) ++at_;
      if (!text_.substr(at_).starts_with("::")) return since(begin);
      at_ += 2;
    }
  }
  Result<std::string_view> member_name() {
    peek();
    const std::size_t begin = at_;
    if (at_ >= text_.size() || !begins_name(text_[at_]))
      return syntax("a member's name is missing");
    while (at_ < text_.size() && (begins_name(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return since(begin);
  }

  Result<std::int64_t> index() {
    const bool negative = take("-");
    if (!is_digit(peek())) {
      if (negative) return syntax("a number is missing");
      CULPRIT_ASSIGN(const Value value, unary());
      return integer(value);
    }
    const bool hex = take("0x") || take("0X");
    std::uint64_t number = 0;
    const std::size_t begin = at_;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      std::uint64_t digit = 0;
      if (is_digit(c)) {
        digit = static_cast<std::uint64_t>(c - '0');
      } else if (hex && ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) {
        digit = static_cast<std::uint64_t>((c | 0x20) - 'a' + 10);
      } else {
        break;
      }
      constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
      number = number * (hex ? 16 : 10) + digit;
      if (number > kMost) return syntax("the index is too large");
    }
    if (at_ == begin) return syntax("a number is missing");
    const auto out = static_cast<std::int64_t>(number);
    return negative ? -out : out;
  }

  Result<std::optional<Value>> look_up(std::string_view name) {
    std::size_t first = frames_.size();
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      const auto locals = variables_.variables(frames_[i]);
      if (!locals.ok()) continue;
      if (auto found = local(frames_[i], *locals, name)) return found;
      first = i;
      break;
    }
    if (const auto global = variables_.find_global(name)) {
      return std::optional(value_of(FrameView{nullptr, nullptr, &memory_}, *global));
    }
    for (std::size_t i = first + 1; i < frames_.size(); ++i) {
      const auto locals = variables_.variables(frames_[i]);
      if (!locals.ok()) continue;
      if (auto found = local(frames_[i], *locals, name)) return found;
    }
    return std::optional<Value>{};
  }

  std::optional<Value> local(const FrameView& frame, const std::vector<Variable>& all,
                             std::string_view name) {
    for (const Variable& variable : all) {
      if (variable.name == name) return value_of(frame, variable);
    }
    return std::nullopt;
  }

  Value value_of(const FrameView& frame, const Variable& variable) {
    Value out;
    out.type = variable.type;
    out.text = variable.name;
    out.place = variable.location.address();
    if (out.place) return out;
    auto bytes = variables_.read(frame, variable);
    if (bytes.ok()) {
      out.bytes = *std::move(bytes);
      out.nowhere = "is in a register or computed, not in memory, at this moment";
    } else {
      out.nowhere = bytes.error().message;
    }
    return out;
  }

  /// The first `size` bytes of a value.
  Result<std::vector<std::byte>> bytes_of(const Value& value, std::size_t size) {
    std::vector<std::byte> out(size);
    if (value.place) {
      if (memory_.read(*value.place, out) != size) {
        return missing(fmt::format("'{}' at {} cannot be read", value.text, to_hex(*value.place)));
      }
      return out;
    }
    if (value.bytes.size() < size) {
      return missing(fmt::format("'{}' is not known: {}", value.text, value.nowhere));
    }
    std::copy_n(value.bytes.begin(), size, out.begin());
    return out;
  }

  Result<std::int64_t> integer(const Value& value) {
    const TypeKind kind = value.type.stripped().kind();
    const std::uint64_t size = value.type.size().value_or(0);
    if ((kind != TypeKind::base && kind != TypeKind::enumeration) || size == 0 || size > 8) {
      return missing(fmt::format("'{}' is no integer that could be an index", value.text));
    }
    CULPRIT_ASSIGN(const auto bytes, bytes_of(value, size));
    std::uint64_t number = 0;
    std::memcpy(&number, bytes.data(), bytes.size());
    // Sign extension; an unsigned index with its top bit set is out of every array anyway.
    const unsigned shift = static_cast<unsigned>(64 - 8 * size);
    return static_cast<std::int64_t>(number << shift) >> shift;
  }

  /// What a pointer or reference leads to; an array leads to its first element.
  Result<Value> pointee(const Value& value) {
    const Type type = value.type.stripped();
    Value out;
    out.type = type.target();
    out.text = value.text;
    if (type.kind() == TypeKind::array) {
      if (!value.place) return missing(fmt::format("'{}' {}", value.text, value.nowhere));
      out.place = value.place;
      return out;
    }
    if (type.kind() != TypeKind::pointer && type.kind() != TypeKind::reference) {
      return missing(fmt::format("'{}' is no pointer but {}", value.text, value.type.name()));
    }
    CULPRIT_ASSIGN(const auto bytes, bytes_of(value, 8));
    std::uint64_t address = 0;
    std::memcpy(&address, bytes.data(), sizeof address);
    out.place = Address{address};
    return out;
  }

  Result<Value> without_reference(const Value& value) {
    if (value.type.stripped().kind() != TypeKind::reference) return value;
    return pointee(value);
  }

  Result<Value> member(const Value& of, std::string_view name) {
    CULPRIT_ASSIGN(const Value whole, without_reference(of));
    const auto found = whole.type.stripped().member(name);
    if (!found) {
      const std::string type = whole.type.name();
      return missing(fmt::format("'{}' ({}) has no member '{}'", of.text,
                                 type.empty() ? "of unknown type" : type, name));
    }
    if (found->bit_size != 0) {
      return missing(fmt::format("member '{}' is a bit field: it has no address of its own", name));
    }
    return part(whole, found->type, found->offset, found->size);
  }

  Result<Value> element(const Value& of, std::int64_t number) {
    CULPRIT_ASSIGN(Value array, without_reference(of));
    // Go's slices and strings: a structure whose `array` or `str` points to the elements.
    for (const char* name : {"array", "str"}) {
      const auto data = array.type.stripped().member(name);
      if (data && data->type.stripped().kind() == TypeKind::pointer) {
        CULPRIT_ASSIGN(array, part(array, data->type, data->offset, data->size));
        break;
      }
    }
    CULPRIT_ASSIGN(Value first, pointee(array));
    const auto size = first.type.size();
    if (!size || *size == 0) {
      return missing(fmt::format("the size of an element of '{}' is not known", of.text));
    }
    first.place = Address{first.place->value + static_cast<std::uint64_t>(number) * *size};
    return first;
  }

  Result<Value> part(const Value& whole, const Type& type, std::uint64_t offset,
                     std::uint64_t size) {
    Value out;
    out.type = type;
    out.text = whole.text;
    if (whole.place) {
      out.place = Address{whole.place->value + offset};
      return out;
    }
    out.nowhere = whole.nowhere;
    if (offset < whole.bytes.size() && size <= whole.bytes.size() - offset) {
      const auto begin = whole.bytes.begin() + static_cast<std::ptrdiff_t>(offset);
      out.bytes.assign(begin, begin + static_cast<std::ptrdiff_t>(size));
    }
    return out;
  }

  const VariableFinder& variables_;
  std::span<const FrameView> frames_;
  const MemoryReader& memory_;
  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<NamedPlace> find_place(const VariableFinder& variables, std::span<const FrameView> frames,
                              const MemoryReader& memory, std::string_view expression) {
  if (expression.size() > kMaxText || expression.find('\0') != std::string_view::npos) {
    return Error{ErrorCode::usage, "an expression has at most 256 characters"};
  }
  CULPRIT_ASSIGN(const Value value, Evaluator(variables, frames, memory, expression).run());
  if (!value.place) {
    return Error{ErrorCode::not_found,
                 fmt::format("'{}' has no address: {}", expression,
                             value.nowhere.empty() ? "it is no place in memory" : value.nowhere)};
  }
  NamedPlace out;
  out.address = *value.place;
  out.size = value.type.size().value_or(0);
  out.type_name = value.type.name();
  return out;
}

}  // namespace culprit::binary
