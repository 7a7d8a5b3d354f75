#include "base/command_line.h"

#include <gtest/gtest.h>

#include "base/result_testing.h"

namespace assay {
namespace {

struct Values {
  std::string file, form = "text";
  std::vector<std::string> names;
  std::vector<std::pair<std::string, std::string>> pairs;
  std::uint64_t count = 3;
  std::optional<std::uint64_t> remove;
  std::chrono::seconds timeout{0};
  bool json = false, ran = false;
};

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    Command root = line_.root();
    root.AddVersion("1.2");
    root.RequireCommand();
    root.TakeOptionsAnywhere();
    root.AddFlag("-j,--json", v_.json, "As JSON");
    Command show = root.AddCommand("show", "Shows it");
    show.AddOption("file", v_.file, "The file").Required();
    show.AddOption("--form", v_.form, "The form").OneOf({"text", "hex"}).ShowDefault();
    const CommandOption name = show.AddOption("--name", v_.names, "Names");
    show.AddOption("--count", v_.count, "How many").InRange(1, 9).Needs(name);
    show.AddOption("--pair", v_.pairs, "OLD NEW");
    show.AddOption("--timeout", v_.timeout, "Patience").ValueName("SECONDS").Excludes(show.Find("--count"));
    show.AddAlternatives("how").AddOption("--remove", v_.remove, "This one");
    show.OnRun([this] { v_.ran = true; });
  }
  std::string Wrong(std::vector<std::string> words) {
    const Result<std::string> parsed = line_.Parse(std::move(words));
    EXPECT_FALSE(v_.ran);
    return parsed ? "" : parsed.error().Message();
  }
  Values v_;
  CommandLine line_{"A program", "prog"};
};

TEST_F(CommandLineTest, OptionsSetTheirVariables) {
  const Result<std::string> parsed = line_.Parse({"show", "f", "--name", "a", "b", "--name=c", "--count", "9",
                                                  "--pair", "x", "y", "--remove", "0", "--json"});
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(*parsed, "");
  EXPECT_TRUE(v_.ran && v_.json);
  EXPECT_EQ(v_.file, "f");
  EXPECT_EQ(v_.form, "text");
  EXPECT_EQ(v_.names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(v_.count, 9U);
  EXPECT_EQ(v_.pairs, (std::vector<std::pair<std::string, std::string>>{{"x", "y"}}));
  EXPECT_EQ(v_.remove, 0U);
}

TEST_F(CommandLineTest, AWrongLineSaysWhy) {
  EXPECT_EQ(Wrong({}), "A subcommand is required");
  EXPECT_EQ(Wrong({"show", "--remove", "1"}), "file is required");
  EXPECT_EQ(Wrong({"show", "f", "--remove", "1", "--form", "x"}), "--form: x not in {text,hex}");
  EXPECT_EQ(Wrong({"show", "f", "--remove", "1", "--name", "a", "--count", "10"}),
            "--count: Value 10 not in range 1 to 9");
  EXPECT_EQ(Wrong({"show", "f", "--remove", "1", "--count", "2"}), "--count requires --name");
  EXPECT_EQ(Wrong({"show", "f", "--remove", "1", "--name", "a", "--count", "2", "--timeout", "5"}),
            "--count excludes --timeout");
  EXPECT_THAT(line_.Parse({"show", "f"}), FailsWith("usage"));  // no alternative
}

TEST_F(CommandLineTest, HelpAndVersionAreTextsToPrint) {
  EXPECT_EQ(line_.Parse({"--version"}).value(), "1.2\n");
  const std::string help = line_.Parse({"show", "--help"}).value();
  EXPECT_NE(help.find("--form TEXT:{text,hex}=text"), std::string::npos) << help;
  EXPECT_FALSE(v_.ran);
  EXPECT_EQ(line_.root().commands()[0].Help("prog"), help);
}

TEST_F(CommandLineTest, TheTreeCanBeWalked) {
  ASSERT_EQ(line_.root().commands().size(), 1U);
  const Command show = line_.root().commands()[0];
  EXPECT_EQ(show.name(), "show");
  EXPECT_EQ(show.text(), "Shows it");
  EXPECT_FALSE(show.requires_command());
  EXPECT_EQ(show.parent()->name(), "prog");
  std::string names;  // the alternatives have a --help too
  for (const OptionInfo& option : show.options()) names += option.name + (option.value ? "= " : " ");
  EXPECT_EQ(names, "--help --form= --name= --count= --pair= --timeout= --help --remove= ");
  EXPECT_EQ(show.options()[1].choices, (std::vector<std::string>{"text", "hex"}));
}

}  // namespace
}  // namespace assay
