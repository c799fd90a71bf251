// One page to look at.
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// One self-contained HTML file: the verdict, a picture of the hops across threads and of the
/// slots' lives (html_picture.h), each hop with its source, its bytes and its callers. It loads
/// nothing: the Content-Security-Policy in its head allows its own style and script by their hashes
/// and nothing else. Every string of the program is text, and the script never makes markup of any.
/// Works without the script, too; light and dark follow the reader's system. `report` is
/// presentable().
[[nodiscard]] std::string to_html(const Report& report);

}  // namespace culprit::report
