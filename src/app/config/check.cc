// check_config(): a file of either kind, and the files of TLS that it names.
#include <utility>

#include "app/client/plan.h"
#include "app/server/https_files.h"
#include "ferrotunnel/config.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_identity.h"

namespace ferrotunnel {
namespace {

using Mistakes = std::optional<std::vector<ConfigError>>;

Mistakes of_whole_file(const std::string& file, const Error& error) {
  return std::vector<ConfigError>{{file, 0, 0, error.context}};
}

Mistakes check_server_tls(const std::string& file, const ServerConfig& config) {
  if (config.tls_certificate.empty()) return {};
  const auto identity = transport::TlsIdentity::load(config.tls_certificate, config.tls_key);
  if (!identity) return of_whole_file(file, identity.error());
  transport::TlsServerOptions options;
  if (!config.tls_client_ca.empty()) options.client_ca = config.tls_client_ca;
  const auto context = transport::TlsServerContext::make(*identity, options);
  return context ? Mistakes() : of_whole_file(file, context.error());
}

Mistakes check_https(const std::string& file, const ServerConfig& config) {
  if (config.https_listen.empty()) return {};
  const auto files = app::https_files(config);
  if (!files) return of_whole_file(file, files.error());
  const auto book = transport::CertificateBook::load(*files, {});
  return book ? Mistakes() : of_whole_file(file, book.error());
}

// Without tunnels or a token it is to be used with flags beside it.
Mistakes check_client_tls(const std::string& file, const ClientConfig& config) {
  if (config.tunnels.empty() || (config.join.empty() && config.secret.empty())) return {};
  auto plan = app::plan_client(config);
  if (!plan) return of_whole_file(file, plan.error());
  if (const auto loaded = app::load_origin_tls(plan->tunnels); !loaded) return of_whole_file(file, loaded.error());
  const auto context = app::load_client_tls(config, plan->token);
  return context ? Mistakes() : of_whole_file(file, context.error());
}

}  // namespace

Mistakes check_config(const std::string& file) {
  auto server = load_server_config(file);
  if (server) {
    std::vector<ConfigError> all;
    for (auto& mistakes : {check_server_tls(file, *server), check_https(file, *server)})
      if (mistakes) all.insert(all.end(), mistakes->begin(), mistakes->end());
    return all.empty() ? Mistakes() : all;
  }
  auto client = load_client_config(file);
  if (client) return check_client_tls(file, *client);
  // That it is the other kind of file is said of the file as a whole, and of one that has tables of both, of each that is wrong.
  const auto& of_server = server.error();
  const auto& of_client = client.error();
  const bool client_says_more =
      of_client.front().line != 0 && (of_server.front().line == 0 || of_client.size() < of_server.size());
  return client_says_more ? of_client : of_server;
}

}  // namespace ferrotunnel
