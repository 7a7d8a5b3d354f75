#include "base/text.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Text, PrintableKeepsTextAndEscapesWhatMisleads) {
  EXPECT_EQ(Printable("\xC3\xA4 ok"), "\xC3\xA4 ok");
  EXPECT_EQ(Printable("a\nb\x7F"), "a\\x0ab\\x7f");
  EXPECT_EQ(Printable("\xC2\x9B"), "\\xc2\\x9b");                    // C1 control
  EXPECT_EQ(Printable("\xE2\x80\xAE"), "\\xe2\\x80\\xae");           // right-to-left override
  EXPECT_EQ(Printable("\xED\xA0\x80\xC0"), "\\xed\\xa0\\x80\\xc0");  // surrogate, overlong
  EXPECT_EQ(Printable("a\xC3"), "a\\xc3");                           // ends within a character
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Text, PrintableAsciiReplacesByteByByte) {
  EXPECT_EQ(PrintableAscii("h\xC3\xB6st\n~ "), "h??st?~ ");
  EXPECT_EQ(PrintableAscii(""), "");
}

TEST(Text, WhatIsPrintableAscii) {
  EXPECT_TRUE(IsPrintableAscii(" ~"));
  EXPECT_TRUE(IsPrintableAscii(""));
  for (const char c : {'\0', '\x1F', '\x7F', '\x80', '\xFF'}) EXPECT_FALSE(IsPrintableAscii(c)) << int{c};
}

}  // namespace
}  // namespace assay
