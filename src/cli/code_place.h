// Names for places in code where a recording stopped.
#pragma once

#include <string>

#include "recorder/record.h"

namespace culprit::cli {

/// "wait_for, lock.c:12" or as much of it as the file's symbols and debug information tell; empty
/// if they tell nothing. Reads the file as it is now.
std::string name_code_place(const recorder::CodePlace& place);

}  // namespace culprit::cli
