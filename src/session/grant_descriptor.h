// GrantDescriptor: a descriptor that a grant's clients have: of a link, or of a port that is listened at. It counts against the grant's share of
// them (DescriptorBudget::take_for) until it dies, on whatever thread. The budget outlives it.
#pragma once

#include <memory>
#include <utility>

#include "base/descriptor_budget.h"
#include "session/grant_book.h"

namespace ferrotunnel::session {

class GrantDescriptor {
 public:
  GrantDescriptor() = default;
  GrantDescriptor(GrantDescriptor&& other) noexcept { *this = std::move(other); }
  GrantDescriptor& operator=(GrantDescriptor&& other) noexcept {
    std::swap(hold_, other.hold_);
    std::swap(use_, other.use_);
    return *this;
  }
  GrantDescriptor(const GrantDescriptor&) = delete;
  GrantDescriptor& operator=(const GrantDescriptor&) = delete;
  ~GrantDescriptor() {
    if (use_ != nullptr) GrantUse::give_back(use_->descriptors);
  }

  // None: there is none left, or none for this grant. Without a grant, which is gone then, it counts for nobody.
  [[nodiscard]] static GrantDescriptor take(DescriptorBudget& budget, DescriptorUse use,
                                            std::shared_ptr<GrantUse> grant) {
    GrantDescriptor made;
    const std::uint32_t has = grant != nullptr ? grant->descriptors.fetch_add(1, std::memory_order_relaxed) : 0;
    made.use_ = std::move(grant);
    made.hold_ = DescriptorHold::take_for(budget, use, has);
    return made.hold_ ? std::move(made) : GrantDescriptor();
  }
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(hold_); }

 private:
  DescriptorHold hold_;
  std::shared_ptr<GrantUse> use_;
};

}  // namespace ferrotunnel::session
