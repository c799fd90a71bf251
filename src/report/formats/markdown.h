// Markdown for an issue on GitHub or GitLab.
#pragma once

#include <cstddef>
#include <string>

#include "report/model.h"

namespace culprit::report {

/// GitHub refuses issue texts above 65,536 characters.
inline constexpr std::size_t kMaxMarkdown = 60'000;

/// The verdict, the chain as a Mermaid diagram (origin at the top) and as a list with source
/// excerpts, how to reproduce and to go to each moment, and collapsed details. At most kMaxMarkdown
/// bytes whatever the report holds: backtraces are shortened first, then excerpts, then names, and
/// the text says what is left out. Nothing of the program is markup, a mention or a link
/// (escape.h). `report` is presentable().
[[nodiscard]] std::string to_markdown(const Report& report);

}  // namespace culprit::report
