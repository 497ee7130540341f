#include "base/descriptor_budget.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace ferrotunnel {
namespace {

constexpr std::uint64_t kLeastReserve = 64;
constexpr std::uint64_t kLeastLine =
    4;  // of a process that has nearly all in use as it starts: the system says no in time

std::uint32_t narrow(std::uint64_t count) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, UINT32_MAX));
}

}  // namespace

std::uint64_t descriptor_reserve(std::uint64_t all) { return std::min(std::max(kLeastReserve, all / 8), all / 2); }

DescriptorLines descriptor_lines(std::uint64_t all, std::uint64_t own) {
  if (all == UINT64_MAX) return {};
  const std::uint64_t reserve = descriptor_reserve(all);
  const std::uint64_t kept = own + std::clamp(all / 16, kLeastDescriptorsKept, kDescriptorsKept);
  const std::uint64_t clients = std::max(all > kept ? all - kept : 0, kLeastLine * 4);
  // Of those, some for clients alone.
  const std::uint64_t for_clients = std::max(kLeastLine, std::min(reserve / 2, clients / 8));
  const std::uint64_t visitors = std::min(all - reserve, clients - for_clients);
  return {narrow(visitors), narrow(visitors / 2), narrow(clients)};
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

std::uint64_t descriptors_in_use() {
  // /dev/fd is there on Linux (as a link to /proc/self/fd), macOS and the BSDs.
  if (DIR* directory = ::opendir("/dev/fd")) {
    std::uint64_t count = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
    while (const dirent* entry = ::readdir(directory))
      if (entry->d_name[0] != '.') ++count;
    ::closedir(directory);
    return count > 0 ? count - 1 : 0;  // the directory's own
  }
  // The lowest number that is free.
  const int probe = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (probe < 0) return descriptor_limit();
  ::close(probe);
  return static_cast<std::uint64_t>(probe);
}

void DescriptorBudget::set(const DescriptorLines& lines) {
  of(DescriptorUse::Visitor).line.store(lines.visitors, std::memory_order_relaxed);
  of(DescriptorUse::Data).line.store(lines.data, std::memory_order_relaxed);
  for (const DescriptorUse use : {DescriptorUse::Client, DescriptorUse::Port, DescriptorUse::Handshake})
    of(use).line.store(lines.clients, std::memory_order_relaxed);
}

DescriptorLines DescriptorBudget::lines() const {
  return {of(DescriptorUse::Visitor).line.load(std::memory_order_relaxed),
          of(DescriptorUse::Data).line.load(std::memory_order_relaxed),
          of(DescriptorUse::Client).line.load(std::memory_order_relaxed)};
}

bool DescriptorBudget::take(DescriptorUse use) {
  Use& one = of(use);
  if (now_.fetch_add(1, std::memory_order_relaxed) >= one.line.load(std::memory_order_relaxed)) {
    now_.fetch_sub(1, std::memory_order_relaxed);
    one.refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  one.now.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Several at once may come to one or two more than their share.
bool DescriptorBudget::take_for(DescriptorUse use, std::uint32_t has) {
  const std::uint32_t line = of(DescriptorUse::Client).line.load(std::memory_order_relaxed);
  const std::uint32_t share = line / kGrantShare;
  const bool last = line != UINT32_MAX && now() >= line - share;
  if (!last || has < share || !several_.load(std::memory_order_relaxed)) return take(use);
  of(use).refused.fetch_add(1, std::memory_order_relaxed);
  refused_share_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void DescriptorBudget::take_anyway(DescriptorUse use) {
  now_.fetch_add(1, std::memory_order_relaxed);
  of(use).now.fetch_add(1, std::memory_order_relaxed);
}

void DescriptorBudget::give(DescriptorUse use) {
  now_.fetch_sub(1, std::memory_order_relaxed);
  of(use).now.fetch_sub(1, std::memory_order_relaxed);
}

std::int64_t DescriptorBudget::room(DescriptorUse use) const {
  return static_cast<std::int64_t>(of(use).line.load(std::memory_order_relaxed)) - static_cast<std::int64_t>(now());
}

}  // namespace ferrotunnel
