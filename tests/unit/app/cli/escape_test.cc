#include "app/cli/escape.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

namespace ferrotunnel::cli {
namespace {

using namespace std::string_literals;

std::string json(std::string_view text) {
  std::string out;
  append_json(out, text);
  return out;
}

TEST(CliEscape, LeavesPlainTextAlone) {
  EXPECT_EQ(shown("app.example.com/a?b=c"), "app.example.com/a?b=c");
  EXPECT_EQ(shown("größe 日本 🦀"), "größe 日本 🦀");
}

TEST(CliEscape, ShowsControlsAndBrokenUtf8AsHex) {
  EXPECT_EQ(shown("a\x1b[31mb\r\n\0c\x7f"s), "a\\x1b[31mb\\x0d\\x0a\\x00c\\x7f");
  EXPECT_EQ(shown("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(shown("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(shown("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(shown("\xc2\x9b"
                  "31m"),
            "\\xc2\\x9b"
            "31m");  // C1: a terminal may take it for ESC [
}

TEST(CliEscape, ShowsWhatReordersOrBreaksLines) {
  EXPECT_EQ(shown("a\u202e"
                  "b"),
            "a\\xe2\\x80\\xae"
            "b");
  EXPECT_EQ(shown("\u2066"), "\\xe2\\x81\\xa6");
  EXPECT_EQ(shown("\u2028"), "\\xe2\\x80\\xa8");
}

TEST(CliEscape, BackslashIsUnambiguous) { EXPECT_EQ(shown("\\x1b"), "\\\\x1b"); }

TEST(CliEscape, LimitNeverCutsACharacter) {
  EXPECT_EQ(shown("abcdef", 3), "abc…");
  EXPECT_EQ(shown("abc", 3), "abc");
  EXPECT_EQ(shown("ab\n", 4), "ab…");
  EXPECT_EQ(shown("aéb", 2), "a…");
}

TEST(CliEscape, EveryByteAloneGivesValidJson) {
  for (int i = 0; i < 256; ++i) {
    const std::string text = "a" + std::string(1, static_cast<char>(i)) + "b";
    const auto parsed = boost::json::parse("\"" + json(text) + "\"");
    if (i < 0x80) {
      EXPECT_EQ(parsed.as_string(), text) << i;
    } else {
      EXPECT_EQ(parsed.as_string().size(), 6u) << i;  // a\xNNb
    }
  }
}

TEST(CliEscape, JsonKeepsWhatItEscapes) {
  const std::string text = "q\"b\\n\nt\tc\x1b d\x7f e\u009b f\u202e g\u2028 h🦀";
  EXPECT_EQ(boost::json::parse("\"" + json(text) + "\"").as_string(), text);
  for (const char c : json(text)) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  EXPECT_EQ(json("\u009b").find('\xc2'), std::string::npos);
}

}  // namespace
}  // namespace ferrotunnel::cli
