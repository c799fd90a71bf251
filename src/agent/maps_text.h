// /proc/PID/maps as rr 5.6.0 expects it.
#pragma once

#include <stddef.h>

namespace culprit::agent {

/// Linux 6.13 and later list the vvar pages as two mappings, "[vvar]" and, right behind it,
/// "[vvar_vclock]". rr 5.6.0 expects one (fixed in later versions, which accept one as well). Merges
/// the two lines in place; returns the new length. Text without such a pair stays as it is.
size_t merge_vvar_lines(char* text, size_t length);

}  // namespace culprit::agent
