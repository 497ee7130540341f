// [tunnels.NAME] as the tunnels that it stands for: one, or one for each port of a range. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "app/config/document.h"
#include "app/config/keys.h"
#include "app/config/outside.h"

namespace ferrotunnel::app::config {

inline constexpr std::size_t kMaxTunnels = 10'000;
inline constexpr std::size_t kMaxRange = 1'000;  // ports

class TunnelMaker {
 public:
  TunnelMaker(Outside& outside, ConfigErrors& errors) : outside_(outside), errors_(errors) {}
  // `table` is [tunnels.NAME], for the places of its keys.
  void add(const std::string& name, const Value& table, TunnelDraft draft);
  [[nodiscard]] std::vector<TunnelConfig> take() { return std::move(tunnels_); }

 private:
  struct Owner {
    std::string name;
    Place place;
  };
  struct Address;
  bool read_url(const std::string& url, Place place, Address& into);
  void add_one(TunnelConfig tunnel, const Value& table);
  bool only_one(std::map<std::string, Owner>& of, const std::string& key, const std::string& what, const Owner& owner);
  void wrong(Place place, const std::string& key, const std::string& text);

  Outside& outside_;
  ConfigErrors& errors_;
  std::string name_;
  bool wrong_ = false;  // something in its table is, and was told of
  std::vector<TunnelConfig> tunnels_;
  std::map<std::string, Owner> names_, addresses_;
  bool full_ = false;
};

}  // namespace ferrotunnel::app::config
