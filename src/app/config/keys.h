// The keys of a configuration file: one table, which reads files (load.cc), makes the JSON Schema (schema.cc) and docs/configuration.md
// (reference.cc), so that the three cannot differ. Static; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/outside.h"
#include "base/error.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::app::config {

enum class FileKind : std::uint8_t { Server, Client };

enum class Type : std::uint8_t {
  Bool,
  Text,
  Path,         // relative to the file that it stands in
  Texts,        // a string, or an array of them
  TextsOrTrue,  // as Texts, and true or false: `flag`, without texts
  Ports,        // as Texts, and numbers too
  Choice,
  Number,
  Size,      // bytes
  Duration,  // least and most are in ms
  Date,
  Secret,
  Secrets,
  Tables,  // [[tunnels.NAME.rules]]: read by its own section
};

// What a value says, in the member that its type uses.
struct Read {
  bool flag = false;
  std::uint64_t number = 0;
  std::chrono::milliseconds time{};
  std::optional<std::chrono::system_clock::time_point> date;
  std::string text;
  std::vector<std::string> texts;
};

// The rules that a table says, one of a kind, in the order of their first keys.
class RuleDraft {
 public:
  TunnelRule& of(std::string_view name);
  [[nodiscard]] std::vector<TunnelRule> take() { return std::move(rules_); }
  std::vector<std::string> paths, methods, headers;  // of [[tunnels.NAME.rules]]: which requests they are for

 private:
  std::vector<TunnelRule> rules_;
};

// A [tunnels.NAME] before `to` and `url` are looked at together. Its limits are in its config already.
struct TunnelDraft {
  std::string url;
  TunnelConfig config;
  bool wrong = false;  // something of its table was told of already
};

// What a key sets: the members that its section has.
struct Target {
  ServerConfig* server = nullptr;
  ClientConfig* client = nullptr;
  GrantOptions* grant = nullptr;
  HttpsCertificate* certificate = nullptr;
  TunnelDraft* tunnel = nullptr;
  TunnelLimits* limits = nullptr;
  ProgramConfig* program = nullptr;
  std::string* token = nullptr;
  RuleDraft* rules = nullptr;
};

struct Key {
  std::string_view name{};
  Type type = Type::Text;
  std::string_view fallback{};  // the default, for the documents
  std::string_view text{};      // what it is for: sentences
  std::string_view example{};   // TOML
  std::string_view flag{};      // of the command, without dashes; empty: there is none
  void (*set)(Target&, Read&&) = nullptr;
  // Errors: BadInput. Of Texts: of each.
  Result<> (*check)(const std::string&) = nullptr;
  std::uint64_t least = 0, most = 0;   // of Number, Size, Duration
  std::string_view choices{};          // of Choice: "v1 v2"
  FilesFor files = FilesFor::Nothing;  // of Path
};

struct Section {
  std::string_view name{};  // "server"
  bool named = false;       // [grants.NAME]: any number of them
  FileKind file = FileKind::Server;
  bool both = false;  // in both kinds of file
  std::string_view text{};
  std::vector<std::span<const Key>> keys;
  std::string_view within{};  // a table inside of this named one: [[within.NAME.name]]

  [[nodiscard]] bool in(FileKind kind) const { return both || kind == file; }
  [[nodiscard]] const Key* find(std::string_view key) const;
};

[[nodiscard]] std::span<const Section> sections();
[[nodiscard]] const Section* find_section(std::string_view name);

// The rows, by the file they are in.
[[nodiscard]] std::span<const Key> server_keys();
[[nodiscard]] std::span<const Key> grant_keys();
[[nodiscard]] std::span<const Key> certificate_keys();
[[nodiscard]] std::span<const Key> client_keys();
[[nodiscard]] std::span<const Key> tunnel_keys();
[[nodiscard]] std::span<const Key> limit_keys();  // of [limits] and [tunnels.NAME]
[[nodiscard]] std::span<const Key> route_keys();  // of [tunnels.NAME]
[[nodiscard]] std::span<const Key> rule_keys();   // of [tunnels.NAME] and [[tunnels.NAME.rules]]
[[nodiscard]] std::span<const Key> match_keys();  // of [[tunnels.NAME.rules]]
[[nodiscard]] std::span<const Key> log_keys();

[[nodiscard]] std::vector<std::string_view> words(std::string_view choices);

}  // namespace ferrotunnel::app::config
