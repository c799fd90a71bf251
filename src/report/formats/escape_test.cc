#include "report/formats/escape.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::report {
namespace {

TEST(EscapeXml, MarkupBecomesReferences) {
  EXPECT_EQ(escape_xml("a<b & 'c' \"d\">"), "a&lt;b &amp; &#39;c&#39; &quot;d&quot;&gt;");
  EXPECT_EQ(escape_xml("f(x): y #1"), "f(x): y #1");
  EXPECT_EQ(escape_xml("::error::x\n  ##[error]y"), "&#58;:error::x\n  &#35;#[error]y");
}

TEST(MarkdownCode, TheFenceIsLongerThanAnyInside) {
  EXPECT_EQ(markdown_code("a_b"), "`a_b`");
  EXPECT_EQ(markdown_code("a`b"), "``a`b``");
  EXPECT_EQ(markdown_code("`a``"), "``` `a`` ```");
  EXPECT_EQ(markdown_code(""), "");
  EXPECT_EQ(markdown_code("a\nb"), "`a b`");
  EXPECT_EQ(markdown_code(" a "), "`  a  `");  // the reader drops one space on each side
}

TEST(MarkdownProse, IsPlainText) {
  EXPECT_EQ(markdown_prose("a_b*c*[x](y)"), "a\\_b\\*c\\*\\[x\\](y)");
  EXPECT_EQ(markdown_prose("<b>&amp;"), "&lt;b&gt;&amp;amp;");
  EXPECT_EQ(markdown_prose("# no heading"), "\\# no heading");
  EXPECT_EQ(markdown_prose("1. no list\n- none\n+ none"), "1\\. no list\n\\- none\n\\+ none");
  EXPECT_EQ(markdown_prose("/close"), "\\/close");
  EXPECT_EQ(markdown_prose("    no code block"), "no code block");
  EXPECT_EQ(markdown_prose("ask @root about #12 at http://x"),
            "ask @<!-- -->root about \\#<!-- -->12 at http:<!-- -->//x");
  EXPECT_EQ(markdown_prose("set `x = {0};` and more"), "set `x = {0};` and more");
  EXPECT_EQ(markdown_prose("an `open end"), "an \\`open end");
  EXPECT_EQ(markdown_prose("`a``b`"), "`a` `b`");
}

TEST(MarkdownBlock, TheFenceIsLongerThanAnyInside) {
  EXPECT_EQ(markdown_block("int x;", "c"), "```c\nint x;\n```\n");
  EXPECT_EQ(markdown_block("a\n````\n", "text"), "`````text\na\n````\n`````\n");
}

TEST(MermaidLabel, OnlyHarmlessSignsStay) {
  EXPECT_EQ(mermaid_label("f(x), a.b/c"), "f(x), a.b/c");
  EXPECT_EQ(mermaid_label("a[\"b\"];#"), "a#91;#34;b#34;#93;#59;#35;");
  EXPECT_EQ(mermaid_label("größe"), "größe");
}

TEST(CsvField, IsNoFormula) {
  EXPECT_EQ(csv_field("a\"b,c"), "\"a\"\"b,c\"");
  EXPECT_EQ(csv_field("=1+1"), "\"'=1+1\"");
  EXPECT_EQ(csv_field("@x"), "\"'@x\"");
  EXPECT_EQ(csv_field("a\nb\tc"), "\"a b c\"");
  EXPECT_EQ(csv_field(""), "\"\"");
}

TEST(GithubCommand, LinesAndSeparatorsAreEncoded) {
  EXPECT_EQ(github_message("a%b\nc\r::d"), "a%25b%0Ac%0D::d");
  EXPECT_EQ(github_property("a:b,c%"), "a%3Ab%2Cc%25");
}

}  // namespace
}  // namespace culprit::report
