// A regular expression of the user's, searched in bytes of the program's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace culprit {

/// RE2's syntax (no back references, no look-around); `^` and `$` stand at line ends, too. Both the
/// pattern and the text are any bytes. RE2, since both come from outside: it takes time linear in
/// the text and bounded memory, where std::regex and glibc's regexec recurse with their input and
/// end with the stack.
class Pattern {
 public:
  /// Errors: usage (not a regular expression, with the reason; longer than 4096 bytes).
  [[nodiscard]] static Result<Pattern> compile(std::string_view text);

  /// Is it found anywhere in the bytes?
  [[nodiscard]] bool found_in(std::string_view bytes) const;
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  struct Compiled;
  Pattern(std::string text, std::shared_ptr<const Compiled> compiled)
      : text_(std::move(text)), compiled_(std::move(compiled)) {}
  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace culprit
