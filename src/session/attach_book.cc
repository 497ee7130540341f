#include "session/attach_book.h"

#include <utility>

namespace ferrotunnel::session {

void AttachBook::add(const wire::AttachId& attach, std::shared_ptr<AttachHome> home) {
  const std::lock_guard lock(mutex_);
  homes_.insert_or_assign(attach, std::move(home));
}

void AttachBook::remove(const wire::AttachId& attach) {
  const std::lock_guard lock(mutex_);
  homes_.erase(attach);
}

Result<AttachPlacePtr> AttachBook::take(const wire::AttachId& attach, const std::string& grant,
                                        const wire::InstanceId& instance, wire::AttachAs as) {
  std::shared_ptr<AttachHome> home;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = homes_.find(attach); found != homes_.end()) home = found->second;
  }
  if (home == nullptr || home->grant != grant || home->instance != instance) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(Error(ErrorCode::Closed, Side::Tunnel, true, "there is no such session of this client"));
  }
  AttachHome::Count& count = home->count(as);
  const std::uint32_t limit = count.limit.load(std::memory_order_relaxed);
  if (count.attached.fetch_add(1, std::memory_order_relaxed) >= limit) {
    count.attached.fetch_sub(1, std::memory_order_relaxed);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, true,
                                 "the session may have " + std::to_string(limit) +
                                     (as == wire::AttachAs::Link ? " links beside the first (threads of the server)"
                                                                 : " direct links (max_direct of the server)")));
  }
  const DescriptorUse use = as == wire::AttachAs::Link ? DescriptorUse::Client : DescriptorUse::Data;
  GrantDescriptor hold;
  if (budget_ != nullptr) hold = GrantDescriptor::take(*budget_, use, home->use);
  if (budget_ != nullptr && !hold) {
    count.attached.fetch_sub(1, std::memory_order_relaxed);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, true,
                                 "the server is short of descriptors (ulimit -n): visitors go over the links that "
                                 "there are"));
  }
  return std::make_shared<const AttachPlace>(std::move(home), as, std::move(hold));
}

}  // namespace ferrotunnel::session
