#include "app/cli/man.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "app/cli/commands.h"
#include "app/cli/completion.h"

namespace ferrotunnel::cli {
namespace {

using testing::HasSubstr;

// Every line that roff takes for a request is one that is meant.
TEST(CliMan, TextIsNeverARequest) {
  std::istringstream lines(man_page());
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('.') && !line.starts_with('\'')) continue;
    const std::string request = line.substr(0, line.find(' '));
    EXPECT_THAT((std::vector<std::string>{".TH", ".SH", ".SS", ".PP", ".TP", ".RS", ".RE", ".nf", ".fi", ".br", ".B",
                                          ".nh", ".ad", ".\\\""}),
                testing::Contains(request))
        << line;
  }
}

TEST(CliMan, HasEveryFlagOfEveryCommand) {
  const std::string page = man_page();
  for (const Command& command : commands())
    for (const FlagGroup& group : command.groups)
      for (const Flag& flag : group.flags) EXPECT_THAT(page, HasSubstr(environment_name(flag)));
}

TEST(CliCompletion, KnowsEveryFlagOfEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_of(shell);
    ASSERT_TRUE(script) << shell;
    const std::string dashes = std::string(shell) == "fish" ? "-l " : "--";
    for (const Command& command : commands())
      for (const FlagGroup& group : command.groups)
        for (const Flag& flag : group.flags) EXPECT_THAT(*script, HasSubstr(dashes + std::string(flag.name))) << shell;
  }
  EXPECT_FALSE(completion_of("tcsh"));
  EXPECT_FALSE(completion_of(""));
}

}  // namespace
}  // namespace ferrotunnel::cli
