#include "binary/demangle.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::binary {
namespace {

TEST(Demangle, EachLanguage) {
  EXPECT_EQ(demangle("_ZN3geo3BoxIlE7measureEi"), "geo::Box<long>::measure(int)");
  EXPECT_EQ(demangle("_RNvC7mycrate4main"), "mycrate::main");
  // Rust's legacy mangling: the hash goes, the escapes are undone.
  EXPECT_EQ(
      demangle("_ZN4core3ptr85drop_in_place$LT$std..rt..lang_start$LT$$LP$$RP$$GT$..$u7b$$u7b$"
               "closure$u7d$$u7d$$GT$17h0123456789abcdefE"),
      "core::ptr::drop_in_place<std::rt::lang_start<()>::{{closure}}>");
  EXPECT_EQ(demangle("_ZN4core3fmt9Formatter3new17h0123456789abcdefE"),
            "core::fmt::Formatter::new");
}

TEST(Demangle, LeavesOthersAlone) {
  for (const char* name : {"", "_", "main", "runtime.(*mheap).alloc", "_Z", "_ZN", "__libc_start",
                           "go.shape.int_0", "_R"}) {
    EXPECT_EQ(demangle(name), name);
  }
  const std::string huge = "_Z" + std::string(100000, 'P');
  EXPECT_EQ(demangle(huge), huge);
}

}  // namespace
}  // namespace culprit::binary
