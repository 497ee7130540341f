#include "app/cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "app/cli/help.h"

namespace ferrotunnel::cli {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

// The environment of one test.
class CliOptions : public testing::Test {
 protected:
  CliOptions() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ft-options-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~CliOptions() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
    std::filesystem::remove_all(dir_);
  }
  void environment(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name) << text;
    std::filesystem::permissions(dir_ / name, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return (dir_ / name).string();
  }

  static Result<ServerOptions> server(const Words& words) {
    const auto line = parse_arguments(words);
    if (!line) return std::unexpected(line.error());
    return server_options(line->arguments);
  }
  static Result<ClientOptions> client(const Words& words, const std::optional<TokenStore>& store = std::nullopt) {
    const auto line = parse_arguments(words);
    if (!line) return std::unexpected(line.error());
    return client_options(line->arguments, store);
  }
  static std::string server_error(const Words& words) {
    const auto options = server(words);
    return options ? "(no error)" : options.error().context;
  }
  static std::string client_error(const Words& words) {
    const auto options = client(words);
    return options ? "(no error)" : options.error().context;
  }

  std::filesystem::path dir_;
  Words set_;
};

TEST_F(CliOptions, ServerDefaults) {
  const auto options = server({"server"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.listen, ":7835");
  EXPECT_EQ(options->config.http_listen, ":8080");
  EXPECT_TRUE(options->config.tls);
  EXPECT_EQ(options->config.threads, 0u);
  EXPECT_EQ(options->run.drain_timeout, std::chrono::seconds(10));
  EXPECT_EQ(options->run.log_format, LogFormat::Auto);
}

TEST_F(CliOptions, FlagWinsOverEnvironmentWinsOverDefault) {
  environment("FERROTUNNEL_LISTEN", ":1");
  environment("FERROTUNNEL_THREADS", "3");
  environment("FERROTUNNEL_HTTP_LISTEN", "");
  const auto options = server({"server", "--listen", ":2"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.listen, ":2");
  EXPECT_EQ(options->config.threads, 3u);
  EXPECT_EQ(options->config.http_listen, ":8080");
}

TEST_F(CliOptions, HttpCanBeTurnedOff) {
  EXPECT_EQ(server({"server", "--http-listen", "off"})->config.http_listen, "");
  EXPECT_EQ(server({"server", "--http-listen", ""})->config.http_listen, "");
  EXPECT_EQ(server({"server", "--http-listen="})->config.http_listen, "");
}

TEST_F(CliOptions, Https) {
  const auto options = server({"server", "--https-listen", ":443", "--https-cert", "c", "--https-key", "k",
                               "--certificates-dir", "/nowhere", "--https-redirect"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.https_listen, ":443");
  EXPECT_EQ(options->config.https_certificate, "c");
  EXPECT_EQ(options->config.https_key, "k");
  EXPECT_EQ(options->config.certificates_dir, "/nowhere");
  EXPECT_TRUE(options->config.https_redirect);
  EXPECT_THAT(options->run.files, testing::Contains("/nowhere")) << "it may come to be";
  EXPECT_EQ(server({"server"})->config.https_listen, "");
  EXPECT_EQ(server({"server", "--https-listen", "off"})->config.https_listen, "");
  EXPECT_THAT(server_error({"server", "--https-cert", "c"}), HasSubstr("--https-cert needs --https-key"));
}

TEST_F(CliOptions, AClientHasThreadsToo) {
  const auto options = client({"tcp", "22", "--join", "x", "--threads", "3"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.threads, 3u);
  EXPECT_EQ(client({"tcp", "22", "--join", "x"})->config.threads, 0u);
}

TEST_F(CliOptions, NumbersSizesAndTimes) {
  const auto options =
      server({"server", "--threads", "2", "--drain-timeout", "0.5", "--memory-limit", "64M", "--busy-poll-us", "70"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.threads, 2u);
  EXPECT_EQ(options->run.drain_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(options->config.memory_limit, 64u << 20);
  EXPECT_EQ(options->config.busy_poll, std::chrono::microseconds(70));
  for (const Words& wrong : {Words{"--threads", "x"},
                             {"--busy-poll-us", "1001"},
                             {"--threads", "-1"},
                             {"--threads", "9999"},
                             {"--threads", ""},
                             {"--drain-timeout", "1e9"},
                             {"--drain-timeout", "nan"},
                             {"--drain-timeout", "inf"},
                             {"--drain-timeout", "-1"},
                             {"--memory-limit", "M"},
                             {"--memory-limit", "0"},
                             {"--memory-limit", "99999999999999999999"},
                             {"--memory-limit", "9999G"}}) {
    EXPECT_THAT(server_error({"server", wrong[0], wrong[1]}), HasSubstr(wrong[0] + ": '")) << wrong[1];
  }
}

TEST_F(CliOptions, MistakesInTheEnvironmentNameTheVariable) {
  environment("FERROTUNNEL_THREADS", "many");
  EXPECT_THAT(server_error({"server"}), HasSubstr("FERROTUNNEL_THREADS: 'many'"));
}

TEST_F(CliOptions, ASecretWithoutAServerIsNamedAsItWasGiven) {
  const auto options = client({"http", "1", "--token-file", file("secret", "0123456789abcdef")});
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().context, testing::StartsWith("--token-file needs --server"));
}

TEST_F(CliOptions, MistypedNamesGetTheNearest) {
  EXPECT_THAT(server_error({"sever"}), HasSubstr("did you mean 'server'"));
  EXPECT_THAT(server_error({"htpp", "80"}), HasSubstr("did you mean 'http'"));
  EXPECT_THAT(server_error({"server", "--htp-listen", ":80"}), HasSubstr("did you mean --http-listen?"));
  EXPECT_THAT(server_error({"server", "--htp-listen=:80"}), HasSubstr("did you mean --http-listen?"));
  EXPECT_THAT(server_error({"server", "--lisetn", ":80"}), HasSubstr("did you mean --listen?"));
  EXPECT_THAT(server_error({"server", "--join", "x"}), HasSubstr("belongs to http, tcp, client"));
  EXPECT_THAT(server_error({"xyzzy"}), testing::Not(HasSubstr("did you mean")));
  EXPECT_THAT(server_error({std::string(100'000, 'x')}), HasSubstr("no command"));
}

TEST_F(CliOptions, KeysOfTheFileThatHaveNoFlag) {
  EXPECT_THAT(client_error({"http", "80", "--redirect", "/x"}),
              HasSubstr("has no flag --redirect; redirect is a key of configuration files alone"));
  EXPECT_THAT(server_error({"server", "--error-pages=x"}), HasSubstr("error_pages is a key of configuration files"));
  EXPECT_THAT(server_error({"server", "--properties", "x"}), testing::Not(HasSubstr("is a key")));
}

TEST_F(CliOptions, AFlagThatIsOnOrOffTakesNoText) {
  EXPECT_THAT(client_error({"http", "80", "--compress=foo"}),
              HasSubstr("--compress takes no value, such as 'foo': write --compress alone; which codings"));
  EXPECT_THAT(client_error({"http", "80", "--fail-fast=\x1b"}), HasSubstr("--fail-fast takes no value"));
  EXPECT_THAT(client_error({"http", "80", "--header", "--compress=foo", "--join", "x"}),
              testing::Not(HasSubstr("takes no value")));
}

TEST_F(CliOptions, WhatIsMissingOrTooMuch) {
  EXPECT_THAT(server_error({}), HasSubstr("which command?"));
  EXPECT_THAT(server_error({"server", "--listen"}), HasSubstr("--listen needs a value"));
  EXPECT_THAT(server_error({"server", "--listen", "--tls", "on"}), HasSubstr("--listen needs a value"));
  EXPECT_THAT(server_error({"server", "--listen", "a", "--listen", "b"}), HasSubstr("given twice"));
  EXPECT_THAT(server_error({"server", "more"}), HasSubstr("'more' is one argument too many"));
  EXPECT_THAT(server_error({"--listen", ":1"}), HasSubstr("the command comes first"));
  EXPECT_THAT(client_error({"http", "80", "81", "--join", "x"}), HasSubstr("'81' is one argument too many"));
  EXPECT_THAT(client_error({"http"}), HasSubstr("which service?"));
  EXPECT_THAT(client_error({"client", "--join", "x"}), HasSubstr("at least one --http"));
}

TEST_F(CliOptions, ErrorsAreWrongUseAndEscaped) {
  const auto options = server({"server", "--lis\x1b[31m"});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, ErrorCode::BadInput);
  EXPECT_EQ(options.error().context.find('\x1b'), std::string::npos);
}

TEST_F(CliOptions, PairsOfFlags) {
  EXPECT_THAT(server_error({"server", "--tls-cert", "f"}), HasSubstr("--tls-cert needs --tls-key"));
  EXPECT_THAT(server_error({"server", "--secret-file", "f"}), HasSubstr("--secret-file needs --grant"));
  EXPECT_THAT(server_error({"server", "--tls", "off", "--tls-client-ca", "f"}), HasSubstr("--tls off"));
  EXPECT_THAT(server_error({"server", "--tls", "maybe"}), HasSubstr("not on or off"));
  const auto options = server({"server", "--grant", "me", "--secret-file", file("secret", "0123456789abcdef\n")});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.grants.at(0).secrets.at(0), "0123456789abcdef");
}

TEST_F(CliOptions, OneTunnelCommands) {
  auto options = client({"http", "8080", "--host", "*.dev.test", "--name", "web", "--join", "ft1_x"});
  ASSERT_TRUE(options);
  ASSERT_EQ(options->config.tunnels.size(), 1u);
  EXPECT_EQ(options->config.tunnels[0].kind, TunnelConfig::Kind::Http);
  EXPECT_EQ(options->config.tunnels[0].name, "web");
  EXPECT_EQ(options->config.tunnels[0].to, "8080");
  EXPECT_EQ(options->config.tunnels[0].host, "*.dev.test");
  EXPECT_TRUE(options->keep_join);
  EXPECT_FALSE(options->config.tls);

  options = client({"tcp", "--port", "2222", "10.0.0.1:22", "--join", "ft1_x", "--no-save", "--tls", "off"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.tunnels[0].name, "tcp");
  EXPECT_EQ(options->config.tunnels[0].port, 2222);
  EXPECT_FALSE(options->keep_join);
  EXPECT_EQ(options->config.tls, false);
  EXPECT_THAT(client_error({"tcp", "22", "--port", "65536", "--join", "x"}),
              HasSubstr("--port: '65536' is not a number from 0 to 65535"));
}

TEST_F(CliOptions, SeveralTunnels) {
  const auto options = client({"client", "--join", "x", "--http", "a=8080,host=a.test", "--http=b=unix:/a,b=c", "--tcp",
                               "c=22,port=2222", "--tcp", "d=[::1]:5432"});
  ASSERT_TRUE(options);
  ASSERT_EQ(options->config.tunnels.size(), 4u);
  EXPECT_EQ(options->config.tunnels[0].host, "a.test");
  EXPECT_EQ(options->config.tunnels[1].to, "unix:/a,b=c");
  EXPECT_EQ(options->config.tunnels[2].port, 2222);
  EXPECT_EQ(options->config.tunnels[3].to, "[::1]:5432");
  for (const char* wrong : {"8080", "=8080", "a=", "a"})
    EXPECT_THAT(client_error({"client", "--join", "x", "--http", wrong}), HasSubstr("NAME=TARGET")) << wrong;
  EXPECT_THAT(client_error({"client", "--join", "x", "--tcp", "a=22,port=x"}), HasSubstr("not a port"));
}

TEST_F(CliOptions, ValuesWithBlanksAreLinesOfTheirVariable) {
  environment("FERROTUNNEL_HEADER", "X-A: b\n\n  X-C: d e\t\r\n");
  environment("FERROTUNNEL_RESPONSE_HEADER", "X-R: s");
  environment("FERROTUNNEL_WITH_HEADER", "X-B: yes");
  environment("FERROTUNNEL_BASIC_AUTH", "ann:correct horse\nbob:battery");
  environment("FERROTUNNEL_PATH", "/a /b");
  environment("FERROTUNNEL_JOIN", "ft1_x");
  const auto options = client({"http", "1"});
  ASSERT_TRUE(options);
  const TunnelConfig& tunnel = options->config.tunnels.at(0);
  EXPECT_THAT(tunnel.headers, testing::ElementsAre("X-B: yes"));
  EXPECT_THAT(tunnel.paths, testing::ElementsAre("/a", "/b"));
  TunnelConfig wanted;
  wanted.rules = {rules::basic_auth({"ann:correct horse", "bob:battery"}),
                  rules::set_request_headers({"X-A: b", "X-C: d e"}), rules::set_response_headers({"X-R: s"})};
  EXPECT_EQ(tunnel.rules, wanted.rules);
  EXPECT_THAT(help_of(*find_command("http")), HasSubstr("In the variable each is a"));
  EXPECT_THAT(help_of_all(), HasSubstr("one a line"));
}

TEST_F(CliOptions, RepeatedFlagsInTheEnvironmentAreSplitAtSpaces) {
  environment("FERROTUNNEL_HTTP", " a=1 b=2,host=b.test\t");
  environment("FERROTUNNEL_JOIN", "ft1_x");
  const auto options = client({"client"});
  ASSERT_TRUE(options);
  ASSERT_EQ(options->config.tunnels.size(), 2u);
  EXPECT_EQ(options->config.tunnels[1].host, "b.test");
  EXPECT_EQ(options->config.join, "ft1_x");
  EXPECT_FALSE(options->keep_join) << "what the environment says is there the next time too";
}

TEST_F(CliOptions, WhereTheTokenComesFrom) {
  const TokenStore store(dir_ / "kept/token");
  // The rest is looked at before anybody is sent to fetch one.
  EXPECT_THAT(client({"http", "80"}, store)->no_token, HasSubstr("ferrotunnel http 80 --join ft1_"));
  EXPECT_THAT(client({"http", "80", "--server", "a:1"}, store)->no_token, HasSubstr("--grant"));
  ASSERT_TRUE(store.save("ft1_kept"));
  EXPECT_EQ(client({"http", "80"}, store)->config.join, "ft1_kept");
  EXPECT_EQ(client({"http", "80", "--join", "ft1_flag"}, store)->config.join, "ft1_flag");
  EXPECT_EQ(client({"http", "80", "--join", "@" + file("token", " ft1_file\n")}, store)->config.join, "ft1_file");
  EXPECT_THAT(client_error({"http", "80", "--join", "@/none"}), HasSubstr("--join: cannot read /none"));
}

TEST_F(CliOptions, AGrantInsteadOfAToken) {
  const std::string secret = file("secret", "0123456789abcdef");
  const auto options =
      client({"http", "80", "--server", "a:1", "--server", "b:2", "--grant", "me", "--secret-file", secret});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->config.join, "");
  EXPECT_EQ(options->config.servers, (Words{"a:1", "b:2"}));
  EXPECT_THAT(client_error({"http", "80", "--grant", "me", "--secret-file", secret}), HasSubstr("--server HOST:PORT"));
  EXPECT_THAT(client_error({"http", "80", "--grant", "me", "--secret-file", secret, "--join", "x"}),
              HasSubstr("two ways"));
}

TEST_F(CliOptions, HelpNamesEveryFlagAndItsVariable) {
  for (const Command& command : commands()) {
    const auto line = parse_arguments({std::string(command.name), "--help"});
    ASSERT_TRUE(line);
    EXPECT_EQ(line->print, help_of(command));
    EXPECT_EQ(parse_arguments({"help", std::string(command.name)})->print, line->print);
    if (command.target.empty() || command.target == "TARGET")
      EXPECT_EQ(parse_arguments({std::string(command.name), "help"})->print, line->print) << command.name;
    for (const FlagGroup& group : command.groups) {
      for (const Flag& flag : group.flags) {
        EXPECT_THAT(line->print, HasSubstr("    --" + std::string(flag.name))) << command.name;
        // The brackets may stand at the beginning of a line.
        EXPECT_THAT(line->print, HasSubstr("[" + environment_name(flag) + "]")) << command.name;
      }
    }
    EXPECT_THAT(line->print, HasSubstr("EXIT STATUS"));
  }
  EXPECT_THAT(parse_arguments({"--help"})->print, HasSubstr("COMMANDS"));
}

}  // namespace
}  // namespace ferrotunnel::cli
