// The loaders of include/ferrotunnel/config.h, with an Outside of the caller's. One thread.
#pragma once

#include "app/config/outside.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::app::config {

inline constexpr std::size_t kMaxGrants = 10'000;

[[nodiscard]] ConfigResult<ServerConfig> load_server(const std::string& file, Outside& outside,
                                                     std::vector<std::string>* read_from = nullptr);
[[nodiscard]] ConfigResult<ClientConfig> load_client(const std::string& file, Outside& outside,
                                                     std::vector<std::string>* read_from = nullptr);

}  // namespace ferrotunnel::app::config
