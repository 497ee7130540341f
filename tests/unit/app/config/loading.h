// What tests of configuration files share: a file's text in, a configuration or all mistakes as text out.
#pragma once

#include <string>

#include "app/config/load.h"
#include "session/join_token.h"
#include "support/fake_outside.h"

namespace ferrotunnel::app::config {

inline constexpr std::string_view kSecret = "0123456789abcdef";

inline std::string join_token() {
  session::JoinToken token;
  token.addresses = {"eu.example.com:7835"};
  token.grant = "default";
  token.secret = session::Secret(as_bytes(kSecret));
  token.tls = true;
  return *session::encode(token);
}

struct Loading {
  FakeOutside outside;

  ConfigResult<ServerConfig> server(const std::string& text) {
    outside.files["server.toml"] = text;
    return load_server("server.toml", outside);
  }
  ConfigResult<ClientConfig> client(const std::string& text) {
    outside.files["client.toml"] = text;
    return load_client("client.toml", outside);
  }
  std::string server_errors(const std::string& text) {
    const auto config = server(text);
    return config ? "" : to_text(config.error());
  }
  std::string client_errors(const std::string& text) {
    const auto config = client(text);
    return config ? "" : to_text(config.error());
  }
};

}  // namespace ferrotunnel::app::config
