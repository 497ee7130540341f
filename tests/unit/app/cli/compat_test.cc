#include "app/cli/compat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <map>

#include "app/cli/options.h"

namespace ferrotunnel::cli {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

constexpr const char* kSecret = "0123456789abcdef";

// The variables of one case, gone at its end.
class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {
    for (const auto& [name, value] : environment_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, value] : environment_) ::unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  Environment environment_;
};

std::string shown_value(const Arguments& arguments, std::string_view flag) {
  std::string text;
  for (const auto& value : arguments.values(flag)) text += (text.empty() ? "" : " | ") + value.text;
  return text;
}

// Their words, and what ours are then. "" is: not given.
struct Case {
  std::string what;
  Words words;
  Environment environment;
  std::map<std::string, std::string> ours;
};

class CliCompat : public testing::TestWithParam<Case> {};

TEST_P(CliCompat, IsTheSameInOurWords) {
  const Case& c = GetParam();
  const Variables variables(c.environment);
  const auto line = parse_arguments(c.words);
  ASSERT_TRUE(line) << line.error().context;
  for (const auto& [flag, value] : c.ours) EXPECT_EQ(shown_value(line->arguments, flag), value) << "--" << flag;
}

const Words kServer = {"server", "--token", kSecret};
const Words kClient = {"client", "--server", "h:7835", "--token", kSecret};
Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

INSTANTIATE_TEST_SUITE_P(
    Server, CliCompat,
    testing::Values(
        Case{"token", kServer, {}, {{"token", kSecret}, {"tls", "off"}, {"listen", ""}}},
        Case{"binds",
             with(kServer, {"--bind", "0.0.0.0:7835", "--http-bind=127.0.0.1:81"}),
             {},
             {{"listen", "0.0.0.0:7835"}, {"http-listen", "127.0.0.1:81"}}},
        Case{
            "bind_variables",
            {"server"},
            {{"FERROTUNNEL_TOKEN", kSecret}, {"FERROTUNNEL_BIND", "1.2.3.4:5"}, {"FERROTUNNEL_HTTP_BIND", "1.2.3.4:6"}},
            {{"token", kSecret}, {"tls", "off"}, {"listen", "1.2.3.4:5"}, {"http-listen", "1.2.3.4:6"}}},
        Case{"a_flag_wins_over_a_variable",
             {"server", "--bind", ":1"},
             {{"FERROTUNNEL_LISTEN", ":2"}},
             {{"listen", ":1"}}},
        Case{"our_variable_wins_over_theirs",
             {"server"},
             {{"FERROTUNNEL_LISTEN", ":2"}, {"FERROTUNNEL_BIND", ":1"}},
             {{"listen", ":2"}}},
        Case{"a_certificate_turns_tls_on",
             with(kServer, {"--tls-cert", "c", "--tls-key", "k"}),
             {},
             {{"tls", "on"}, {"tls-cert", "c"}}},
        Case{"tls_on_stays", with(kServer, {"--tls", "on"}), {}, {{"tls", "on"}}},
        Case{"client_certificates",
             with(kServer, {"--tls-cert", "c", "--tls-key", "k", "--tls-ca", "ca", "--tls-client-auth"}),
             {},
             {{"tls-client-ca", "ca"}}},
        Case{"client_certificates_by_variable",
             with(kServer, {"--tls-cert", "c", "--tls-key", "k"}),
             {{"FERROTUNNEL_TLS_CA", "ca"}, {"FERROTUNNEL_TLS_CLIENT_AUTH", "true"}},
             {{"tls-client-ca", "ca"}}},
        Case{"tcp_bind", with(kServer, {"--tcp-bind", "127.0.0.2:2222"}), {}, {{"tcp-listen-host", "127.0.0.2"}}},
        Case{"tcp_bind_6", with(kServer, {"--tcp-bind", "[::1]:2222"}), {}, {{"tcp-listen-host", "::1"}}},
        Case{"rust_log", kServer, {{"RUST_LOG", "info,ferrotunnel=trace"}}, {{"log-level", "debug"}}},
        Case{"rust_log_of_somebody_else", {"server"}, {{"RUST_LOG", "trace"}}, {{"log-level", ""}}},
        Case{"log_level_trace", with(kServer, {"--log-level", "trace"}), {}, {{"log-level", "debug"}}}),
    [](const auto& info) { return info.param.what; });

INSTANTIATE_TEST_SUITE_P(
    Client, CliCompat,
    testing::Values(
        Case{"local_address",
             with(kClient, {"--local-addr", "127.0.0.1:3000"}),
             {},
             {{"http", "http=127.0.0.1:3000"}, {"tls", "off"}, {"token", kSecret}}},
        Case{"its_default", kClient, {}, {{"http", "http=127.0.0.1:8000"}}},
        Case{"tunnel_id",
             with(kClient, {"--local-addr", "127.0.0.1:3000", "--tunnel-id", "my-app"}),
             {},
             {{"http", "http=127.0.0.1:3000,host=my-app"}}},
        Case{"all_by_variables",
             {"client"},
             {{"FERROTUNNEL_SERVER", "h:1"},
              {"FERROTUNNEL_TOKEN", kSecret},
              {"FERROTUNNEL_LOCAL_ADDR", "127.0.0.1:3000"},
              {"FERROTUNNEL_TUNNEL_ID", "my-app"},
              {"FERROTUNNEL_TLS", "true"},
              {"FERROTUNNEL_TLS_CA", "ca.pem"}},
             {{"server", "h:1"}, {"http", "http=127.0.0.1:3000,host=my-app"}, {"tls", "on"}, {"tls-ca", "ca.pem"}}},
        Case{"bare_tls_last", with(kClient, {"--tls"}), {}, {{"tls", "on"}}},
        Case{"bare_tls_before_a_flag",
             with(kClient, {"--tls", "--tls-ca", "ca.pem"}),
             {},
             {{"tls", "on"}, {"tls-ca", "ca.pem"}}},
        Case{"tls_on", with(kClient, {"--tls", "on"}), {}, {{"tls", "on"}}},
        Case{"tls_off", with(kClient, {"--tls", "off"}), {}, {{"tls", "off"}}},
        Case{"tls_variable_false", kClient, {{"FERROTUNNEL_TLS", "false"}}, {{"tls", "off"}}},
        Case{"a_tls_flag_turns_it_on",
             with(kClient, {"--tls-skip-verify"}),
             {},
             {{"tls", "on"}, {"tls-skip-verify", "on"}}},
        Case{"a_join_token",
             {"client", "--token", "ft1_x"},
             {},
             {{"join", "ft1_x"}, {"token", ""}, {"tls", ""}, {"http", ""}}},
        Case{"a_typed_join_wins_over_the_variable",
             {"client", "--join", "ft1_x", "--http", "a=1"},
             {{"FERROTUNNEL_TOKEN", kSecret}},
             {{"join", "ft1_x"}, {"token", ""}, {"tls", ""}, {"http", "a=1"}}},
        Case{"beside_ours",
             with(kClient, {"--http", "a=1", "--local-addr", "127.0.0.1:2"}),
             {},
             {{"http", "a=1 | http=127.0.0.1:2"}}},
        Case{"ours_alone", with(kClient, {"--tcp", "ssh=22"}), {}, {{"http", ""}, {"tcp", "ssh=22"}}},
        Case{"no_token_yet", {"client", "--server", "h:1"}, {}, {{"http", "http=127.0.0.1:8000"}, {"tls", ""}}},
        Case{"http_command",
             {"http", "8080", "--server", "h:1", "--token", kSecret},
             {},
             {{"token", kSecret}, {"tls", "off"}, {"http", ""}}}),
    [](const auto& info) { return info.param.what; });

std::string error_of(const Words& words, const Environment& environment = {}) {
  const Variables variables(environment);
  const auto line = parse_arguments(words);
  return line ? "(no error)" : line.error().context;
}

TEST(CliCompatErrors, SayWhatToDo) {
  EXPECT_THAT(error_of({"server", "--token", "secret"}), HasSubstr("openssl rand -hex 16"));
  EXPECT_THAT(error_of({"server", "--token", "secret"}), Not(HasSubstr("secret.")));
  EXPECT_THAT(error_of({"client", "--token", std::string(65, 'x')}), HasSubstr("65 bytes"));
  EXPECT_THAT(error_of({"server", "--token", "ft1_abc"}), HasSubstr("a join token is for clients"));
  EXPECT_THAT(error_of(with(kServer, {"--bind", ":1", "--listen", ":2"})), HasSubstr("--bind and --listen"));
  EXPECT_THAT(error_of(with(kServer, {"--tls-client-auth"})), HasSubstr("needs --tls-ca"));
  EXPECT_THAT(error_of(with(kServer, {"--tcp-bind", "2222"})), HasSubstr("is not IP:PORT"));
  EXPECT_THAT(error_of(with(kServer, {"--tcp-bind", "0.0.0.0:99999"})), HasSubstr("is not IP:PORT"));
  EXPECT_THAT(error_of(with(kServer, {"--grant", "a", "--secret-file", "f"})), HasSubstr("two ways to sign in"));
  EXPECT_THAT(error_of(with(kClient, {"--join", "ft1_x"})), HasSubstr("--token and --join"));
  EXPECT_THAT(error_of(with(kClient, {"--token-file", "f"})), HasSubstr("two ways to give the token"));
  EXPECT_THAT(error_of({"client", "--token-file", "/nonexistent/f"}), HasSubstr("/nonexistent/f"));
}

TEST(CliCompatNotes, SayInOneLineWhatDoesNothing) {
  const Variables variables({{"FERROTUNNEL_OBSERVABILITY", "true"}});
  const auto line = parse_arguments(with(kClient, {"--dashboard-port", "4040", "--no-dashboard"}));
  ASSERT_TRUE(line);
  ASSERT_EQ(line->notes.size(), 1u);
  EXPECT_EQ(
      line->notes[0],
      "accepted, and without effect in this version: --dashboard-port, --no-dashboard, FERROTUNNEL_OBSERVABILITY");
}

TEST(CliCompatNotes, SayThatAServerWithAToken_IsPlain) {
  const auto line = parse_arguments(kServer);
  ASSERT_TRUE(line);
  ASSERT_EQ(line->notes.size(), 1u);
  EXPECT_THAT(line->notes[0], HasSubstr("plain TCP"));
  EXPECT_TRUE(parse_arguments(with(kServer, {"--tls", "off"}))->notes.empty());
  EXPECT_TRUE(parse_arguments(with(kServer, {"--tls", "on"}))->notes.empty());
  EXPECT_TRUE(parse_arguments({"server"})->notes.empty());
}

TEST(CliCompat, TcpBindLeavesOnePortToTheToken) {
  const auto line = parse_arguments(with(kServer, {"--tcp-bind", "0.0.0.0:2222"}));
  ASSERT_TRUE(line);
  const auto options = server_options(line->arguments);
  ASSERT_TRUE(options) << options.error().context;
  ASSERT_EQ(options->config.grants.size(), 1u);
  EXPECT_EQ(options->config.grants[0].name, "default");
  EXPECT_EQ(options->config.grants[0].secrets, Words{kSecret});
  EXPECT_EQ(options->config.grants[0].ports, Words{"2222"});
  EXPECT_EQ(options->config.tcp_listen_host, "0.0.0.0");
}

TEST(CliCompat, AClientSignsInWithTheToken) {
  const auto line = parse_arguments(with(kClient, {"--tunnel-id", "my-app", "--tls", "--tls-server-name", "name"}));
  ASSERT_TRUE(line);
  const auto options = client_options(line->arguments, std::nullopt);
  ASSERT_TRUE(options) << options.error().context;
  EXPECT_EQ(options->config.grant, "default");
  EXPECT_EQ(options->config.tls, std::optional(true));
  EXPECT_EQ(options->config.tls_server_name, "name");
  ASSERT_EQ(options->config.tunnels.size(), 1u);
  EXPECT_EQ(options->config.tunnels[0].host, "my-app");
  EXPECT_EQ(options->config.tunnels[0].to, "127.0.0.1:8000");
}

TEST(CliCompat, RustLog) {
  EXPECT_EQ(level_of_rust_log("warn"), "warn");
  EXPECT_EQ(level_of_rust_log("trace"), "debug");
  EXPECT_EQ(level_of_rust_log("off"), "error");
  EXPECT_EQ(level_of_rust_log("info,ferrotunnel_core=debug,hyper=error"), "debug");
  EXPECT_EQ(level_of_rust_log("hyper=error"), std::nullopt);
  EXPECT_EQ(level_of_rust_log(""), std::nullopt);
}

}  // namespace
}  // namespace ferrotunnel::cli
