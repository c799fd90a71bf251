#include "report/formats/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace culprit::report {
namespace {

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::size_t longest_run(std::string_view text, char wanted) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (const char c : text) {
    run = c == wanted ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

// Plain text inside a line. An empty comment parts what trackers would join to a mention or a link.
void plain_markdown(std::string_view text, std::string& out) {
  constexpr std::string_view kParting = "<!-- -->";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\\':
      case '`':
      case '*':
      case '_':
      case '[':
      case ']':
      case '|':
      case '~':
      case '$':
      case '^':
        out += '\\';
        out += c;
        break;
      case '@':
        out += c;
        out += kParting;
        break;
      case '#':
      case '!':
      case '%':
        if (c != '%') out += '\\';
        out += c;
        if (is_alnum(next) || next == '"') out += kParting;
        break;
      case ':':
        out += c;
        if (next == '/') out += kParting;
        break;
      case '.':
        if (i >= 3 && (text[i - 1] | 0x20) == 'w' && (text[i - 2] | 0x20) == 'w') out += kParting;
        out += c;
        break;
      default:
        out += c;
    }
  }
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  bool line_start = true;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case ':':
        out += line_start ? "&#58;" : ":";
        break;
      case '#':
        out += line_start ? "&#35;" : "#";
        break;
      default:
        out += c;
    }
    line_start = c == '\n' || (line_start && (c == ' ' || c == '\t'));
  }
  return out;
}

std::string markdown_code(std::string_view text) {
  if (text.empty()) return "";
  std::string body(text);
  std::replace_if(
      body.begin(), body.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  const std::string fence(longest_run(body, '`') + 1, '`');
  // A space on both sides is dropped by the reader; it keeps a backtick off the fence.
  const bool padded =
      body.front() == '`' || body.back() == '`' || (body.front() == ' ' && body.back() == ' ');
  const std::string_view pad = padded ? " " : "";
  return fmt::format("{}{}{}{}{}", fence, pad, body, pad, fence);
}

std::string markdown_prose(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    // Indentation would make a code block, a mark at the start a heading, list, rule or quick
    // action.
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (!line.empty()) {
      const char c = line.front();
      if (c == '-' || c == '+' || c == '=' || c == '/' || c == ':') {
        out += '\\';
        out += c;
        line.remove_prefix(1);
      } else if (c >= '0' && c <= '9') {
        const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
        if (digits < line.size() && (line[digits] == '.' || line[digits] == ')')) {
          out += line.substr(0, digits);
          out += '\\';
          out += line[digits];
          line.remove_prefix(digits + 1);
        }
      }
    }
    while (!line.empty()) {
      const std::size_t open = line.find('`');
      const std::size_t close = open == std::string_view::npos ? open : line.find('`', open + 1);
      if (close == std::string_view::npos || close == open + 1) {
        // No pair: as far as is known to be plain.
        const std::size_t take = close == std::string_view::npos ? line.size() : close + 1;
        plain_markdown(line.substr(0, take), out);
        line.remove_prefix(take);
        continue;
      }
      plain_markdown(line.substr(0, open), out);
      out += markdown_code(line.substr(open + 1, close - open - 1));
      line.remove_prefix(close + 1);
      // Two spans side by side would run their fences together.
      if (line.starts_with('`')) out += ' ';
    }
    if (at <= text.size()) out += '\n';
  }
  return out;
}

std::string markdown_block(std::string_view text, std::string_view language) {
  const std::string fence(std::max<std::size_t>(3, longest_run(text, '`') + 1), '`');
  return fmt::format("{}{}\n{}{}{}\n", fence, language, text, text.ends_with('\n') ? "" : "\n",
                     fence);
}

std::string mermaid_label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = is_alnum(c) || c == ' ' || c == ',' || c == '.' || c == '(' || c == ')' ||
                       c == '/' || static_cast<unsigned char>(c) >= 0x80;
    if (plain) {
      out += c;
    } else if (c == '\n' || c == '\t') {
      out += ' ';
    } else {
      fmt::format_to(std::back_inserter(out), "#{};", static_cast<int>(c));
    }
  }
  return out;
}

std::string csv_field(std::string_view text) {
  std::string out = "\"";
  if (!text.empty() && std::string_view("=+-@").find(text.front()) != std::string_view::npos) {
    out += '\'';
  }
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c == '\n' || c == '\t' ? ' ' : c;
  }
  return out + '"';
}

std::string github_message(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '%') {
      out += "%25";
    } else if (c == '\n') {
      out += "%0A";
    } else if (c == '\r') {
      out += "%0D";
    } else {
      out += c;
    }
  }
  return out;
}

std::string github_property(std::string_view text) {
  std::string out;
  for (const char c : github_message(text)) {
    if (c == ':') {
      out += "%3A";
    } else if (c == ',') {
      out += "%2C";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace culprit::report
