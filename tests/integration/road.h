// Road: a TCP proxy between a client and its server, which a test cuts, freezes or closes.
#pragma once

#include "integration/api_world.h"

namespace ferrotunnel::api_test {

class Road {
 public:
  explicit Road(std::uint16_t to) : to_(to), service_([this](const Socket& near) { carry(near); }) {}
  ~Road() { over_ = true; }
  [[nodiscard]] std::string at() const { return service_.at(); }
  // Those who are on it lose the road; the far end hears nothing of it. New ones find it whole.
  void cut_near_end() { ++cuts_; }
  // Nothing moves any more, and nobody hears of it; new ones find it whole.
  void freeze() { ++freezes_; }
  // What the far end says waits; new ones wait, too.
  void hold_back(bool on) { held_ = on; }
  // Both ends of those who are on it hear of its end, and nobody comes through any more.
  void close() { closed_ = true; }

 private:
  void carry(const Socket& near) {
    if (closed_) return;
    const int cut = cuts_, frozen = freezes_;
    auto& far = keep(Socket::connect(to_));
    std::vector<char> buffer(65536);
    while (!over_ && !closed_ && cut == cuts_) {
      pollfd fds[2] = {{near.fd(), POLLIN, 0}, {far.fd(), static_cast<short>(held_ ? 0 : POLLIN), 0}};
      if (frozen != freezes_) {
        ::poll(nullptr, 0, 10);
        continue;
      }
      if (::poll(fds, 2, 10) <= 0) continue;
      for (int i = 0; i < 2; ++i) {
        if (fds[i].revents == 0 || (i == 1 && held_)) continue;
        const ssize_t n = ::recv(fds[i].fd, buffer.data(), buffer.size(), 0);
        if (n <= 0 || !(i == 0 ? far : near).send({buffer.data(), static_cast<std::size_t>(n)})) {
          ::shutdown(far.fd(), SHUT_RDWR);
          return;
        }
      }
    }
    if (closed_) ::shutdown(far.fd(), SHUT_RDWR);
    // Returning ends the near end only.
  }
  Socket& keep(Socket socket) {
    const std::lock_guard lock(mutex_);
    return far_.emplace_back(std::move(socket));
  }
  const std::uint16_t to_;
  std::atomic<bool> over_{false}, closed_{false}, held_{false};
  std::atomic<int> cuts_{0}, freezes_{0};
  std::mutex mutex_;
  std::list<Socket> far_;
  Service service_;
};

}  // namespace ferrotunnel::api_test
