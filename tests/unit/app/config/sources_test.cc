// include, ${} and secrets.
#include "app/config/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/app/config/loading.h"

namespace ferrotunnel::app::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ConfigInclude, MoreFilesByNameAndByPattern) {
  Loading load;
  load.outside.files = {{"grants.d/b.toml", "[grants.b]\nsecret = \"0123456789abcdef\"\n"},
                        {"grants.d/a.toml", "[grants.a]\nsecret = \"0123456789abcdef\"\n"},
                        {"more.toml", "[server]\nthreads = 3\n"}};
  const auto config =
      load.server("include = [\"grants.d/*.toml\", \"more.toml\", \"none.d/*\"]\n[server]\nlisten = \":1\"\n");
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_EQ(config->listen, ":1");
  EXPECT_EQ(config->threads, 3u);
  ASSERT_EQ(config->grants.size(), 2u);
  EXPECT_EQ(config->grants[0].name, "a");
  EXPECT_EQ(config->grants[0].from, "grants.d/a.toml:1");
}

TEST(ConfigInclude, WhatWasReadIsToldToWhoeverWatchesIt) {
  Loading load;
  load.outside.files = {{"grants.d/a.toml", "[grants.a]\nsecret = { file = \"a.secret\" }\n"}};
  load.outside.secret_files = {{"grants.d/a.secret", std::string(kSecret)}};
  const auto config = load.server("include = [\"grants.d/*.toml\", \"*.none\"]\n");
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_THAT(config->program.read_from,
              ElementsAre(".", "grants.d/", "grants.d/a.secret", "grants.d/a.toml", "server.toml"));
}

TEST(ConfigInclude, ClashesNameBothPlaces) {
  Loading load;
  load.outside.files["more.toml"] = "[grants.a]\n[server]\nlisten = \":2\"\n[log]\nlevel = \"loud\"\n";
  EXPECT_EQ(load.server_errors(
                "include = \"more.toml\"\n[server]\nlisten = \":1\"\n[grants.a]\nsecret = \"0123456789abcdef\"\n"),
            "more.toml:1:9: grants.a is in server.toml:4 too; leave out one of the two\n"
            "more.toml:3:1: server.listen is in server.toml:3 too; leave out one of the two\n"
            "more.toml:5:1: log.level: one of \"error\", \"warn\", \"info\", \"debug\" is wanted, not \"loud\"");
}

TEST(ConfigInclude, CyclesDepthAndNumbers) {
  Loading load;
  load.outside.files["a.toml"] = "include = \"server.toml\"";
  EXPECT_EQ(load.server_errors("include = \"a.toml\""),
            "a.toml:1:1: server.toml is included by itself; leave it out here");
  EXPECT_EQ(load.server_errors("include = [\"b.toml\", 3]"),
            "server.toml:1:12: cannot read b.toml: No such file or directory\n"
            "server.toml:1:22: include: a file is wanted, not a whole number");
  // Twice is once.
  load.outside.files["a.toml"] = "[server]\nlisten = \":1\"";
  EXPECT_EQ(load.server_errors("include = [\"a.toml\", \"a.toml\", \"a*.toml\"]"), "");
  for (int i = 0; i < 9; ++i)
    load.outside.files["d" + std::to_string(i)] = "include = \"d" + std::to_string(i + 1) + "\"";
  load.outside.files["d8"] = "";
  EXPECT_EQ(load.server_errors("include = \"d1\""), "");
  load.outside.files["d8"] = "include = \"d9\"";
  load.outside.files["d9"] = "";
  EXPECT_EQ(load.server_errors("include = \"d1\""), "d8:1:1: d9: files are included more than 8 deep");
  for (int i = 0; i < 1'000; ++i) load.outside.files["many/" + std::to_string(i)] = "";
  EXPECT_EQ(load.server_errors("include = \"many/*\""), "server.toml:1:1: more than 1000 files");
}

TEST(ConfigInclude, AMissingFileOfTheUser) {
  FakeOutside outside;
  const auto config = load_server("nowhere.toml", outside);
  ASSERT_FALSE(config);
  EXPECT_EQ(to_text(config.error()), "nowhere.toml: cannot read nowhere.toml: No such file or directory");
}

TEST(ConfigVariables, FilledIn) {
  Loading load;
  load.outside.variables = {{"HOST", "eu.example.com"}, {"EMPTY", ""}, {"TRICK", "${HOST}"}};
  const auto address = [&](const std::string& text) {
    const auto config = load.server("[server]\nstate = \"/" + text + "\"\n");
    return config ? config->state_dir.substr(1) : to_text(config.error());
  };
  EXPECT_EQ(address("${HOST}"), "eu.example.com");
  EXPECT_EQ(address("a${HOST}b${EMPTY}c"), "aeu.example.combc");
  EXPECT_EQ(address("${NONE:-x}${EMPTY:-y}${HOST:-z}${NONE:-}"), "xyeu.example.com");
  EXPECT_EQ(address("$${HOST} $HOST $$ $"), "${HOST} $HOST $$ $");
  EXPECT_EQ(address("${TRICK}"), "${HOST}");
  EXPECT_EQ(address("${NONE}"),
            "server.toml:2:1: the environment has no variable NONE; set it, or write ${NONE:-default}");
  EXPECT_THAT(address("${HOST"), HasSubstr("\"${\" without its \"}\""));
  EXPECT_THAT(address("${1}"), HasSubstr("names no variable"));
  EXPECT_THAT(address("\\u0000"), HasSubstr("NUL"));
  load.outside.variables["BIG"] = std::string(70'000, 'x');
  EXPECT_THAT(address("${BIG}"), HasSubstr("too long"));
}

TEST(ConfigVariables, EveryOneThatIsMissingIsReported) {
  EXPECT_EQ(Loading().server_errors("[server]\npublic_address = [\"a\", \"${X}\"]\nstate = \"${Y}\"\n"),
            "server.toml:2:24: the environment has no variable X; set it, or write ${X:-default}\n"
            "server.toml:3:1: the environment has no variable Y; set it, or write ${Y:-default}");
}

class ConfigSecret : public testing::Test {
 protected:
  std::string secret(const std::string& source) {
    const auto config = load_.server("[grants.a]\nsecret = " + source + "\n");
    return config ? config->grants[0].secrets[0] : to_text(config.error());
  }
  Loading load_;
};

TEST_F(ConfigSecret, FromEachSource) {
  load_.outside.secret_files["/s"] = "\n  0123456789abcdef \r\n";
  load_.outside.variables["S"] = "fedcba9876543210";
  load_.outside.variables["WHERE"] = "/s";
  load_.outside.command = [](const auto&) { return std::string("from-the-command\n"); };
  EXPECT_EQ(secret("{ file = \"/s\" }"), kSecret);
  EXPECT_EQ(secret("{ file = \"${WHERE}\" }"), kSecret);
  EXPECT_EQ(secret("{ env = \"S\" }"), "fedcba9876543210");
  EXPECT_EQ(secret("\"${S}\""), "fedcba9876543210");
  EXPECT_EQ(secret("{ command = [\"pass\", \"a b\"] }"), "from-the-command");
  EXPECT_THAT(load_.outside.commands_run, ElementsAre(std::vector<std::string>{"pass", "a b"}));
}

TEST_F(ConfigSecret, StandsInNoFileThatOthersMayRead) {
  load_.outside.public_files = {"server.toml", "client.toml"};
  load_.outside.variables = {{"S", "0123456789abcdef"}, {"EMPTY", ""}};
  load_.outside.secret_files["/s"] = kSecret;
  const std::string wrong =
      "server.toml:2:1: grants.a.secret: a secret stands here, and others may read server.toml: chmod 600, or leave "
      "the "
      "secret in a file of its own: { file = \"...\" }";
  EXPECT_EQ(secret("\"0123456789abcdef\""), wrong);
  EXPECT_EQ(secret("\"${EMPTY:-0123456789abcdef}\""), wrong);
  EXPECT_EQ(secret("\"${S}x\""), wrong);
  EXPECT_EQ(secret("\"$${S}0123456789abcdef\""), wrong);
  EXPECT_EQ(secret("\" ${S}${EMPTY:-} \""), kSecret);
  EXPECT_EQ(secret("{ file = \"/s\" }"), kSecret);
  EXPECT_EQ(secret("{ env = \"S\" }"), kSecret);
  EXPECT_THAT(load_.server_errors("[grants.a]\nsecrets = [\"${S}\", \"fedcba9876543210\"]\n"),
              HasSubstr("server.toml:2:20: grants.a.secrets: a secret stands here"));
  EXPECT_THAT(load_.client_errors("[client]\ntoken = \"" + join_token() + "\"\n"),
              HasSubstr("client.toml:2:1: client.token: a secret stands here"));
  // It is the file that the secret is in which counts.
  load_.outside.files["private.toml"] = "[grants.a]\nsecret = \"0123456789abcdef\"\n";
  EXPECT_EQ(load_.server_errors("include = \"private.toml\"\n"), "");
}

TEST_F(ConfigSecret, Mistakes) {
  EXPECT_EQ(secret("{ file = \"/none\" }"),
            "server.toml:2:12: grants.a.secret: cannot read /none: No such file or directory");
  EXPECT_EQ(secret("{ env = \"NONE\" }"), "server.toml:2:12: grants.a.secret: the environment has no variable NONE");
  EXPECT_EQ(secret("{ command = [\"x\"] }"),
            "server.toml:2:12: grants.a.secret: cannot run x: No such file or directory");
  EXPECT_THAT(secret("{ command = \"x y\" }"), HasSubstr("a program and its arguments are wanted"));
  EXPECT_THAT(secret("{ command = [1] }"), HasSubstr("a program and its arguments are wanted"));
  EXPECT_THAT(secret("{ files = \"/x\" }"), HasSubstr("unknown key \"files\" of a secret; did you mean \"file\"?"));
  EXPECT_THAT(secret("{ file = \"/x\", env = \"X\" }"), HasSubstr("comes from one of file, env and command"));
  EXPECT_THAT(secret("{}"), HasSubstr("comes from one of file, env and command"));
  EXPECT_THAT(secret("{ file = 3 }"), HasSubstr("the path of a file is wanted"));
}

}  // namespace
}  // namespace ferrotunnel::app::config
