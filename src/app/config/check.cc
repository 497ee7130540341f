// check_config(): a file of either kind.
#include "ferrotunnel/config.h"

namespace ferrotunnel {

std::optional<std::vector<ConfigError>> check_config(const std::string& file) {
  auto server = load_server_config(file);
  if (server) return {};
  auto client = load_client_config(file);
  if (client) return {};
  // That it is the other kind of file is said of the file as a whole, and of one that has tables of both, of each that is wrong.
  const bool of_client = server.error().front().line == 0
                             ? client.error().front().line != 0
                             : client.error().size() < server.error().size() && client.error().front().line != 0;
  return of_client ? std::move(client.error()) : std::move(server.error());
}

}  // namespace ferrotunnel
