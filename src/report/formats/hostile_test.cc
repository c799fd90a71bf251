// One table over all formats: whatever stands in a report's strings, each format stays what it is,
// and no reader of it acts on the strings.
//
// Each attack is put into every string of a report at once. The result is compared with that of the
// same report with harmless strings: the syntax around the strings (tags, JSON's shape, rows,
// commands) must be the same, so that nothing that an attack holds can have become syntax.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/fields.h"
#include "report/formats/format.h"
#include "report/formats/markdown.h"
#include "report/json.h"
#include "report/sample_reports.h"
#include "report/sanitize.h"

namespace culprit::report {
namespace {

struct Attack {
  const char* name;
  std::string text;
};

std::vector<Attack> attacks() {
  return {
      {"html", "<script>alert(1)</script><img src=x onerror=alert(1)>"},
      {"html_attribute", "\" onmouseover=\"alert(1)\" x='"},
      {"html_close", "</style></script></title></pre></details></svg><svg onload=alert(1)>"},
      {"html_comment", "--><!-- ]]> <?xml ?>"},
      {"html_entity", "&lt;script&gt; &#60;b&#62; &amp;"},
      {"xml_cdata", "]]><failure/><![CDATA["},
      {"markdown_link",
       "](javascript:alert(1)) [x](https://evil.example) ![i](//evil.example/i.png)"},
      {"markdown_blocks",
       "# heading\n---\n* list\n> quote\n| a | b |\n|---|---|\n    code\n1. one\n```\n"},
      {"markdown_fences", "``` ```` ````` ` `` ~~~ `\n```\n</details>"},
      {"mentions", "@everyone @octocat #1 GH-1 !7 https://evil.example www.evil.example $1$ %2"},
      {"quick_actions", "/close\n/assign @octocat\n/label ~bug"},
      {"mermaid", "\"] --> evil[\"x\nclick h0 \"javascript:alert(1)\"\n%%{init: {}}%%"},
      {"sarif", "{0} {1} [a](1) [b](https://evil.example) {{ }} \\[ %SRCROOT% ../../etc/passwd"},
      {"json", "\",\"x\":[1,2],\"\\u0022\\\\"},
      {"csv", "=HYPERLINK(\"https://evil.example\")\",\"x\"\n+1\n@SUM(1)"},
      {"github", "::set-output name=x::y\n::error file=a::b\r\n##[error]c\n::stop-commands::x"},
      {"github_property", "a,title=x::y%0A::error::z"},
      {"terminal", "\x1b[2J\x1b]0;owned\x07\x1b[31m\x9b\x33\x31m\x08\x7f"},
      {"c1_controls",
       "\xc2\x9b"
       "31m \xc2\x85 \xc2\x90"},
      {"bidi",
       "\xe2\x80\xae"
       "gpj.exe \xe2\x81\xa6 \xe2\x80\x8b \xef\xbb\xbf \xe2\x80\xa8 \xe2\x80\xa9"},
      {"invalid_utf8", "\xff\xfe \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82 \x80"},
      {"nul", std::string("a\0b\0", 4)},
      {"empty", ""},
      {"spaces", "   "},
      {"long", std::string(200'000, 'A')},
      {"long_escapes", std::string(50'000, '<') + std::string(50'000, '@')},
      {"long_backticks", std::string(100'000, '`')},
      {"path", "/x/../../../etc/passwd"},
      {"uri", "javascript:alert(1)//?#%2e%2e"},
  };
}

// Puts one text into every string of a report. Keys and versions stay: they are ours.
class Filler {
 public:
  explicit Filler(const std::string& text) : text_(text) {}
  void required_name(const char* key, std::string& x) {
    const std::string_view name = key;
    if (name != "schema_version" && name != "strict" && name != "loose") x = text_;
  }
  void name(const char* key, std::string& x) { required_name(key, x); }
  void required_code(const char* key, std::string& x) { required_name(key, x); }
  void code(const char* key, std::string& x) { required_name(key, x); }
  void prose(const char* key, std::string& x) { required_name(key, x); }
  void required_number(const char*, const auto&) {}
  void number(const char*, const auto&) {}
  void real(const char*, const auto&) {}
  void hex(const char*, const auto&) {}
  void flag(const char*, const auto&, bool) {}
  void flag(const char*, const auto&) {}
  void choice(const char*, const auto&) {}
  template <typename T>
  void required_object(const char*, T& x) {
    Fields<T>::visit(*this, x);
  }
  template <typename T>
  void object(const char*, T& x) {
    Fields<T>::visit(*this, x);
  }
  template <typename T>
  void object(const char*, std::optional<T>& x) {
    if (x) Fields<T>::visit(*this, *x);
  }
  template <typename T>
  void required_list(const char*, std::vector<T>& x, std::size_t) {
    for (T& element : x) Fields<T>::visit(*this, element);
  }
  template <typename T>
  void list(const char* key, std::vector<T>& x, std::size_t limit) {
    required_list(key, x, limit);
  }
  void names(const char*, std::vector<std::string>& x, std::size_t) {
    for (std::string& element : x) element = text_;
  }
  void hexes(const char*, const auto&, std::size_t) {}
  void indices(const char*, const auto&, std::size_t) {}

 private:
  const std::string& text_;
};

Report filled_with(const std::string& text) {
  Report report = full_report();
  Filler filler(text);
  Fields<Report>::visit(filler, report);
  return report;
}

// The tags of HTML or XML with the names of their attributes; no text, no values. Without <code>
// and <p>, which the page makes itself of backticks and of lines in prose.
std::string markup_skeleton(const std::string& text) {
  std::string out;
  bool in_tag = false;
  char quote = 0;
  for (const char c : text) {
    if (!in_tag) {
      if (c == '<') {
        in_tag = true;
        out += c;
      }
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else {
      out += c;
      if (c == '>') in_tag = false;
    }
  }
  for (const std::string_view own : {"<code>", "</code>", "<p class=>", "</p>"}) {
    for (std::size_t at = 0; (at = out.find(own, at)) != std::string::npos;)
      out.erase(at, own.size());
  }
  return out;
}

// JSON with each string replaced by "": its shape and its keys.
Json json_skeleton(const Json& json) {
  if (json.is_string()) return "";
  if (json.is_object()) {
    Json out = Json::object();
    for (const auto& [key, value] : json.items()) out[key] = json_skeleton(value);
    return out;
  }
  if (json.is_array()) {
    Json out = Json::array();
    for (const Json& value : json) out.push_back(json_skeleton(value));
    return out;
  }
  return json;
}

std::string json_shape(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(json.is_discarded());
  return json_skeleton(json).dump(1);
}

// Rows and fields of a CSV file, as a strict reader finds them.
std::string csv_shape(const std::string& text) {
  std::string out;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      if (quoted && i + 1 < text.size() && text[i + 1] == '"') {
        ++i;
        continue;
      }
      quoted = !quoted;
      // A formula would begin here.
      if (quoted && i + 1 < text.size()) {
        EXPECT_EQ(std::string_view("=+-@").find(text[i + 1]), std::string_view::npos);
      }
    } else if (!quoted && (text[i] == ',' || text[i] == '\n')) {
      out += text[i];
    }
  }
  EXPECT_FALSE(quoted);
  return out;
}

// The workflow commands of a log: their kinds and the names of their properties.
std::string command_shape(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    EXPECT_TRUE(line.starts_with("::error ") || line.starts_with("::notice ")) << line;
    const std::size_t message = line.find("::", 2);
    EXPECT_NE(message, std::string_view::npos) << line;
    std::string_view properties = line.substr(0, message);
    for (std::size_t i = 0; i < properties.size(); ++i) {
      if (properties[i] == '=') {
        while (i < properties.size() && properties[i] != ',') ++i;
      }
      if (i < properties.size()) out += properties[i];
    }
    out += '\n';
  }
  return out;
}

// Markdown without its code spans and blocks, which show anything as it is.
std::string outside_code(const std::string& text) {
  std::string out;
  std::string fence;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t ticks = std::min(line.find_first_not_of('`'), line.size());
    if (!fence.empty()) {
      if (ticks >= fence.size() && ticks == line.size()) fence.clear();
      continue;
    }
    if (ticks >= 3 && line.find('`', ticks) == std::string::npos) {
      fence = line.substr(0, ticks);
      continue;
    }
    for (std::size_t i = 0; i < line.size();) {
      if (line[i] == '\\' && i + 1 < line.size()) {
        out += line.substr(i, 2);
        i += 2;
        continue;
      }
      if (line[i] != '`') {
        out += line[i++];
        continue;
      }
      const std::size_t run = std::min(line.find_first_not_of('`', i), line.size()) - i;
      std::size_t close = i + run;
      for (;;) {
        close = line.find(std::string(run, '`'), close);
        if (close == std::string::npos) break;
        const std::size_t length =
            std::min(line.find_first_not_of('`', close), line.size()) - close;
        if (length == run) break;
        close += length;
      }
      EXPECT_NE(close, std::string::npos)
          << "a code span that does not end: " << line.substr(i, 80);
      if (close == std::string::npos) break;
      i = close + run;
    }
    out += '\n';
  }
  EXPECT_TRUE(fence.empty()) << "a code block that does not end";
  return out;
}

// Outside of code: no markup but ours, nothing that a tracker would link or act on.
void expect_inert_markdown(const std::string& text) {
  const std::string plain = outside_code(text);
  int open = 0;  // <details>
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const std::string_view rest = std::string_view(plain).substr(i);
    const std::size_t last = i == 0 ? std::string::npos : plain.find_last_not_of('\\', i - 1);
    const std::size_t backslashes = i - (last == std::string::npos ? 0 : last + 1);
    const bool escaped = backslashes % 2 == 1;
    if (rest.front() == '<') {
      const std::string_view before = std::string_view(plain).substr(0, i);
      const bool ours = rest.starts_with("<details><summary>") || rest.starts_with("<!-- -->") ||
                        (rest.starts_with("<summary>") && before.ends_with("<details>")) ||
                        rest.starts_with("</summary>\n") || rest.starts_with("</details>\n");
      EXPECT_TRUE(ours) << rest.substr(0, 60);
      open += rest.starts_with("<details>") ? 1 : rest.starts_with("</details>") ? -1 : 0;
      EXPECT_TRUE(open == 0 || open == 1);
    }
    if (rest.front() == '@' && rest.size() > 1) {
      EXPECT_FALSE(std::isalnum(static_cast<unsigned char>(rest[1]))) << rest.substr(0, 60);
    }
    if (rest.front() == '[' || rest.front() == ']' || rest.front() == '$') {
      EXPECT_TRUE(escaped) << rest.substr(0, 60);
    }
    EXPECT_FALSE(rest.starts_with("://") || rest.starts_with("www."))
        << plain.substr(i > 20 ? i - 20 : 0, 60);
    const bool line_start = i == 0 || plain[i - 1] == '\n';
    if (line_start) {
      EXPECT_FALSE(rest.starts_with("/") || rest.starts_with("::") || rest.starts_with("    "))
          << rest.substr(0, 60);
    }
  }
}

// What every reader may rely on.
void expect_harmless_text(const std::string& text, Format format) {
  EXPECT_TRUE(text.ends_with('\n'));
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool row_end = format == Format::csv && text[i] == '\r' && text[i + 1] == '\n';
    ASSERT_TRUE(byte >= 0x20 || text[i] == '\n' || text[i] == '\t' || row_end)
        << static_cast<int>(byte) << " at " << i;
    ASSERT_NE(byte, 0x7F);
  }
  // sanitize() changes nothing: it is valid UTF-8 without characters that act on the reader.
  std::string without_returns = text;
  std::erase(without_returns, '\r');
  EXPECT_EQ(sanitize(without_returns, without_returns.size() + 16, Lines::many), without_returns);
  if (format == Format::github) return;
  for (std::size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size()) + 1) {
    const std::size_t start = std::min(text.find_first_not_of(" \t", at), text.size());
    const std::string_view line = std::string_view(text).substr(start, 40);
    EXPECT_FALSE(line.starts_with("::") || line.starts_with("##[")) << "a command: " << line;
  }
}

// The syntax of a format's text, or "" where only its inertness can be judged.
std::string skeleton(const std::string& text, Format format) {
  switch (format) {
    case Format::html:
    case Format::junit:
      return markup_skeleton(text);
    case Format::json:
    case Format::sarif:
    case Format::gitlab:
    case Format::casrep:
    case Format::perfetto:
      return json_shape(text);
    case Format::csv:
      return csv_shape(text);
    case Format::github:
      return command_shape(text);
    case Format::markdown:
    case Format::github_summary:
      expect_inert_markdown(text);
      return "";
    case Format::text:
      break;
  }
  return "";
}

class Hostile : public testing::TestWithParam<FormatInfo> {};

TEST_P(Hostile, StringsStayStrings) {
  const Format format = GetParam().id;
  const std::string harmless = skeleton(render(filled_with("name"), format), format);
  for (const Attack& attack : attacks()) {
    SCOPED_TRACE(attack.name);
    const std::string text = render(filled_with(attack.text), format);
    expect_harmless_text(text, format);
    EXPECT_LT(text.size(), 4U << 20);
    // An empty or blank name leaves things out, and a path that is none has no place in a
    // repository: that is less syntax, not more.
    const std::string_view name = attack.name;
    const std::string shape = skeleton(text, format);
    if (name == "empty" || name == "spaces") continue;
    const bool places =
        format == Format::github || format == Format::sarif || format == Format::gitlab;
    if (places) continue;  // judged below
    EXPECT_EQ(shape, harmless);
  }
}

TEST_P(Hostile, TheWorstReportIsBounded) {
  const Format format = GetParam().id;
  const std::string text = render(hostile_report(), format);
  expect_harmless_text(text, format);
  skeleton(text, format);
  EXPECT_LT(text.size(), 16U << 20);
  if (format == Format::markdown) {
    EXPECT_LE(text.size(), kMaxMarkdown);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Hostile, testing::ValuesIn(formats().begin(), formats().end()),
                         [](const auto& case_info) {
                           std::string name(case_info.param.name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// No path of the report leads out of the repository, or anywhere but to a file.
void expect_local_uris(const Json& json) {
  if (json.is_object() && json.contains("uri")) {
    const auto uri = json["uri"].get<std::string>();
    const bool local = json.contains("uriBaseId");
    EXPECT_TRUE(local || uri.starts_with("file:///") || uri.find(':') == std::string::npos) << uri;
    if (local) {
      EXPECT_FALSE(uri.starts_with('/')) << uri;
      EXPECT_EQ(("/" + uri + "/").find("/../"), std::string::npos) << uri;
    }
    EXPECT_EQ(uri.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "-._~/%:"),
              std::string::npos)
        << uri;
  }
  if (json.is_structured()) {
    for (const Json& child : json) expect_local_uris(child);
  }
}

TEST(HostilePaths, StayInTheRepository) {
  for (const Attack& attack : attacks()) {
    SCOPED_TRACE(attack.name);
    expect_local_uris(Json::parse(render(filled_with(attack.text), Format::sarif)));
    const Json finding = Json::parse(render(filled_with(attack.text), Format::gitlab))[0];
    const auto path = finding["location"]["path"].get<std::string>();
    EXPECT_FALSE(path.empty() || path.starts_with('/')) << path;
  }
}

}  // namespace
}  // namespace culprit::report
