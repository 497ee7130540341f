// docs/configuration.md and the JSON Schema: what the table of keys makes of itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "unit/app/config/loading.h"

namespace ferrotunnel::app::config {
namespace {

std::vector<std::string> toml_blocks(const std::string& text) {
  std::vector<std::string> blocks;
  for (auto at = text.find("```toml\n"); at != std::string::npos; at = text.find("```toml\n", at)) {
    at += 8;
    const auto end = text.find("```", at);
    blocks.push_back(text.substr(at, end - at));
    at = end;
  }
  return blocks;
}

TEST(ConfigDocuments, TheCommittedReferenceIsTheOneOfThisTable) {
  const char* path = FT_SOURCE_DIR "/docs/configuration.md";
  if (std::getenv("FT_WRITE_DOCS") != nullptr) std::ofstream(path) << config_reference();
  std::ifstream in(path);
  const std::string committed((std::istreambuf_iterator<char>(in)), {});
  EXPECT_TRUE(committed == config_reference())
      << "docs/configuration.md is not what the table of keys makes now. Write it "
         "anew: FT_WRITE_DOCS=1 unit_app --gtest_filter='ConfigDocuments.*'";
}

TEST(ConfigDocuments, TheExamplesLoad) {
  const auto blocks = toml_blocks(config_reference());
  ASSERT_EQ(blocks.size(), 4u);
  Loading load;
  load.outside.secret_files = {{"/etc/ferrotunnel/secrets/laptop", std::string(kSecret)},
                               {"/etc/ferrotunnel/token", join_token()}};
  load.outside.variables["LAPTOP_SECRET"] = kSecret;
  load.outside.command = [](const auto&) { return std::string(kSecret); };
  const auto server = load.server(blocks[0]);
  ASSERT_TRUE(server) << to_text(server.error());
  EXPECT_EQ(server->grants.size(), 1u);
  const auto client = load.client(blocks[1]);
  ASSERT_TRUE(client) << to_text(client.error());
  EXPECT_EQ(client->tunnels.size(), 2u + 11u);
  // Each way to write a secret.
  std::string lines = blocks[2];
  std::size_t count = 0;
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    EXPECT_EQ(load.server_errors("[grants.x]\n" + lines.substr(0, end)), "");
    lines.erase(0, end + 1);
    ++count;
  }
  EXPECT_EQ(count, 4u);
  const auto rules = load.client("[client]\nserver = \"localhost\"\n" + blocks[3]);
  ASSERT_TRUE(rules) << to_text(rules.error());
  EXPECT_EQ(rules->tunnels.at(0).rules.size(), 3u);
}

TEST(ConfigDocuments, TheSchemaIsJsonWithBothKinds) {
  const auto schema = boost::json::parse(config_schema());
  const auto& server = schema.at("$defs").at("server").at("properties").as_object();
  EXPECT_TRUE(server.contains("include") && server.contains("grants") && server.contains("log"));
  EXPECT_FALSE(server.contains("client"));
  EXPECT_EQ(schema.at("$defs").at("client").at("properties").at("tunnels").at("additionalProperties").at("required"),
            boost::json::array({"to"}));
}

}  // namespace
}  // namespace ferrotunnel::app::config
