// JUnit XML, which every CI server shows as a test result.
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// One suite with one failed case: the program's command line as its name, the verdict as the
/// failure's message, the text form (text.h) as its body. The elements and attributes are those
/// that Jenkins, GitLab and Azure read alike (testsuites/testsuite/testcase/failure). `report` is
/// presentable().
[[nodiscard]] std::string to_junit(const Report& report);

}  // namespace culprit::report
