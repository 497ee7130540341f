#include "origin/names.h"

#include <algorithm>
#include <utility>

namespace ferrotunnel::origin {

Names::Names(transport::Shard& shard, Lookup lookup)
    : shard_(shard), lookup_(std::move(lookup)), resolver_(shard.io()) {}

AddressesPtr Names::find(const std::string& host, NameWaiter& waiter) {
  Entry& entry = entries_[host];
  if (entry.addresses && shard_.now() < entry.good_until) return entry.addresses;
  entry.waiters.push_back(waiter);
  if (std::exchange(entry.asking, true)) return nullptr;
  auto done = [this, alive = alive_, host](Result<Addresses> result) {
    if (*alive) answered(host, std::move(result));
  };
  if (lookup_) {
    lookup_(host, std::move(done));
  } else {
    ask_system(host, std::move(done));
  }
  return nullptr;
}

void Names::ask_system(const std::string& host, std::function<void(Result<Addresses>)> done) {
  resolver_.async_resolve(
      host, "", [host, done = std::move(done)](const boost::system::error_code& error, const auto& results) {
        if (error) {
          return done(std::unexpected(
              Error(ErrorCode::Resolve, Side::Origin, true,
                    "the name " + host + " of the local service does not resolve (" + error.message() + ")")));
        }
        Addresses addresses;
        for (const auto& entry : results) {
          transport::SocketAddress& address = addresses.emplace_back();
          address.length = static_cast<socklen_t>(entry.endpoint().size());
          std::copy_n(reinterpret_cast<const char*>(entry.endpoint().data()), address.length,
                      reinterpret_cast<char*>(&address.storage));
        }
        done(std::move(addresses));
      });
}

void Names::answered(const std::string& host, Result<Addresses> result) {
  Result<AddressesPtr> found;
  if (!result) {
    found = std::unexpected(result.error());
  } else if (result->empty()) {
    found = std::unexpected(
        Error(ErrorCode::Resolve, Side::Origin, true, "the name " + host + " of the local service has no address"));
  } else {
    if (result->size() > kMaxAddresses) result->resize(kMaxAddresses);
    found = std::make_shared<const Addresses>(std::move(*result));
  }
  Entry& entry = entries_[host];
  entry.asking = false;
  entry.addresses = found.value_or(nullptr);
  entry.good_until = shard_.now() + kRemembered;
  Waiters waiters;  // not the entry's: who is told of a failure may ask again, or destroy all this
  waiters.swap(entry.waiters);
  while (!waiters.empty()) {
    NameWaiter& waiter = waiters.front();
    waiters.pop_front();
    waiter.on_addresses(found);
  }
}

}  // namespace ferrotunnel::origin
