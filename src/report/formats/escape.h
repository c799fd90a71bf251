// Escapes of the syntaxes that formats are written in. Each takes harmless text (sanitize.h: valid
// UTF-8 without control characters but line feeds and tabs) and gives text that its reader shows as
// it was, whatever it holds.
#pragma once

#include <string>
#include <string_view>

namespace culprit::report {

/// For HTML and XML, between tags and in quoted attributes: & < > " ' become references; so do the
/// signs that begin a command to a CI runner ("::", "##[") at the start of a line, for logs that
/// the page is printed to.
[[nodiscard]] std::string escape_xml(std::string_view text);

/// A Markdown code span (CommonMark 6.1) on one line: line feeds and tabs become spaces. Nothing in
/// it is markup, a mention or a link. Empty text gives nothing. In a table cell '|' still has to be
/// escaped.
[[nodiscard]] std::string markdown_code(std::string_view text);

/// Prose in Markdown as it is meant: what is between two backticks becomes a code span, everything
/// else is plain text: no markup, no HTML, no link, no mention of a user or an issue, no formula,
/// no heading or list, no quick action of GitLab ("/close" at the start of a line). Line feeds
/// stay.
[[nodiscard]] std::string markdown_prose(std::string_view text);

/// A fenced block with `language` (of this program) as its info string, ending in a line feed. The
/// fence is longer than any in the text.
[[nodiscard]] std::string markdown_block(std::string_view text, std::string_view language);

/// The text of a node or edge of a Mermaid diagram, to be put between double quotes: everything but
/// letters, digits, spaces and a few signs becomes an entity code of Mermaid ("#35;").
[[nodiscard]] std::string mermaid_label(std::string_view text);

/// A field of a CSV file (RFC 4180), in quotes. Text that a spreadsheet would take for a formula
/// (= + - @ at its start) gets an apostrophe in front; line feeds and tabs become spaces.
[[nodiscard]] std::string csv_field(std::string_view text);

/// The message of a workflow command of GitHub Actions ("::error::MESSAGE"): % and line ends as
/// %25, %0D and %0A, as the runner's toolkit does. As a property's value also ':' and ','.
[[nodiscard]] std::string github_message(std::string_view text);
[[nodiscard]] std::string github_property(std::string_view text);

}  // namespace culprit::report
