// check_config(): a file of either kind.
#include "ferrotunnel/config.h"

namespace ferrotunnel {

std::optional<std::vector<ConfigError>> check_config(const std::string& file) {
  auto server = load_server_config(file);
  if (server) return {};
  auto client = load_client_config(file);
  if (client) return {};
  // The other kind's loader complains of each table.
  return server.error().size() <= client.error().size() ? std::move(server.error()) : std::move(client.error());
}

}  // namespace ferrotunnel
