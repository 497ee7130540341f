// GrantStore: what is written is what is read, what is damaged is refused, and nothing is half written.
#include "app/grant_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

namespace ferrotunnel::app {
namespace {

namespace fs = std::filesystem;

class GrantStoreTest : public testing::Test {
 protected:
  GrantStoreTest() {
    std::string name = "/tmp/ft_grants_XXXXXX";
    top = ::mkdtemp(name.data());
  }
  ~GrantStoreTest() override {
    std::error_code error;
    fs::remove_all(top, error);
  }
  void write(const std::string& name, std::string_view text, unsigned mode = 0600) const {
    fs::create_directories(top / "grants");
    std::ofstream(top / "grants" / name) << text;
    ::chmod((top / "grants" / name).c_str(), mode);
  }
  static session::Grant grant(std::string name) {
    session::Grant made;
    made.name = std::move(name);
    made.secrets.push_back(session::Secret::generate());
    return made;
  }
  fs::path top;
};

TEST_F(GrantStoreTest, ThereAndBack) {
  const GrantStore store(top);
  EXPECT_TRUE(store.load()->empty()) << "no directory is no grants";
  session::Grant rich = grant("rich");
  rich.secrets.push_back(session::Secret::generate());
  rich.hosts = {"*.dev.example.com", "app.example.com"};
  rich.ports = {{22, 22}, {3000, 3010}};
  rich.limits = {7, 8, 9, 0};
  rich.limits.bandwidth = 5'000'000'000;
  rich.limits.tunnel_bytes = 1'000;
  rich.expires = session::Grant::Time(std::chrono::seconds(1'900'000'000));
  session::Grant none = grant("none");
  none.hosts.clear();
  none.ports.clear();
  for (const session::Grant* one : {&rich, &none}) ASSERT_TRUE(store.add(*one));
  const auto loaded = store.load();
  ASSERT_TRUE(loaded) << loaded.error().context;
  ASSERT_EQ(loaded->size(), 2u);
  EXPECT_EQ((*loaded)[0].name, "none");
  EXPECT_TRUE((*loaded)[0].hosts.empty() && (*loaded)[0].ports.empty());
  const session::Grant& back = (*loaded)[1];
  EXPECT_EQ(back.hosts, rich.hosts);
  EXPECT_EQ(back.ports, rich.ports);
  EXPECT_EQ(back.limits, rich.limits);
  EXPECT_EQ(back.expires, rich.expires);
  ASSERT_EQ(back.secrets.size(), 2u);
  EXPECT_EQ(back.secrets[1].bytes, rich.secrets[1].bytes);
  struct stat info{};
  ASSERT_EQ(::stat((top / "grants" / "rich").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(GrantStoreTest, ANameIsTakenUntilItIsRemoved) {
  const GrantStore store(top);
  const session::Grant first = grant("a");
  ASSERT_TRUE(store.add(first));
  const auto second = store.add(grant("a"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::BadInput);
  EXPECT_EQ(store.load("a")->value().secrets[0].bytes, first.secrets[0].bytes);
  EXPECT_TRUE(*store.remove("a"));
  EXPECT_FALSE(*store.remove("a"));
  EXPECT_FALSE(*store.load("a"));
  EXPECT_TRUE(store.add(grant("a")));
  for (const char* name : {"", ".", "..", "../a", "a/b"}) EXPECT_FALSE(*store.remove(name)) << name;
}

TEST_F(GrantStoreTest, DamagedFilesAreRefusedByName) {
  const GrantStore store(top);
  const std::string secret = R"("secrets":["MDEyMzQ1Njc4OWFiY2RlZg"])";
  write("good", "{" + secret + R"(,"hosts":["*"],"ports":["1-2"]})");
  ASSERT_TRUE(store.load());
  for (const std::string& text : {
           std::string("{}"),
           "{" + secret + "}",
           "{" + secret + R"(,"hosts":["*"]})",
           "{" + secret + R"(,"hosts":"*","ports":[]})",
           "{" + secret + R"(,"hosts":[""],"ports":[]})",
           "{" + secret + R"(,"hosts":[],"ports":["0"]})",
           "{" + secret + R"(,"hosts":[],"ports":[22]})",
           "{" + secret + R"(,"hosts":[],"ports":[],"expires":"soon"})",
           "{" + secret + R"(,"hosts":[],"ports":[],"max_streams":-1})",
           "{" + secret + R"(,"hosts":[],"ports":[],"bandwidth":"1M"})",
           "{" + secret + R"(,"hosts":[],"ports":[]})" + "x",
           std::string(R"({"secrets":[],"hosts":[],"ports":[]})"),
           std::string(R"({"secrets":["short"],"hosts":[],"ports":[]})"),
           std::string("[]"),
           std::string("{") + std::string(GrantStore::kMaxFile, ' '),
       }) {
    write("bad", text);
    const auto loaded = store.load();
    ASSERT_FALSE(loaded) << text.substr(0, 100);
    EXPECT_EQ(loaded.error().code, ErrorCode::BadInput);
    EXPECT_NE(loaded.error().context.find((top / "grants" / "bad").string()), std::string::npos);
  }
  write("bad", "{" + secret + R"(,"hosts":[],"ports":[]})", 0640);
  EXPECT_FALSE(store.load());
  fs::remove(top / "grants" / "bad");
  // What no grant can be named after is none: what an editor or a crash left.
  write(".good.a1b2c3", "half");
  write("#good#", "half", 0644);
  EXPECT_EQ(store.load()->size(), 1u);
}

TEST_F(GrantStoreTest, HowTheServerIsReached) {
  const GrantStore store(top);
  const auto nobody = store.read_server();
  ASSERT_FALSE(nobody);
  EXPECT_NE(nobody.error().context.find("start it once"), std::string::npos) << nobody.error().context;
  session::JoinToken token;
  token.addresses = {"eu.example.com:7835", "192.0.2.7:7835"};
  token.fingerprint.emplace().fill(std::byte{7});
  ASSERT_TRUE(store.write_server(token));
  auto back = store.read_server();
  ASSERT_TRUE(back) << back.error().context;
  EXPECT_EQ(back->addresses, token.addresses);
  EXPECT_EQ(back->fingerprint, token.fingerprint);
  EXPECT_TRUE(back->tls);
  token.tls = false;
  token.fingerprint.reset();
  ASSERT_TRUE(store.write_server(token)) << "in place of the earlier one";
  back = store.read_server();
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->tls || back->fingerprint);
  std::ofstream(top / "server.json") << R"({"addresses":[7],"tls":true})";
  EXPECT_FALSE(store.read_server());
}

}  // namespace
}  // namespace ferrotunnel::app
