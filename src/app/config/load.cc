#include "app/config/load.h"

#include <functional>
#include <utility>

#include "app/config/checks.h"
#include "app/config/keys.h"
#include "app/config/reading.h"
#include "app/config/recorder.h"
#include "app/config/rule_tables.h"
#include "app/config/sources.h"
#include "app/config/tunnels.h"
#include "app/server/plan.h"
#include "session/join_token.h"

namespace ferrotunnel::app::config {
namespace {

using Kind = Value::Kind;

std::string_view kind_text(FileKind kind) { return kind == FileKind::Server ? "server" : "client"; }

// `name` stands in [grants] where a [grants.NAME] should.
std::string no_table(const Section& section, const std::string& name, const Value& value) {
  const std::string table(section.name);
  if (section.find(name) != nullptr)
    return "\"" + name + "\" is a key of one of [" + table + "]: write [" + table + ".NAME] above it";
  return table + "." + name + " is a table, not " + std::string(kind_name(value.kind)) + ": write [" + table + "." +
         name + "]";
}

// What both kinds of file have in common: which tables there are, and the keys in each.
class Loader {
 public:
  Loader(const std::string& file, FileKind kind, Outside& outside)
      : kind_(kind), outside_(outside), reading_(outside, errors_) {
    root_ = read_sources(file, outside, errors_);
  }

  // True: this is such a file, and its tables are all known.
  bool check_tables();
  // The table, where there is one.
  const Value* table(std::string_view section);
  void read(const Section& section, const Value& table, const std::string& where, Target target);
  // Of [tunnels.NAME] and the like: each, in the order of the file.
  void each(std::string_view section, const std::function<void(const std::string&, const Value&)>& use);
  // Of a certificate and its key, which were read as these: both or none, and good.
  void pair(const Value* table, const std::string& where, std::string_view a, std::string_view b,
            const std::string& certificate, const std::string& key);

  ConfigErrors& errors() { return errors_; }

 private:
  void unknown_table(const std::string& name, const Value& value);
  void unknown_key(const Section& section, const std::string& where, const std::string& name, Place place);

  FileKind kind_;
  Outside& outside_;
  ConfigErrors errors_;
  Reading reading_;
  Value root_;
};

bool Loader::check_tables() {
  std::size_t ours = 0, theirs = 0;
  for (const auto& [name, value] : root_.members) {
    const Section* section = find_section(name);
    if (section == nullptr || section->both || !section->within.empty()) continue;
    ++(section->in(kind_) ? ours : theirs);
  }
  if (ours == 0 && theirs > 0) {
    const FileKind other = kind_ == FileKind::Server ? FileKind::Client : FileKind::Server;
    errors_.add({}, "this is a " + std::string(kind_text(other)) + "'s file; a " + std::string(kind_text(kind_)) +
                        "'s has [" +
                        (kind_ == FileKind::Server ? "server] and [grants.NAME]" : "client] and [tunnels.NAME]"));
    return false;
  }
  for (const auto* member : in_order(root_)) {
    const Section* section = find_section(member->first);
    if (section == nullptr || !section->within.empty())
      unknown_table(member->first, member->second);
    else if (!section->in(kind_))
      errors_.add(member->second.place, "[" + member->first + "] belongs in a " +
                                            std::string(kind_text(section->file)) + "'s file; this one is read as a " +
                                            std::string(kind_text(kind_)) + "'s");
  }
  return true;
}

void Loader::unknown_table(const std::string& name, const Value& value) {
  const bool is_table = value.kind == Kind::Table;
  std::string text = is_table ? "unknown table [" + name + "]" : "unknown key \"" + name + "\" at the top of the file";
  NearestName nearest(name);
  if (!is_table) nearest.offer("include");
  for (const Section& section : sections())
    if (section.in(kind_) && section.within.empty()) nearest.offer(section.name);
  for (const Section& section : sections()) {
    if (is_table || !section.in(kind_) || section.named || !section.within.empty() || section.find(name) == nullptr)
      continue;
    errors_.add(value.place, text + "; it belongs in [" + std::string(section.name) + "]");
    return;
  }
  if (!nearest.best().empty()) text += "; did you mean \"" + std::string(nearest.best()) + "\"?";
  errors_.add(value.place, std::move(text));
}

void Loader::unknown_key(const Section& section, const std::string& where, const std::string& name, Place place) {
  std::string text = "unknown key \"" + name + "\" in [" + where + "]";
  NearestName nearest(name);
  for (const auto rows : section.keys)
    for (const Key& key : rows) nearest.offer(key.name);
  if (name == "include") {
    text += "; it belongs at the top of the file, above the first table";
  } else if (!nearest.best().empty()) {
    text += "; did you mean \"" + std::string(nearest.best()) + "\"?";
  } else {
    for (const Section& other : sections())
      if (other.in(kind_) && other.within.empty() && other.find(name) != nullptr) {
        text += "; it belongs in [" + std::string(other.name) + (other.named ? ".NAME]" : "]");
        break;
      }
  }
  errors_.add(place, std::move(text));
}

const Value* Loader::table(std::string_view section) {
  const Value* value = root_.find(section);
  if (value == nullptr || value->kind == Kind::Table) return value;
  const bool named = find_section(section)->named;
  errors_.add(value->place, std::string(section) + " is a table, not " + std::string(kind_name(value->kind)) +
                                ": write [" + std::string(section) + (named ? ".NAME] for each" : "]"));
  return nullptr;
}

void Loader::read(const Section& section, const Value& table, const std::string& where, Target target) {
  for (const auto* member : in_order(table)) {
    const Key* key = section.find(member->first);
    if (key == nullptr) {
      unknown_key(section, where, member->first, member->second.place);
      continue;
    }
    if (key->type == Type::Tables) continue;
    auto read = reading_.read(*key, member->second, where + "." + std::string(key->name));
    if (read) key->set(target, std::move(*read));
  }
}

void Loader::each(std::string_view section, const std::function<void(const std::string&, const Value&)>& use) {
  const Value* all = table(section);
  if (all == nullptr) return;
  for (const auto* member : in_order(*all)) {
    if (member->second.kind == Kind::Table) {
      use(member->first, member->second);
      continue;
    }
    errors_.add(member->second.place, no_table(*find_section(section), member->first, member->second));
  }
}

void Loader::pair(const Value* table, const std::string& where, std::string_view a, std::string_view b,
                  const std::string& certificate, const std::string& key) {
  if (table == nullptr || errors_.left_out()) return;
  const Value* first = table->find(a);
  const Value* second = table->find(b);
  const auto complain = [&](bool of_first, const std::string& what) {
    errors_.add((of_first ? first : second)->place, where + "." + std::string(of_first ? a : b) + what);
  };
  if ((first == nullptr) != (second == nullptr))
    return complain(first != nullptr, " needs " + std::string(first != nullptr ? b : a) + " beside it");
  if (certificate.empty() || key.empty()) return;  // there are none, or they could not be read
  if (const auto good = outside_.check_identity(certificate, key); !good)
    complain(good.error().context.contains(certificate), ": " + good.error().context);
}

void read_grant(Loader& loader, const std::string& name, const Value& table, ServerConfig& config) {
  ConfigErrors& errors = loader.errors();
  if (config.grants.size() == kMaxGrants)
    errors.add(table.place, "more than " + std::to_string(kMaxGrants) + " grants");
  if (config.grants.size() >= kMaxGrants) return;
  GrantOptions grant;
  grant.name = name;
  grant.from = errors.text_of(table.place);
  if (const auto checked = check_grant_name(name); !checked) errors.add(table.place, checked.error().context);
  loader.read(*find_section("grants"), table, "grants." + name, {.grant = &grant});
  const Value* one = table.find("secret");
  const Value* two = table.find("secrets");
  if (one == nullptr && two == nullptr && !errors.left_out())
    errors.add(table.place, "grants." + name + " needs a secret: secret = { file = \"...\" }");
  if (one != nullptr && two != nullptr)
    errors.add(std::max(one->place, two->place),
               "grants." + name + " has secret and secrets; leave out one of the two");
  config.grants.push_back(std::move(grant));
}

void read_certificate(Loader& loader, const std::string& name, const Value& table, ServerConfig& config) {
  HttpsCertificate made;
  made.name = name;
  loader.read(*find_section("certificates"), table, "certificates." + name, {.certificate = &made});
  const bool whole = table.find("certificate") != nullptr && table.find("key") != nullptr;
  if (!whole && !loader.errors().left_out())
    loader.errors().add(table.place, "certificates." + name + " needs both of its files: certificate and key");
  if (whole) loader.pair(&table, "certificates." + name, "certificate", "key", made.certificate, made.key);
  config.certificates.push_back(std::move(made));
}

// What is of the HTTPS port alone: each key that has nothing to do without it, and that port without a certificate.
void need_https(Loader& loader, const Value* server, const ServerConfig& config) {
  ConfigErrors& errors = loader.errors();
  if (errors.left_out()) return;
  const auto find = [&](std::string_view key) { return server != nullptr ? server->find(key) : nullptr; };
  const Value* certificates = loader.table("certificates");
  const bool some = find("https_cert") != nullptr || find("https_key") != nullptr ||
                    find("certificates_dir") != nullptr || certificates != nullptr;
  const Value* listen = find("https_listen");
  if (listen != nullptr && config.https_listen.empty() && (listen->kind != Kind::String || listen->text != "off"))
    return;  // it could not be read
  if (!config.https_listen.empty()) {
    if (!some)
      errors.add(listen->place,
                 "server.https_listen needs a certificate: https_cert and https_key, [certificates.NAME], or "
                 "certificates_dir");
    return;
  }
  const auto idle = [&](const Value* value, const std::string& what) {
    if (value != nullptr)
      errors.add(value->place, what + " has nothing to do without https_listen, such as https_listen = \":443\"");
  };
  for (const std::string key : {"https_cert", "https_key", "certificates_dir"}) idle(find(key), "server." + key);
  if (certificates != nullptr && !certificates->members.empty())
    idle(&certificates->members.begin()->second, "[certificates." + certificates->members.begin()->first + "]");
  if (config.https_redirect) idle(find("https_redirect"), "server.https_redirect");
  if (config.hsts.count() != 0) idle(find("hsts"), "server.hsts");
}

void need_tls(ConfigErrors& errors, const Value* table, const std::string& where) {
  const Value* tls = table != nullptr ? table->find("tls") : nullptr;
  if (tls == nullptr || tls->kind != Kind::Bool || tls->flag) return;
  for (const std::string_view key : {"tls_cert", "tls_key", "tls_ca", "tls_client_ca", "tls_server_name"}) {
    if (const Value* value = table->find(key))
      errors.add(value->place,
                 where + "." + std::string(key) + " has nothing to do where tls is false; leave one of the two out");
  }
}

// A token is a join token, or the secret of the grant that is named.
void place_token(ConfigErrors& errors, const Value& table, std::string token, ClientConfig& config) {
  const Value* written = table.find("token");
  const Value* grant = table.find("grant");
  if (written == nullptr) {
    if (grant != nullptr && !errors.left_out())
      errors.add(grant->place, "client.grant needs its secret beside it: token = { file = \"...\" }");
    return;
  }
  if (token.empty()) return errors.add(written->place, "client.token: there is nothing in it");
  if (!token.starts_with(session::kJoinTokenPrefix)) {
    if (grant == nullptr && !errors.left_out())
      return errors.add(
          written->place,
          "client.token is no join token (ft1_…); where it is the secret of a grant, name that: grant = \"NAME\"");
    config.secret = std::move(token);
    return;
  }
  if (grant != nullptr)
    return errors.add(grant->place,
                      "client.grant: token is a join token, which says which grant it is of; leave grant out");
  config.join = std::move(token);
}

void read_client_table(Loader& loader, const Value& table, ClientConfig& config) {
  ConfigErrors& errors = loader.errors();
  const std::size_t before = errors.count();
  std::string token;
  loader.read(*find_section("client"), table, "client",
              {.client = &config, .program = &config.program, .token = &token});
  loader.pair(&table, "client", "tls_cert", "tls_key", config.tls_certificate, config.tls_key);
  need_tls(errors, &table, "client");
  if (table.find("token") != nullptr && token.empty() && errors.count() != before) return;  // it could not be read
  place_token(errors, table, std::move(token), config);
  if (errors.count() != before) return;
  const Value* blame = table.find("token");
  if (const auto checked = check_sign_in(config); !checked)
    errors.add(blame != nullptr ? blame->place : table.place,
               "client" + std::string(blame != nullptr ? ".token: " : ": ") + checked.error().context);
}

void read_rules(Loader& loader, const std::string& name, const Value& table, RuleDraft& plain,
                std::vector<TunnelRule>& into) {
  ConfigErrors& errors = loader.errors();
  const std::string where = "tunnels." + name;
  if (const Value* list = table.find("rules")) {
    if (list->kind != Kind::Array)
      errors.add(list->place, where + ".rules: tables are wanted: write [[" + where + ".rules]] above each");
    for (const Value& one : list->items) {
      if (one.kind != Kind::Table) {
        errors.add(one.place, where + ".rules: a table is wanted, not " + std::string(kind_name(one.kind)));
        continue;
      }
      RuleDraft draft;
      const std::size_t before = errors.count(), had = into.size();
      loader.read(*find_section("rules"), one, where + ".rules", {.rules = &draft});
      if (errors.count() != before) continue;
      take_rules(errors, draft, where + ".rules", one, into);
      if (into.size() == had)
        errors.add(one.place, where + ".rules: there is no rule in it, such as redirect or basic_auth");
    }
  }
  take_rules(errors, plain, where, table, into);
}

void read_log(Loader& loader, ProgramConfig& program) {
  if (const Value* log = loader.table("log")) loader.read(*find_section("log"), *log, "log", {.program = &program});
}

}  // namespace

ConfigResult<ServerConfig> load_server(const std::string& file, Outside& machine, std::vector<std::string>* read_from) {
  Recorder outside(machine);
  Loader loader(file, FileKind::Server, outside);
  ServerConfig config;
  if (loader.check_tables()) {
    const Value* server = loader.table("server");
    if (server != nullptr) {
      loader.read(*find_section("server"), *server, "server", {.server = &config, .program = &config.program});
      loader.pair(server, "server", "tls_cert", "tls_key", config.tls_certificate, config.tls_key);
      loader.pair(server, "server", "https_cert", "https_key", config.https_certificate, config.https_key);
      need_tls(loader.errors(), server, "server");
    }
    if (const Value* limits = loader.table("limits"))
      loader.read(*find_section("limits"), *limits, "limits", {.limits = &config.tunnel_limits});
    loader.each("certificates",
                [&](const std::string& name, const Value& table) { read_certificate(loader, name, table, config); });
    loader.each("grants",
                [&](const std::string& name, const Value& table) { read_grant(loader, name, table, config); });
    need_https(loader, server, config);
    read_log(loader, config.program);
    // What is wrong with several keys together and was not seen above.
    if (loader.errors().empty()) {
      if (const auto plan = plan_server(config); !plan)
        loader.errors().add(server != nullptr ? server->place : Place{}, plan.error().context);
    }
  }
  config.program.read_from = outside.paths();
  if (read_from != nullptr) *read_from = config.program.read_from;
  if (!loader.errors().empty()) return std::unexpected(loader.errors().sorted());
  return config;
}

ConfigResult<ClientConfig> load_client(const std::string& file, Outside& machine, std::vector<std::string>* read_from) {
  Recorder outside(machine);
  Loader loader(file, FileKind::Client, outside);
  ClientConfig config;
  if (loader.check_tables()) {
    if (const Value* client = loader.table("client")) read_client_table(loader, *client, config);
    TunnelMaker tunnels(outside, loader.errors());
    loader.each("tunnels", [&](const std::string& name, const Value& table) {
      TunnelDraft draft;
      RuleDraft plain;
      const std::size_t before = loader.errors().count();
      loader.read(*find_section("tunnels"), table, "tunnels." + name,
                  {.tunnel = &draft, .limits = &draft.config.limits, .rules = &plain});
      read_rules(loader, name, table, plain, draft.config.rules);
      draft.wrong = loader.errors().count() != before;
      tunnels.add(name, table, std::move(draft));
    });
    config.tunnels = tunnels.take();
    read_log(loader, config.program);
  }
  config.program.read_from = outside.paths();
  if (read_from != nullptr) *read_from = config.program.read_from;
  if (!loader.errors().empty()) return std::unexpected(loader.errors().sorted());
  return config;
}

}  // namespace ferrotunnel::app::config

namespace ferrotunnel {

ConfigResult<ServerConfig> load_server_config(const std::string& file, std::vector<std::string>* read_from) {
  app::config::Machine machine;
  return app::config::load_server(file, machine, read_from);
}

ConfigResult<ClientConfig> load_client_config(const std::string& file, std::vector<std::string>* read_from) {
  app::config::Machine machine;
  return app::config::load_client(file, machine, read_from);
}

}  // namespace ferrotunnel
