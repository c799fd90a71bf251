#include "batch/case_list.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "report/formats/sha256.h"
#include "report/model.h"
#include "report/words.h"

namespace culprit::batch {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdBytes = 16;

Error bad(std::string message) { return Error{ErrorCode::bad_input, std::move(message)}; }

// With its length in front, so that neighbouring words cannot run together.
void add_field(std::string& text, std::string_view field) {
  text += fmt::format("{}:", field.size());
  text += field;
}

/// Splits one line; a class only so that each rule has a function of its own.
class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  Result<std::vector<std::string>> split() {
    for (at_ = 0; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      if (c == '\0') return bad("a NUL byte");
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        end_word();
      } else if (c == '#' && !inside_) {
        break;
      } else if (c == '\'') {
        CULPRIT_TRY(single_quoted());
      } else if (c == '"') {
        CULPRIT_TRY(double_quoted());
      } else if (c == '\\') {
        if (++at_ == line_.size()) return bad("a backslash at the end of the line");
        add(line_[at_]);
      } else if (std::string_view("|&;<>()$`").find(c) != std::string_view::npos) {
        return bad(
            fmt::format("'{}' means something to a shell only: quote it, or write sh -c '...'", c));
      } else {
        add(c);
      }
    }
    end_word();
    return std::move(words_);
  }

 private:
  void add(char c) {
    word_ += c;
    inside_ = true;
  }
  void end_word() {
    if (inside_) words_.push_back(std::move(word_));
    word_.clear();
    inside_ = false;
  }
  Status single_quoted() {
    inside_ = true;  // '' is a word, too
    for (++at_; at_ < line_.size(); ++at_) {
      if (line_[at_] == '\'') return {};
      if (line_[at_] == '\0') return bad("a NUL byte");
      word_ += line_[at_];
    }
    return bad("a ' is not closed");
  }
  Status double_quoted() {
    inside_ = true;
    for (++at_; at_ < line_.size(); ++at_) {
      char c = line_[at_];
      if (c == '"') return {};
      if (c == '\0') return bad("a NUL byte");
      if (c == '$' || c == '`') {
        return bad(fmt::format("'{}' is not expanded here: put a backslash before it", c));
      }
      if (c == '\\' && at_ + 1 < line_.size() &&
          std::string_view("\"\\$`").find(line_[at_ + 1]) != std::string_view::npos) {
        c = line_[++at_];
      }
      word_ += c;
    }
    return bad("a \" is not closed");
  }

  std::string_view line_;
  std::size_t at_ = 0;
  std::string word_;
  bool inside_ = false;
  std::vector<std::string> words_;
};

bool is_program(const fs::directory_entry& entry) {
  std::error_code code;
  return entry.is_regular_file(code) && ::access(entry.path().c_str(), X_OK) == 0;
}

}  // namespace

std::string shown_words(const Case& one) {
  report::Program program;
  program.argv = one.words;
  return report::shown(report::command_line(program));
}

Result<std::vector<std::string>> split_words(std::string_view line) {
  if (line.size() > kMaxLineBytes) return bad("longer than 128 KiB");
  return Splitter(line).split();
}

bool is_trace(const fs::path& path) {
  // What rr makes in every version (TraceStream.cc): the version first, the events last.
  std::error_code code;
  return fs::is_regular_file(path / "version", code) && fs::is_regular_file(path / "events", code);
}

Result<std::vector<Case>> parse_case_list(std::string_view text) {
  std::vector<Case> cases;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Result<std::vector<std::string>> words = split_words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!words.ok()) return words.error().with_context(fmt::format("line {}", number));
    if (words->empty()) continue;
    if (cases.size() == kMaxCases) return bad("more than 1000000 cases");
    Case one;
    one.words = *std::move(words);
    if (one.words.front().empty()) return bad(fmt::format("line {}: an empty program", number));
    if (one.words.size() == 1 && is_trace(one.words.front())) one.kind = Case::Kind::trace;
    cases.push_back(std::move(one));
  }
  return cases;
}

Result<std::vector<Case>> find_cases(const fs::path& directory, const fs::path& except) {
  // A program without a '/' would be looked up in PATH.
  fs::path top = directory.lexically_normal();
  if (!top.has_filename()) top = top.parent_path();
  if (!top.is_absolute()) top = fs::path(".") / top;
  std::vector<Case> cases;
  if (is_trace(top)) {
    cases.push_back(Case{Case::Kind::trace, {top.string()}, {}});
    return cases;
  }
  std::error_code code;
  const auto options = fs::directory_options::skip_permission_denied;
  auto it = fs::recursive_directory_iterator(top, options, code);
  for (; !code && it != fs::recursive_directory_iterator(); it.increment(code)) {
    std::error_code ignored;
    Case one;
    one.words = {it->path().string()};
    if (it->is_directory(ignored)) {
      const bool own = fs::equivalent(it->path(), except, ignored);
      const bool trace = !own && !it->is_symlink(ignored) && is_trace(it->path());
      if (own || trace) it.disable_recursion_pending();
      if (!trace) continue;
      one.kind = Case::Kind::trace;
    } else if (!is_program(*it)) {
      continue;
    }
    if (cases.size() == kMaxCases) return bad(directory.string() + ": more than 1000000 cases");
    cases.push_back(std::move(one));
  }
  if (code) {
    return Error{ErrorCode::io, "cannot search " + directory.string() + ": " + code.message()};
  }
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return a.words < b.words; });
  return cases;
}

void number_cases(std::vector<Case>& cases) {
  std::map<std::string, std::size_t> seen;
  for (Case& one : cases) {
    std::string text = one.kind == Case::Kind::trace ? "trace" : "command";
    for (const std::string& word : one.words) add_field(text, word);
    const std::size_t before = seen[text]++;
    add_field(text, std::to_string(before));
    const auto hash = report::sha256(text);
    one.id.clear();
    for (std::size_t i = 0; i < kIdBytes; ++i) one.id += fmt::format("{:02x}", hash[i]);
  }
}

}  // namespace culprit::batch
