#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config/tunnels.h"
#include "unit/app/config/loading.h"

namespace ferrotunnel::app::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = TunnelConfig::Kind;

TunnelConfig one(const std::string& keys) {
  const auto config = Loading().client("[tunnels.x]\n" + keys);
  EXPECT_TRUE(config) << to_text(config.error());
  return config && config->tunnels.size() == 1 ? config->tunnels[0] : TunnelConfig{};
}
std::string said(const std::string& keys) { return Loading().client_errors("[tunnels.x]\n" + keys); }

TEST(ConfigClient, EveryKeyReachesItsMember) {
  const auto config = Loading().client(R"(
[client]
server = ["a.example.com", "b.example.com:7000"]
grant = "laptop"
token = " 0123456789abcdef "
tls = true
tls_ca = "/ca"
tls_cert = "/c"
tls_key = "/k"
tls_server_name = "eu"
tls_skip_verify = true
origin_timeout = "250ms"
memory_limit = "2M"
threads = 3
busy_poll_us = 1000
fail_fast = true
control_socket = "/run/c.sock"
drain_timeout = "1h"
watch = true
[tunnels.web]
to = "http://127.0.0.1:8080"
url = "http://app.example.com"
[tunnels.ssh]
to = "22"
url = "tcp://:2222"
proxy_protocol = "v2"
max_visitors = 1
max_visitors_per_address = 2
max_new_visitors_per_second = 3
bandwidth = "1G"
visitor_bandwidth = "5k"
idle_timeout = 6
allow = ["192.0.2.0/24"]
deny = ["192.0.2.7"]
)");
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_THAT(config->servers, ElementsAre("a.example.com", "b.example.com:7000"));
  EXPECT_EQ(config->grant, "laptop");
  EXPECT_EQ(config->secret, kSecret);
  EXPECT_EQ(config->join, "");
  EXPECT_EQ(config->tls, true);
  EXPECT_EQ(config->tls_ca, "/ca");
  EXPECT_EQ(config->tls_certificate, "/c");
  EXPECT_EQ(config->tls_key, "/k");
  EXPECT_EQ(config->tls_server_name, "eu");
  EXPECT_TRUE(config->tls_skip_verify);
  EXPECT_EQ(config->origin_connect_timeout, 250ms);
  EXPECT_EQ(config->memory_limit, 2u << 20);
  EXPECT_EQ(config->threads, 3u);
  EXPECT_EQ(config->busy_poll, std::chrono::milliseconds(1));
  EXPECT_TRUE(config->fail_fast);
  EXPECT_EQ(config->control_socket, "/run/c.sock");
  EXPECT_EQ(config->program, (ProgramConfig{"auto", "info", 1h, true, {"/c", "/ca", "/k", "client.toml"}}));
  ASSERT_EQ(config->tunnels.size(), 2u);
  EXPECT_EQ(config->tunnels[0],
            (TunnelConfig{Kind::Http, "web", "http://127.0.0.1:8080", "app.example.com", 0, ProxyProtocol::Off, {}}));
  const TunnelLimits limits{1, 2, 3, 1u << 30, 5u << 10, 6s, {"192.0.2.0/24"}, {"192.0.2.7"}};
  EXPECT_EQ(config->tunnels[1], (TunnelConfig{Kind::Tcp, "ssh", "22", "", 2222, ProxyProtocol::V2, limits}));
}

TEST(ConfigClient, TheKindOfATunnel) {
  EXPECT_EQ(one("to = \"8080\"").kind, Kind::Http);
  EXPECT_EQ(one("to = \"8080\"\nurl = \"tcp://\"").kind, Kind::Tcp);
  EXPECT_EQ(one("to = \"tcp://127.0.0.1:22\"").kind, Kind::Tcp);
  EXPECT_EQ(one("to = \"unix:/run/x\"").kind, Kind::Http);
  EXPECT_EQ(one("to = \"unix:/run/x\"\nurl = \"tcp://:22\"").port, 22);
  EXPECT_EQ(one("to = \"./dist\"\nurl = \"http://\"").host, "");
  EXPECT_EQ(one("to = \"80\"\nurl = \"http://*.dev.example.com/\"").host, "*.dev.example.com");
  EXPECT_THAT(said("to = \"http://127.0.0.1:80\"\nurl = \"tcp://:80\""), HasSubstr("client.toml:2:1: tunnels.x.to: "));
}

TEST(ConfigClient, UrlsThatAreNone) {
  const auto url = [](const std::string& text) { return said("to = \"80\"\nurl = \"" + text + "\""); };
  EXPECT_THAT(url("http://a.example.com/x"),
              HasSubstr("client.toml:3:1: tunnels.x.url: 'http://a.example.com/x' has a path"));
  EXPECT_THAT(url("http://a.example.com:80"), HasSubstr("has a port"));
  EXPECT_THAT(url("http://a b"), HasSubstr("client.toml:3:1: tunnels.x.url: "));
  EXPECT_THAT(url("tcp://host:80"), HasSubstr("has a host"));
  EXPECT_THAT(url("tcp://:99999"), HasSubstr("has no port"));
  EXPECT_THAT(url("https://a.example.com"), HasSubstr("is the server's to say"));
  EXPECT_THAT(url("a.example.com"), HasSubstr("neither http://HOST nor tcp://:PORT"));
  EXPECT_THAT(said("to = \"h2c://localhost:80\"\nproxy_protocol = \"v1\""),
              HasSubstr("client.toml:3:1: tunnels.x.proxy_protocol: this tunnel shares a service that speaks HTTP/2"));
  EXPECT_TRUE(one("to = \"80\"\nurl = \"http://a.test\"\nconnect = true").connect);
  EXPECT_FALSE(one("to = \"80\"\nurl = \"http://a.test\"").connect);
  EXPECT_THAT(said("to = \"80\"\nurl = \"tcp://:80\"\nconnect = true"),
              HasSubstr("client.toml:4:1: tunnels.x.connect: this is a tcp tunnel"));
  EXPECT_EQ(said("url = \"tcp://\""),
            "client.toml:1:10: tunnels.x needs its local service: to = \"http://127.0.0.1:8080\"");
}

TEST(ConfigClient, NobodyHearsOfATunnelThatIsNotHis) {
  for (const std::string keys :
       {"paths = [\"api\"]", "hosts = [\"a b\"]", "methods = [\"G T\"]", "headers = [\":\"]", "carry = \"direct\"",
        "to = \"h2x://a\"", "origin_tls_ca = \"x\"", "origin_tls_server_name = \"x\"", "url = \"http://a b\""}) {
    const std::string told = said((keys.starts_with("to") ? "" : "to = \"80\"\n") + keys);
    EXPECT_NE(told, "") << keys;
    EXPECT_THAT(told, testing::Not(HasSubstr("probe"))) << keys;
  }
  EXPECT_EQ(said("to = \"80\"\npaths = [\"api\"]"),
            "client.toml:3:10: tunnels.x.paths: 'api' is no path: write it as /api, without %2F, ';' and '?'");
  EXPECT_THAT(said("to = \"h2://x\""), HasSubstr("http://, https://, h2c:// or h2s:// is asked for"));
}

TEST(ConfigClient, WhatIsWrongWithARuleHasThePlaceOfItsKey) {
  EXPECT_EQ(said("to = \"80\"\nadd_prefix = \"/x\"\nredirect_status = 301"),
            "client.toml:4:1: tunnels.x.redirect_status says how, and redirect is missing beside it");
  EXPECT_THAT(said("to = \"80\"\ncors_credentials = true"),
              HasSubstr("client.toml:3:1: tunnels.x.cors_credentials says"));
  EXPECT_THAT(said("to = \"80\"\nmax_body = \"1M\"\nstrip_prefix = \"x\""), HasSubstr("client.toml:4:1: tunnels.x: "));
  EXPECT_THAT(said("to = \"80\"\nredirect = \"/a\"\nanswer = \"b\""),
              HasSubstr("client.toml:4:1: tunnels.x: redirect and answer stand in one table"));
  EXPECT_THAT(said("to = \"80\"\n[[tunnels.x.rules]]\npaths = [\"/a\"]\nanswer_status = 404\nredirect = \"/a\""),
              HasSubstr("client.toml:6:1: tunnels.x.rules: redirect and answer_status stand in one table"));
  EXPECT_EQ(said("to = \"80\"\nredirect = \"/a\"\n[[tunnels.x.rules]]\npaths = [\"/a\"]\nanswer = \"b\""), "");
  EXPECT_EQ(said("to = \"80\"\ncompress = [\"gzp\"]"),
            "client.toml:3:13: tunnels.x.compress: 'gzp' is no coding that this can make: gzip, zstd or br; did you "
            "mean \"gzip\"?");
}

TEST(ConfigClient, CompressMinBesideNoCompress) {
  EXPECT_EQ(said("to = \"80\"\ncompress = false\ncompress_min = \"4K\""),
            "client.toml:4:1: tunnels.x.compress_min says how, and compress beside it says not at all");
  EXPECT_THAT(said("to = \"80\"\n[[tunnels.x.rules]]\ncompress_min = 1\ncompress = false\nmax_body = 1"),
              HasSubstr("client.toml:4:1: tunnels.x.rules.compress_min says how"));
  EXPECT_EQ(said("to = \"80\"\ncompress_min = \"4K\""), "");
  EXPECT_EQ(said("to = \"80\"\ncompress = true\ncompress_min = \"4K\""), "");
}

TEST(ConfigClient, WhatIsTooMuchForAServerHasItsPlace) {
  const auto list = [](const std::string& text, std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += (i == 0 ? "\"" : ", \"") + text + std::to_string(i) + "\"";
    return "[" + all + "]";
  };
  const auto old_urls = [&](std::size_t count) {
    return said("to = \"80\"\n[[tunnels.x.rules]]\nredirect = \"/new\"\nmax_body = 1\npaths = " + list("/old/", count));
  };
  EXPECT_EQ(old_urls(64), "");
  EXPECT_EQ(old_urls(65), "client.toml:6:1: tunnels.x.rules.paths: it has 65 paths, and may have 64") << "once";
  EXPECT_EQ(said("to = \"80\"\nset_response_headers = " + list("X-A: ", 257)),
            "client.toml:3:1: tunnels.x: response_headers: it has 257 values, and may have 256");
  EXPECT_EQ(
      said("to = \"80\"\n[[tunnels.x.rules]]\nmax_body = 1\nheaders = [\"Cookie: " + std::string(1020, 'a') + "\"]"),
      "client.toml:5:1: tunnels.x.rules.headers: one of its headers has more than 1024 bytes");
  // All together, at the table.
  std::string rules;
  for (int i = 0; i < 65; ++i) rules += "[[tunnels.x.rules]]\nmax_body = " + std::to_string(i) + "\n";
  EXPECT_EQ(said("to = \"80\"\n" + rules), "client.toml:1:10: the tunnel x: a tunnel has at most 64 rules, not 65");
  const std::string long_path = "/" + std::string(999, 'p');
  EXPECT_EQ(said("to = \"80\"\nurl = \"http://a.test\"\npaths = [\"" + long_path + "\"]"), "");
  EXPECT_EQ(said("to = \"80\"\n[[tunnels.x.rules]]\nmax_body = 1\npaths = [\"" + long_path + "\"]"), "");
  EXPECT_EQ(said("to = \"80\"\nurl = \"http://a.test\"\npaths = [\"" + long_path + "pppppp\"]"),
            "client.toml:1:10: the tunnel x: its host and its first path make a URL of more than 1024 bytes");
}

TEST(ConfigClient, AFileOfAuthoritiesIsLookedAt) {
  Loading loading;
  loading.outside.bad_files.insert("visitors.pem");
  EXPECT_EQ(loading.client_errors("[tunnels.x]\nto = \"80\"\nclient_ca = \"visitors.pem\""),
            "client.toml:3:1: tunnels.x.client_ca: visitors.pem cannot be read, or is empty");
  EXPECT_EQ(loading.client_errors("[tunnels.x]\nto = \"80\"\nclient_ca = \"other.pem\""), "");
}

TEST(ConfigClient, RangesAreATunnelAPort) {
  const auto config = Loading().client("[tunnels.game]\nto = \"tcp://[::1]:3000-3002\"\nurl = \"tcp://:4000-4002\"\n");
  ASSERT_TRUE(config) << to_text(config.error());
  ASSERT_EQ(config->tunnels.size(), 3u);
  EXPECT_EQ(config->tunnels[0].name, "game-4000");
  EXPECT_EQ(config->tunnels[0].to, "tcp://[::1]:3000");
  EXPECT_EQ(config->tunnels[2].name, "game-4002");
  EXPECT_EQ(config->tunnels[2].to, "tcp://[::1]:3002");
  EXPECT_EQ(config->tunnels[2].port, 4002);
  EXPECT_THAT(said("to = \"1-3\"\nurl = \"tcp://:1-4\""),
              HasSubstr("to has 3 ports and url 4 ports; ranges have to be equally"));
  EXPECT_THAT(said("to = \"1\"\nurl = \"tcp://:1-4\""), HasSubstr("to has one port and url 4 ports"));
  EXPECT_THAT(said("to = \"1-3\"\nurl = \"tcp://\""), HasSubstr("to has 3 ports and url none"));
  EXPECT_THAT(said("to = \"1-1001\"\nurl = \"tcp://:1-1001\""), HasSubstr("at most 1000 ports"));
  EXPECT_EQ(Loading().client("[tunnels.x]\nto = \"1-1000\"\nurl = \"tcp://:1-1000\"")->tunnels.size(), 1'000u);
}

TEST(ConfigClient, TwoTunnelsWithOneAddress) {
  EXPECT_EQ(
      Loading().client_errors(
          "[tunnels.a]\nto = \"1\"\nurl = \"tcp://:80\"\n[tunnels.b]\nto = \"2\"\nurl = \"tcp://:79-80\"\n"
          "[tunnels.c]\nto = \"1\"\nurl = \"http://x.example.com\"\n[tunnels.d]\nto = \"2\"\n"
          "url = \"http://X.example.com\"\n"),
      "client.toml:6:1: tunnels.b.url: to has one port and url 2 ports; ranges have to be equally long\n"
      "client.toml:12:1: tunnels.d: the host X.example.com is that of tunnels.c (client.toml:9) too; it can lead to "
      "one of them only");
  EXPECT_THAT(Loading().client_errors(
                  "[tunnels.a]\nto = \"1\"\nurl = \"tcp://:80\"\n[tunnels.b]\nto = \"1-2\"\nurl = \"tcp://:80-81\"\n"),
              HasSubstr("client.toml:6:1: tunnels.b: port 80 is that of tunnels.a (client.toml:3) too"));
  EXPECT_THAT(
      Loading().client_errors("[tunnels.a-80]\nto = \"1\"\n[tunnels.a]\nto = \"1-1\"\nurl = \"tcp://:80-80\"\n"),
      HasSubstr("the name a-80 is that of tunnels.a-80"));
}

TEST(ConfigClient, NamesAndServicesOfTunnels) {
  EXPECT_THAT(Loading().client_errors("[tunnels.\"a b\"]\nto = \"1\"\n"),
              HasSubstr("client.toml:1:10: a tunnel's name is"));
  EXPECT_THAT(Loading().client_errors("[tunnels.\"\"]\nto = \"1\"\n"),
              HasSubstr("client.toml:1:10: a tunnel's name is"));
  EXPECT_THAT(said("to = \"127.0.0.1:99999\""),
              HasSubstr("client.toml:2:1: tunnels.x.to: '127.0.0.1:99999' is not a local service"));
  EXPECT_THAT(said("to = \"1\"\nallow = [\"all\", \"x\"]"), HasSubstr("client.toml:3:17: tunnels.x.allow: "));
}

TEST(ConfigClient, TokensAndGrants) {
  const auto client = [](const std::string& keys) { return Loading().client_errors("[client]\n" + keys); };
  const auto config = Loading().client("[client]\ntoken = \"" + join_token() + "\"\n");
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_EQ(config->join, join_token());
  EXPECT_EQ(config->secret, "");
  EXPECT_THAT(client("token = \"ft1_nonsense\""), HasSubstr("client.toml:2:1: client.token: "));
  EXPECT_THAT(client("token = \"0123456789abcdef\""), HasSubstr("client.token is no join token (ft1_…)"));
  EXPECT_THAT(client("grant = \"g\""), HasSubstr("client.toml:2:1: client.grant needs its secret beside it"));
  EXPECT_THAT(client("grant = \"g\"\ntoken = \"short\"\nserver = \"x\""), HasSubstr("client.toml:3:1: client.token: "));
  EXPECT_THAT(client("token = \"" + join_token() + "\"\ngrant = \"g\""), HasSubstr("client.toml:3:1: client.grant: "));
  EXPECT_THAT(client("token = \"" + join_token() + "\"\ntls = false"), HasSubstr("client.toml:2:1: client.token: "));
  EXPECT_THAT(client("server = [\"x\", \"a:b:c\"]"), HasSubstr("client.toml:2:16: client.server: "));
  EXPECT_THAT(client("token = \"\""), HasSubstr("there is nothing in it"));
  // Whatever else is wrong.
  EXPECT_THAT(client("token = \"ft1_nonsense\"\n[tunnel.x]"), HasSubstr("client.toml:2:1: client.token: "));
  // A token may come from elsewhere: a flag, or the one that was kept.
  EXPECT_EQ(client("server = \"x\""), "");
}

TEST(ConfigClient, NoErrorTellsASecret) {
  for (const std::string text :
       {"[client]\ntoken = \"tell-nobody\"\n", "[client]\ngrant = \"g\"\ntoken = \"tell-nobody\"\n",
        "[client]\ntoken = \"ft1_tell-nobody\"\n", "[client]\ntoken = \"ft1_tell-nobody\"\ngrant = \"g\"\n"}) {
    const std::string errors = Loading().client_errors(text);
    EXPECT_NE(errors, "");
    EXPECT_THAT(errors, testing::Not(HasSubstr("tell-nobody")));
  }
}

TEST(ConfigClient, PathsAreRelativeToTheirFile) {
  Loading load;
  load.outside.files["/etc/f/client.toml"] = "include = \"sub/more.toml\"\n[client]\ntls_ca = \"ca.pem\"\n";
  load.outside.files["/etc/f/sub/more.toml"] =
      "[tunnels]\na.to = \"./dist\"\nb.to = \"unix:x.sock\"\nc.to = \"dir:d\"\nd.to = \"/srv\"\n";
  const auto config = load_client("/etc/f/client.toml", load.outside);
  ASSERT_TRUE(config) << to_text(config.error());
  EXPECT_EQ(config->tls_ca, "/etc/f/ca.pem");
  ASSERT_EQ(config->tunnels.size(), 4u);
  EXPECT_EQ(config->tunnels[0].to, "dir:/etc/f/sub/./dist");
  EXPECT_EQ(config->tunnels[1].to, "unix:/etc/f/sub/x.sock");
  EXPECT_EQ(config->tunnels[2].to, "dir:/etc/f/sub/d");
  EXPECT_EQ(config->tunnels[3].to, "/srv");
}

TEST(ConfigClient, ManyTunnels) {
  std::string text;
  for (std::size_t i = 0; i <= kMaxTunnels; ++i) text += "[tunnels.t" + std::to_string(i) + "]\nto = \"1\"\n";
  EXPECT_EQ(Loading().client_errors(text), "client.toml:20001:10: more than 10000 tunnels");
}

}  // namespace
}  // namespace ferrotunnel::app::config
