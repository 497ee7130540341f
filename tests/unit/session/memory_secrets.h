// A SecretSource for tests: what was added is known, two secrets of a grant at most.
#pragma once

#include <map>
#include <string>

#include "session/credentials.h"

namespace ferrotunnel::session {

class MemorySecrets final : public SecretSource {
 public:
  void add(const std::string& grant, const Secret& secret) {
    GrantKeys& keys = keys_[grant];
    keys.keys.at(keys.count++) = AuthKey::of(secret);
  }
  [[nodiscard]] GrantKeys keys(std::string_view grant) const override {
    const auto at = keys_.find(grant);
    return at == keys_.end() ? GrantKeys{} : at->second;
  }
  [[nodiscard]] Result<> admits(std::string_view) const override {
    if (refusal) return std::unexpected(*refusal);
    return {};
  }
  std::optional<Error> refusal;  // for all, once proved

 private:
  std::map<std::string, GrantKeys, std::less<>> keys_;
};

}  // namespace ferrotunnel::session
