// status --json: what it says is in docs/status.md, and reads back as the same.
#include "app/status_json.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <set>
#include <sstream>

namespace ferrotunnel::app {
namespace {

namespace json = boost::json;

void collect(const json::value& value, std::set<std::string>& keys) {
  if (const auto* array = value.if_array()) {
    for (const json::value& one : *array) collect(one, keys);
  } else if (const auto* object = value.if_object()) {
    for (const auto& [key, one] : *object) {
      keys.emplace(key);
      collect(one, keys);
    }
  }
}

std::string document() {
  std::ifstream file(FT_SOURCE_DIR "/docs/status.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

ServerStatus server() {
  ServerStatus status;
  status.sessions.emplace_back().rtt = std::chrono::milliseconds(1);
  status.tunnels.emplace_back();
  return status;
}
ClientStatus client() {
  ClientStatus status;
  status.rtt = std::chrono::milliseconds(1);
  status.tunnels.emplace_back();
  return status;
}

TEST(StatusJson, EachFieldIsInTheDocument) {
  const std::string text = document();
  ASSERT_FALSE(text.empty());
  std::set<std::string> keys;
  collect(status_json(server()), keys);
  collect(status_json(client()), keys);
  EXPECT_GT(keys.size(), 40u);
  for (const std::string& key : keys) EXPECT_TRUE(text.contains("`" + key + "`")) << key << " is not in docs/status.md";
}

TEST(StatusJson, ReadsBackAsTheSame) {
  ServerStatus status = server();
  status.memory_resets = 3;
  status.direct_refused = 4;
  status.tunnels_rejected = 41;
  status.over_tunnel_bytes = 42;
  status.handshakes_failed = 5;
  status.sessions.front().links = 2;
  status.http.requests = 8;
  status.http.h2_stalled = 9;
  status.http.h2_abuse.queued = 10;
  const HttpStatus http = status_from_json(status_json(status)).http;
  EXPECT_EQ(http, status.http);
  add(status.http, http);
  EXPECT_EQ(status.http.requests, 16u);
  EXPECT_EQ(status.http.h2_abuse.queued, 20u);
  EXPECT_EQ(status_json(status_from_json(status_json(status))), status_json(status));
  ClientStatus one = client();
  one.memory_resets = 6;
  one.links = 7;
  EXPECT_EQ(status_json(client_status_from_json(status_json(one))), status_json(one));
}

}  // namespace
}  // namespace ferrotunnel::app
