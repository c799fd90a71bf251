// The one result type of every interface: a value, or an Error that says what was wrong, where,
// and what to do. No exception crosses a module.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace culprit {

/// What kind of failure an Error is. The command line maps these to its exit codes.
enum class ErrorCode {
  internal,           ///< a bug of this tool (exit 1)
  usage,              ///< wrong options or arguments (exit 2)
  bad_input,          ///< a file or text that cannot be what it claims to be (exit 2)
  not_found,          ///< something asked for by name is not there; callers usually handle it
  chain_incomplete,   ///< the chain could not be followed to its origin (exit 3)
  did_not_fail,       ///< the program under test did not fail (exit 4)
  cannot_record,      ///< this machine, or this program here, cannot be recorded (exit 5)
  replay_failed,      ///< the replay failed or diverged (exit 6)
  timeout,            ///< a deadline passed; callers map it to the phase that it ended
  io,                 ///< the operating system refused (exit 1 unless a caller knows better)
  interrupted,        ///< the user pressed Ctrl-C (exit 130)
};

/// One failure. `message` is one line, without a full stop: what was wrong, where, what to do.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;

  /// The same error with "`context`: " in front.
  [[nodiscard]] Error with_context(std::string_view context) const {
    return Error{code, std::string(context) + ": " + message};
  }
};

/// A value of T or an Error. Check ok() (or the bool conversion) before value().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

  T value_or(T fallback) const& { return ok() ? value() : std::move(fallback); }

 private:
  std::variant<T, Error> state_;
};

/// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace culprit

/// Returns the error of `expr` from the enclosing function; otherwise goes on.
#define CULPRIT_TRY(expr)                                    \
  do {                                                       \
    if (auto culprit_try_ = (expr); !culprit_try_.ok())      \
      return std::move(culprit_try_).error();                \
  } while (false)

#define CULPRIT_CONCAT_INNER(a, b) a##b
#define CULPRIT_CONCAT(a, b) CULPRIT_CONCAT_INNER(a, b)
/// `CULPRIT_ASSIGN(auto x, f());` is x = the value of f(), or returns f()'s error.
#define CULPRIT_ASSIGN(decl, expr) \
  CULPRIT_ASSIGN_INNER(CULPRIT_CONCAT(culprit_result_, __LINE__), decl, expr)
#define CULPRIT_ASSIGN_INNER(tmp, decl, expr) \
  auto tmp = (expr);                          \
  if (!tmp.ok()) return std::move(tmp).error(); \
  decl = std::move(tmp).value()
