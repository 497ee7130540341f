// Each key of the table: read, refused, misspelled; and the table against the command's flags.
#include "app/config/keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "app/cli/commands.h"
#include "unit/app/config/loading.h"

namespace ferrotunnel::app::config {
namespace {

using testing::HasSubstr;

struct Row {
  const Section* section;
  const Key* key;
};

std::vector<Row> rows() {
  std::vector<Row> all;
  for (const Section& section : sections())
    for (const auto keys : section.keys)
      for (const Key& key : keys) all.push_back({&section, &key});
  return all;
}

std::string name_of(const Row& row) { return std::string(row.section->name) + "." + std::string(row.key->name); }

// The key in its table on line 2, and on lines behind it what it cannot be without.
std::string file_with(const Row& row, const std::string& key, const std::string& value) {
  const std::string name(row.key->name);
  const std::string table(row.section->name);
  const std::string header = row.section->within.empty()
                                 ? "[" + table + (row.section->named ? ".x]" : "]")
                                 : "[[" + std::string(row.section->within) + ".x." + table + "]]";
  std::string text = header + "\n" + key + " = " + value + "\n";
  if (table == "rules" && (name == "paths" || name == "methods" || name == "headers")) text += "redirect = \"/x\"\n";
  for (const std::string_view rule : {"cors", "basic_auth", "redirect"}) {
    if (!name.starts_with(std::string(rule) + "_")) continue;
    const Key* needed = row.section->find(rule);
    text += std::string(rule) + " = " + std::string(needed->example) + "\n";
  }
  if (table == "rules") text += "[tunnels.x]\nto = \"127.0.0.1:1\"\n";
  if (name == "tls_cert") text += "tls_key = \"k.pem\"\n";
  if (name == "tls_key") text += "tls_cert = \"c.pem\"\n";
  if (name == "https_cert") text += "https_key = \"k.pem\"\n";
  if (name == "https_key") text += "https_cert = \"c.pem\"\n";
  if (name.starts_with("https_") && name != "https_cert" && name != "https_key") text += "certificates_dir = \"d\"\n";
  if (name == "hsts") text += "certificates_dir = \"d\"\n";
  if (name == "certificates_dir" || name == "hsts" || (name.starts_with("https_") && name != "https_listen"))
    text += "https_listen = \":443\"\n";
  if (table == "certificates") {
    if (name != "certificate") text += "certificate = \"c.pem\"\n";
    if (name != "key") text += "key = \"k.pem\"\n";
    text += "[server]\nhttps_listen = \":443\"\n";
  }
  if (table == "grants" && name != "secret" && name != "secrets") text += "secret = \"0123456789abcdef\"\n";
  if (name == "token") text += "grant = \"g\"\nserver = \"localhost\"\n";
  if (name == "grant") text += "token = \"0123456789abcdef\"\n";
  if (name == "origin_tls_cert") text += "origin_tls_key = \"k.pem\"\n";
  if (name == "origin_tls_key") text += "origin_tls_cert = \"c.pem\"\n";
  const std::string to = name.starts_with("origin_tls_") ? "https://127.0.0.1:1" : "127.0.0.1:1";
  if (table == "tunnels" && name != "to") text += "to = \"" + to + "\"\n";
  if (name == "proxy_protocol" || name == "carry") text += "url = \"tcp://\"\n";
  return text;
}

class ConfigKeys : public testing::TestWithParam<Row> {
 protected:
  ConfigKeys() {
    for (const char* path : {"/etc/ferrotunnel/grants/laptop", "/etc/ferrotunnel/grants/old",
                             "/etc/ferrotunnel/grants/new", "/etc/ferrotunnel/token"})
      load_.outside.secret_files[path] = std::string(kSecret) + "\n";
  }
  std::string errors(const std::string& text) {
    return GetParam().section->file == FileKind::Server ? load_.server_errors(text) : load_.client_errors(text);
  }
  std::string file() const { return GetParam().section->file == FileKind::Server ? "server.toml" : "client.toml"; }
  std::string key() const { return std::string(GetParam().key->name); }

  Loading load_;
};

TEST_P(ConfigKeys, ItsExampleLoads) {
  EXPECT_EQ(errors(file_with(GetParam(), key(), std::string(GetParam().key->example))), "");
}

TEST_P(ConfigKeys, AnotherTypeIsOneMistakeAtTheKey) {
  const std::string value =
      GetParam().key->type == Type::Bool || GetParam().key->type == Type::TextsOrTrue ? "7" : "false";
  const std::string said = errors(file_with(GetParam(), "  " + key(), value));
  EXPECT_TRUE(said.starts_with(file() + ":2:3: ")) << said;
  EXPECT_THAT(said, HasSubstr("." + key() + ": "));
  EXPECT_THAT(said, HasSubstr("wanted"));
  EXPECT_EQ(std::ranges::count(said, '\n'), 0) << said;
}

TEST_P(ConfigKeys, AMisspellingNamesIt) {
  const std::string said = errors(file_with(GetParam(), key() + "x", std::string(GetParam().key->example)));
  EXPECT_THAT(said, HasSubstr(file() + ":2:1: unknown key \"" + key() + "x\" in ["));
  EXPECT_THAT(said, HasSubstr("did you mean \"" + key() + "\"?"));
}

TEST_P(ConfigKeys, HasWhatTheDocumentsNeed) {
  const Key& row = *GetParam().key;
  EXPECT_NE(row.set, nullptr);
  EXPECT_FALSE(row.fallback.empty());
  EXPECT_TRUE(row.text.ends_with('.'));
  EXPECT_EQ(row.text.find('|'), std::string_view::npos);
  EXPECT_NE(config_schema().find("\"" + key() + "\""), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, ConfigKeys, testing::ValuesIn(rows()), [](const auto& one) {
  std::string name = name_of(one.param);
  std::ranges::replace(name, '.', '_');
  return name;
});

// Flags that a file has another way for, or that make no sense in one.
bool is_exception(std::string_view command, std::string_view flag) {
  if (flag == "config" || flag == "help") return true;
  if (flag == "secret-file" || flag == "token-file") return true;      // secret and token, with { file = "..." }
  if (command == "server") return flag == "grant" || flag == "token";  // [grants.NAME]
  return flag == "http" || flag == "tcp" || flag == "no-save";
}

TEST(ConfigFlags, EachHasAKey) {
  for (const std::string_view command : {"server", "client"}) {
    const FileKind kind = command == "server" ? FileKind::Server : FileKind::Client;
    const cli::Command* found = cli::find_command(command);
    ASSERT_NE(found, nullptr);
    for (const cli::FlagGroup& group : found->groups) {
      if (group.title == cli::kCompatibilityTitle) continue;  // other names for what has a key
      for (const cli::Flag& flag : group.flags) {
        if (is_exception(command, flag.name)) continue;
        std::string key(flag.name);
        std::ranges::replace(key, '-', '_');
        const bool there = std::ranges::any_of(rows(), [&](const Row& row) {
          return row.section->in(kind) && (row.key->flag == flag.name || row.key->name == key);
        });
        EXPECT_TRUE(there) << command << " --" << flag.name << ": add its key to src/app/config/";
      }
    }
  }
}

// So that the reference names it.
TEST(ConfigFlags, AKeyWithAFlagOfItsNameSaysSo) {
  const std::vector<std::pair<std::string_view, std::string_view>> places{
      {"server", "server"}, {"client", "client"}, {"tunnels", "http"}, {"tunnels", "tcp"}};
  for (const auto& [section, command] : places)
    for (const Row& row : rows()) {
      std::string flag(row.key->name);
      std::ranges::replace(flag, '_', '-');
      if (row.section->name != section || cli::find_flag(*cli::find_command(command), flag) == nullptr) continue;
      EXPECT_NE(row.key->flag, "") << name_of(row) << " has --" << flag;
    }
}

TEST(ConfigFlags, EachThatAKeyNamesIsThere) {
  for (const Row& row : rows()) {
    if (row.key->flag.empty()) continue;
    const bool there = std::ranges::any_of(cli::commands(), [&](const cli::Command& command) {
      return cli::find_flag(command, row.key->flag) != nullptr;
    });
    EXPECT_TRUE(there) << name_of(row) << ": --" << row.key->flag;
  }
}

}  // namespace
}  // namespace ferrotunnel::app::config
