#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config/sources.h"
#include "unit/app/config/loading.h"

namespace ferrotunnel::app::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kGrant = "secret = \"0123456789abcdef\"\n";

TEST(ConfigServer, AnEmptyFileIsTheDefaults) {
  const auto config = Loading().server("");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->listen, ":7835");
  EXPECT_EQ(config->http_listen, ":8080");
  EXPECT_TRUE(config->tls);
  EXPECT_TRUE(config->grants.empty());
  EXPECT_EQ(config->memory_limit, 256u << 20);
}

TEST(ConfigServer, EveryKeyOfHttpsReachesItsMember) {
  const auto config = Loading().server(R"(
[server]
https_listen = "127.0.0.1:443"
https_cert = "/c"
https_key = "/k"
certificates_dir = "/d"
http_tls_minimum = "1.3"
http2 = false
https_redirect = true
hsts = "365d"
[certificates.app]
certificate = "/app.pem"
key = "/app.key"
ocsp = "/app.ocsp"
client_ca = "/ca"
default = true
[certificates.other]
certificate = "/other.pem"
key = "/other.key"
)");
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_EQ(config->https_listen, "127.0.0.1:443");
  EXPECT_EQ(config->https_certificate, "/c");
  EXPECT_EQ(config->https_key, "/k");
  EXPECT_EQ(config->certificates_dir, "/d");
  EXPECT_EQ(config->http_tls_minimum, TlsMinimum::V13);
  EXPECT_FALSE(config->http2);
  EXPECT_TRUE(config->https_redirect);
  EXPECT_EQ(config->hsts, std::chrono::days(365));
  EXPECT_THAT(config->certificates,
              ElementsAre(HttpsCertificate{"app", "/app.pem", "/app.key", "/app.ocsp", "/ca", true},
                          HttpsCertificate{"other", "/other.pem", "/other.key", "", "", false}));
}

TEST(ConfigServer, HttpsIsOffUnlessItIsAsked) {
  const auto config = Loading().server("[server]\nhttps_listen = \"off\"\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->https_listen, "");
  EXPECT_TRUE(config->http2);
  EXPECT_EQ(config->http_tls_minimum, TlsMinimum::V12);
}

TEST(ConfigServer, EveryKeyReachesItsMember) {
  Loading load;
  load.outside.secret_files["/secrets/one"] = "  one-secret-of-16-bytes\n";
  const auto config = load.server(R"(
[server]
listen = "127.0.0.1:7000"
http_listen = "off"
tcp_listen_host = "127.0.0.1"
public_address = ["eu.example.com", "eu2.example.com:7000"]
state = "/var/lib/x"
tls = true
tls_cert = "/c"
tls_key = "/k"
tls_client_ca = "/ca"
trusted_proxies = "10.0.0.0/8"
threads = 3
busy_poll_us = 50
memory_limit = 1048576
max_visitors = 77
host_lease = 1.5
tcp_keepalive = "5m"
drain_timeout = 20
watch = true
[limits]
max_visitors = 1
max_visitors_per_address = 2
max_new_visitors_per_second = 3
bandwidth = "1K"
visitor_bandwidth = 5
idle_timeout = "250ms"
allow = ["192.0.2.0/24"]
deny = "192.0.2.7"
[grants.laptop]
secret = { file = "/secrets/one" }
hosts = ["*.example.com"]
ports = [2222, "3000-3010"]
expires = 2027-01-31
max_sessions = 4
max_tunnels = 5
max_tunnel_bytes = "8M"
max_streams = 6
bandwidth = "10M"
[log]
format = "json"
level = "debug"
)");
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_EQ(config->listen, "127.0.0.1:7000");
  EXPECT_EQ(config->http_listen, "");
  EXPECT_EQ(config->tcp_listen_host, "127.0.0.1");
  EXPECT_THAT(config->public_addresses, ElementsAre("eu.example.com", "eu2.example.com:7000"));
  EXPECT_EQ(config->state_dir, "/var/lib/x");
  EXPECT_EQ(config->tls_certificate, "/c");
  EXPECT_EQ(config->tls_key, "/k");
  EXPECT_EQ(config->tls_client_ca, "/ca");
  EXPECT_THAT(config->trusted_proxies, ElementsAre("10.0.0.0/8"));
  EXPECT_EQ(config->threads, 3u);
  EXPECT_EQ(config->busy_poll, std::chrono::microseconds(50));
  EXPECT_EQ(config->memory_limit, 1u << 20);
  EXPECT_EQ(config->max_visitors, 77u);
  EXPECT_EQ(config->host_lease, 1500ms);
  EXPECT_EQ(config->tcp_keepalive, 5min);
  EXPECT_EQ(config->program, (ProgramConfig{"json", "debug", 20s, true, {"/secrets/one", "server.toml"}}));
  EXPECT_EQ(config->tunnel_limits, (TunnelLimits{1, 2, 3, 1024, 5, 250ms, {"192.0.2.0/24"}, {"192.0.2.7"}}));
  ASSERT_EQ(config->grants.size(), 1u);
  const GrantOptions& grant = config->grants[0];
  EXPECT_EQ(grant.name, "laptop");
  EXPECT_EQ(grant.from, "server.toml:30");
  EXPECT_THAT(grant.secrets, ElementsAre("one-secret-of-16-bytes"));
  EXPECT_THAT(grant.hosts, ElementsAre("*.example.com"));
  EXPECT_THAT(grant.ports, ElementsAre("2222", "3000-3010"));
  EXPECT_EQ(grant.expires, std::chrono::sys_days(std::chrono::year(2027) / 1 / 31));
  EXPECT_EQ(grant.max_sessions, 4u);
  EXPECT_EQ(grant.max_tunnels, 5u);
  EXPECT_EQ(grant.max_tunnel_bytes, 8u << 20);
  EXPECT_EQ(grant.max_streams, 6u);
  EXPECT_EQ(grant.bandwidth, 10u << 20);
}

TEST(ConfigServer, AllMistakesAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(Loading().server_errors(R"([server]
  htp_listen = ":80"
listen = 7835
threads = 300
[grant.x]
[grants.a]
secret = "short"
hosts = ["ok.example.com", "not ok"]
ports = [0, "1-2"]
[grants."b c"]
secret = "0123456789abcdef"
[log]
level = "warning"
)"),
            R"(server.toml:2:3: unknown key "htp_listen" in [server]; did you mean "http_listen"?
server.toml:3:1: server.listen: a string is wanted, not a whole number
server.toml:4:1: server.threads: a whole number from 0 to 256 is wanted; 300 is none
server.toml:5:2: unknown table [grant]; did you mean "grants"?
server.toml:7:1: grants.a.secret: a secret has to have 16 to 64 bytes
server.toml:8:28: grants.a.hosts: 'not ok' is no host: write a name, *.example.com for all names under it, or *
server.toml:9:10: grants.a.ports: '0' is no port: write 2222, or 3000-3010 for a range
server.toml:10:9: a grant's name is 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -), not 'b c'
server.toml:13:1: log.level: one of "error", "warn", "info", "debug" is wanted, not "warning"; did you mean "warn"?)");
}

TEST(ConfigServer, WhatTheServerWouldRefuseHasItsPlace) {
  const auto said = [](const std::string& line) { return Loading().server_errors("[server]\n" + line); };
  EXPECT_THAT(said("listen = \"7835\""), HasSubstr("server.toml:2:1: server.listen: cannot listen on '7835'"));
  EXPECT_THAT(said("listen = \"7835x\""),
              HasSubstr("server.toml:2:1: server.listen: cannot listen on '7835x': write :PORT"));
  EXPECT_EQ(said("listen = \"127.0.0.1\""), "");
  EXPECT_THAT(said("http_listen = \"nowhere.example:80\""), HasSubstr("server.toml:2:1: server.http_listen: "));
  EXPECT_THAT(said("tcp_listen_host = \"a b\""), HasSubstr("server.toml:2:1: server.tcp_listen_host: "));
  EXPECT_THAT(said("public_address = [\"a\", \":1\"]"), HasSubstr("server.toml:2:24: server.public_address: "));
  EXPECT_THAT(said("trusted_proxies = [\"10.0.0.0/33\"]"), HasSubstr("server.toml:2:20: server.trusted_proxies: "));
  EXPECT_THAT(said("memory_limit = \"1K\""), HasSubstr("a size from 1M to 1024G is wanted"));
  EXPECT_THAT(said("busy_poll_us = 1001"), HasSubstr("a whole number from 0 to 1000 is wanted"));
  EXPECT_THAT(said("host_lease = \"25h\""), HasSubstr("a duration from 0 to 24h is wanted"));
  EXPECT_THAT(said("tls_cert = \"x\""), HasSubstr("server.toml:2:1: server.tls_cert needs tls_key beside it"));
  EXPECT_THAT(said("tls = false\ntls_client_ca = \"x\""),
              HasSubstr("server.toml:3:1: server.tls_client_ca has nothing"));
  EXPECT_THAT(Loading().server_errors("[limits]\nallow = [\"300.1.1.1\"]"),
              HasSubstr("server.toml:2:10: limits.allow: "));
}

TEST(ConfigServer, WhatIsOfHttpsAloneIsSaidAtOnceAndWhereItStands) {
  EXPECT_EQ(Loading().server_errors("[server]\nthreads = 300\nhttps_listen = \":443\"\nhttp_tls_minimum = \"1.1\"\n"),
            "server.toml:2:1: server.threads: a whole number from 0 to 256 is wanted; 300 is none\n"
            "server.toml:3:1: server.https_listen needs a certificate: https_cert and https_key, [certificates.NAME], "
            "or certificates_dir\n"
            "server.toml:4:1: server.http_tls_minimum: one of \"1.2\", \"1.3\" is wanted, not \"1.1\"; did you mean "
            "\"1.2\"?");
  const std::string idle = Loading().server_errors(
      "[server]\nhttps_redirect = true\nhsts = \"1d\"\ncertificates_dir = \"d\"\nhttps_cert = \"c\"\nhttps_key = "
      "\"k\"\n[certificates.a]\ncertificate = \"c\"\nkey = \"k\"\n");
  for (const std::string place : {"2:1: server.https_redirect", "3:1: server.hsts", "4:1: server.certificates_dir",
                                  "5:1: server.https_cert", "6:1: server.https_key"})
    EXPECT_THAT(idle, HasSubstr("server.toml:" + place + " has nothing to do without https_listen"));
  EXPECT_THAT(idle, HasSubstr(": [certificates.a] has nothing to do without https_listen"));
  EXPECT_EQ(Loading().server_errors("[server]\nhttps_redirect = false\nhsts = 0\nhttps_listen = \"off\"\n"), "");
}

TEST(ConfigServer, PagesThatAreNotThereAreSaidWithTheirPlace) {
  Loading loading;
  loading.outside.bad_files.insert("pages");
  EXPECT_EQ(loading.server_errors("[server]\nerror_pages = \"pages\"\n"),
            "server.toml:2:1: server.error_pages: pages cannot be read, or is empty");
}

TEST(ConfigServer, AGrantNeedsItsSecretOnce) {
  EXPECT_EQ(Loading().server_errors("[grants.a]\n"),
            "server.toml:1:9: grants.a needs a secret: secret = { file = \"...\" }");
  EXPECT_THAT(Loading().server_errors("[grants.a]\n" + kGrant + "secrets = [\"0123456789abcdef\"]"),
              HasSubstr("server.toml:3:1: grants.a has secret and secrets"));
  EXPECT_THAT(Loading().server_errors("[grants.a]\nsecrets = []"), HasSubstr("one or two secrets is wanted, not 0"));
  EXPECT_THAT(Loading().server_errors("[grants]\n" + kGrant),
              HasSubstr("\"secret\" is a key of one of [grants]: write [grants.NAME] above it"));
  EXPECT_THAT(Loading().server_errors("[[grants]]\n" + kGrant), HasSubstr("write [grants.NAME] for each"));
}

TEST(ConfigServer, DatesOfGrants) {
  const auto expires = [](const std::string& date) {
    return Loading().server("[grants.a]\n" + kGrant + "expires = " + date);
  };
  using std::chrono::sys_days, std::chrono::year;
  EXPECT_EQ(expires("2027-01-31T18:00:00+01:00")->grants[0].expires, sys_days(year(2027) / 1 / 31) + 17h);
  EXPECT_THAT(to_text(expires("2027-01-31T18:00:00").error()), HasSubstr("without a zone"));
  EXPECT_THAT(to_text(expires("\"30d\"").error()), HasSubstr("a date without quotes is wanted"));
  EXPECT_THAT(to_text(expires("9999-01-01").error()), HasSubstr("a date from 1970 to 2261 is wanted"));
}

TEST(ConfigServer, AFileOfTheOtherKind) {
  EXPECT_EQ(Loading().server_errors("[client]\n[tunnels.a]\n"),
            "server.toml: this is a client's file; a server's has [server] and [grants.NAME]");
  EXPECT_EQ(Loading().client_errors("[grants.a]\n"),
            "client.toml: this is a server's file; a client's has [client] and [tunnels.NAME]");
  EXPECT_EQ(Loading().server_errors("[server]\n[client]\n"),
            "server.toml:2:2: [client] belongs in a client's file; this one is read as a server's");
}

TEST(ConfigServer, KeysInTheWrongPlace) {
  EXPECT_EQ(Loading().server_errors("listen = \":1\"\n"),
            "server.toml:1:1: unknown key \"listen\" at the top of the file; it belongs in [server]");
  EXPECT_THAT(Loading().server_errors("[server]\ninclude = \"x\"\n"), HasSubstr("belongs at the top of the file"));
  EXPECT_THAT(Loading().server_errors("[log]\nhttp_listen = \"x\"\n"), HasSubstr("it belongs in [server]"));
  EXPECT_THAT(Loading().server_errors("server = 3\n"), HasSubstr("server is a table, not a whole number"));
}

TEST(ConfigServer, MistakesInTheSyntaxDoNotHideTheOthers) {
  const std::string said =
      Loading().server_errors("[server]\nlisten = :7835\nthreads = -1\nlisten = \":1\"\nlisten = \":2\"\n");
  EXPECT_THAT(said, HasSubstr("server.toml:2:"));
  EXPECT_THAT(said, HasSubstr("not TOML: "));
  EXPECT_THAT(said, HasSubstr("server.toml:3:1: server.threads"));
  EXPECT_THAT(said, HasSubstr("server.toml:5:1: \"listen\" stands here a second time"));
  // What is missing may have been in the line that could not be read.
  EXPECT_THAT(Loading().server_errors("[grants.a]\nsecret = \"0123\n"), testing::Not(HasSubstr("needs a secret")));
  const std::string open = Loading().server_errors("[server\nlisten = 1\n");
  EXPECT_THAT(open, testing::Not(HasSubstr("unknown")));
  EXPECT_THAT(open, testing::Not(HasSubstr("\\")));
  EXPECT_THAT(open, HasSubstr("the end of the line"));
}

TEST(ConfigServer, TextFromTheFileIsCleanedBeforeAPersonSeesIt) {
  EXPECT_EQ(Loading().server_errors("[\"\\u001b[31mred\\n\"]\n"), "server.toml:1:2: unknown table [?[31mred?]");
}

TEST(ConfigServer, DeepNestingIsRefusedWithoutRecursion) {
  std::string deep(200'000, '[');
  EXPECT_THAT(Loading().server_errors("x = " + deep), HasSubstr("server.toml:1:21: brackets or a dotted key nested"));
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  EXPECT_THAT(Loading().server_errors(dots + " = 1"), HasSubstr("nested more than 16 deep"));
}

TEST(ConfigServer, AQuoteBehindAWordIsRefusedBeforeTheLibrarySeesIt) {
  for (const std::string value : {"7\"\xd1\x9c\"", "2027-01-01 \"\xd1\x9c\"", "\"a\"'\xd1\x9c'", "tcp'\xd1\x9c"})
    EXPECT_THAT(Loading().server_errors("[server]\nlisten = " + value), HasSubstr("server.toml:2:")) << value;
  EXPECT_EQ(Loading().server_errors("[server]\nlisten = 7\"x\""),
            "server.toml:2:11: a quote in the middle of a value or name: put all of it in quotes");
  // Where a string may begin.
  EXPECT_EQ(Loading().server_errors("\"server\" . 'listen'\t=\t\":1\" # 'c\n[ \"grants\".'a' "
                                    "]\nsecret = \"\"\"\nlong enough, it is\"\"\""),
            "");
}

TEST(ConfigServer, LimitsAreHeld) {
  EXPECT_THAT(Loading().server_errors(std::string(kMaxFile + 1, '\n')), HasSubstr("more than 1024 KiB"));
  std::string many = "[server]\n";
  for (int i = 0; i < 1'500; ++i) many += "k" + std::to_string(i) + " = 1\n";
  const auto config = Loading().server(many);
  ASSERT_FALSE(config);
  ASSERT_EQ(config.error().size(), kMaxErrors + 1);
  EXPECT_EQ(config.error().back().text, "and 500 more mistakes");
  std::string grants;
  for (std::size_t i = 0; i <= kMaxGrants; ++i) grants += "[grants.g" + std::to_string(i) + "]\n" + kGrant;
  EXPECT_THAT(Loading().server_errors(grants), HasSubstr("more than 10000 grants"));
}

}  // namespace
}  // namespace ferrotunnel::app::config
