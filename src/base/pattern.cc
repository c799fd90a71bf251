#include "base/pattern.h"

#include <re2/re2.h>

#include <utility>

namespace culprit {

struct Pattern::Compiled {
  Compiled(const std::string& text, const re2::RE2::Options& options) : expression(text, options) {}
  re2::RE2 expression;
};

Result<Pattern> Pattern::compile(std::string_view text) {
  constexpr std::size_t kLongest = 4096;
  if (text.size() > kLongest) {
    return Error{ErrorCode::usage, "a regular expression has at most 4096 bytes"};
  }
  re2::RE2::Options options(re2::RE2::Latin1);  // bytes
  options.set_log_errors(false);
  const auto compiled = std::make_shared<const Compiled>("(?m)" + std::string(text), options);
  if (!compiled->expression.ok()) {
    return Error{ErrorCode::usage,
                 "'" + std::string(text.substr(0, 80)) +
                     "' is no regular expression: " + compiled->expression.error()};
  }
  return Pattern(std::string(text), compiled);
}

bool Pattern::found_in(std::string_view bytes) const {
  return re2::RE2::PartialMatch(re2::StringPiece(bytes.data(), bytes.size()),
                                compiled_->expression);
}

}  // namespace culprit
