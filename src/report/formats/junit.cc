#include "report/formats/junit.h"

#include <fmt/format.h>

#include "report/formats/escape.h"
#include "report/text.h"
#include "report/words.h"

namespace culprit::report {

std::string to_junit(const Report& report) {
  std::string name = command_line(report.program);
  if (name.empty()) name = "the recorded program";
  const std::string seconds = fmt::format("{:.3f}", total_ms(report.stats) / 1000);
  std::string message = title_of(report.verdict);
  if (report.verdict.cause) {
    const std::string where = cause_text(*report.verdict.cause, report.program.cwd);
    if (!where.empty()) message += ": " + where;
  }
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += fmt::format(
      "<testsuites name=\"culprit\" tests=\"1\" failures=\"1\" errors=\"0\" time=\"{0}\">\n"
      "  <testsuite name=\"culprit\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" "
      "time=\"{0}\">\n"
      "    <testcase classname=\"culprit\" name=\"{1}\" time=\"{0}\">\n"
      "      <failure type=\"{2}\" message=\"{3}\">{4}</failure>\n"
      "    </testcase>\n"
      "  </testsuite>\n"
      "</testsuites>\n",
      seconds, escape_xml(name), to_string(report.verdict.bug_class), escape_xml(message),
      escape_xml(to_text(report)));
  return out;
}

}  // namespace culprit::report
