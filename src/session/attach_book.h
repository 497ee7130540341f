// AttachBook: the sessions of a server that further connections of their clients may attach to, by what each session told its client.
//
// A sign-in that may be attached to is added when its session begins and removed when it ends; how many connections are attached is
// counted here, since they are accepted on any shard. Whoever asks has proved the grant before. Control path; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/descriptor_budget.h"
#include "base/error.h"
#include "session/grant_descriptor.h"
#include "wire/control.h"

namespace ferrotunnel::session {

// The session that a connection has a place at.
struct AttachHome {
  std::uint64_t session = 0;
  unsigned shard = 0;
  std::string grant;
  wire::InstanceId instance{};
  std::shared_ptr<GrantUse> use{};  // what its connections count against; none: nothing
  // Connections of a kind: how many there may be at once, and are.
  struct Count {
    std::atomic<std::uint32_t> limit{0}, attached{0};
  };
  Count direct, links;
  [[nodiscard]] Count& count(wire::AttachAs as) { return as == wire::AttachAs::Link ? links : direct; }
};

// One connection's place; gives itself back when it dies, on whatever thread.
class AttachPlace {
 public:
  AttachPlace(std::shared_ptr<AttachHome> home, wire::AttachAs as, GrantDescriptor hold = {})
      : home_(std::move(home)), as_(as), hold_(std::move(hold)) {}
  AttachPlace(const AttachPlace&) = delete;
  AttachPlace& operator=(const AttachPlace&) = delete;
  ~AttachPlace() { home_->count(as_).attached.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] const AttachHome& home() const { return *home_; }
  [[nodiscard]] wire::AttachAs as() const { return as_; }

 private:
  const std::shared_ptr<AttachHome> home_;
  const wire::AttachAs as_;
  const GrantDescriptor hold_;  // none: nobody counts
};
using AttachPlacePtr = std::shared_ptr<const AttachPlace>;

class AttachBook {
 public:
  AttachBook() = default;
  // Each connection takes one of these. The budget outlives every place.
  explicit AttachBook(DescriptorBudget& budget) : budget_(&budget) {}
  void add(const wire::AttachId& attach, std::shared_ptr<AttachHome> home);
  void remove(const wire::AttachId& attach);
  // Errors: Closed (no such session, or not of this grant and client: both are "gone" to who asks), Limit (as many as it
  // may have, or no descriptor is left for one).
  [[nodiscard]] Result<AttachPlacePtr> take(const wire::AttachId& attach, const std::string& grant,
                                            const wire::InstanceId& instance,
                                            wire::AttachAs as = wire::AttachAs::Direct);
  [[nodiscard]] std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  DescriptorBudget* const budget_ = nullptr;
  mutable std::mutex mutex_;
  std::map<wire::AttachId, std::shared_ptr<AttachHome>> homes_;
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace ferrotunnel::session
