// Pipe: bytes on their way between two sockets that never pass through user memory (splice(2)), and the pool of pipes of a shard.
//
// A pipe has room for slots, not bytes: each takes one piece of a packet, so many small segments fill it early, and a socket that gives less
// than was asked is not drained for that. Whoever needs to know asks until it says WouldBlock with an empty pipe.
//
// An unprivileged user's pipes share 64 MiB of pages (pipe(7), /proc/sys/fs/pipe-user-pages-soft); past it the kernel makes pipes of a page.
// So the pool is bounded, and gives none rather than a small one: callers copy then. Linux only; elsewhere the pool is always empty.
// The shard's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "transport/byte_stream.h"

namespace ferrotunnel::transport {

class Pipe {
 public:
  Pipe(int read_end, int write_end, std::size_t capacity)
      : read_end_(read_end), write_end_(write_end), capacity_(capacity) {}
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe();

  [[nodiscard]] std::size_t size() const { return size_; }  // bytes in it
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  // From a socket, at most `most` bytes (> 0). WouldBlock: the socket has none, or this pipe no room.
  [[nodiscard]] IoResult fill_from(int socket, std::size_t most);
  // To a socket, at most `most` bytes, of those it holds.
  [[nodiscard]] IoResult drain_to(int socket, std::size_t most);
  // To memory: min(into.size(), size()) bytes, all of them there.
  [[nodiscard]] std::size_t read(MutBytes into);
  void clear();  // nobody wants what is in it any more

 private:
  friend class PipePool;
  int read_end_, write_end_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

class PipePool {
 public:
  static constexpr std::size_t kCapacity = 256 * 1024;  // of each: the largest DATA
  static constexpr std::size_t kLeast = 64 * 1024;      // a smaller one is not worth its calls
  static constexpr std::size_t kMost = 64;              // lent and kept, a shard: 16 MiB of pages
  static constexpr std::size_t kKept = 8;               // idle ones, for the next who needs one
  static constexpr std::size_t kFilesShare = 32;  // and at most one for so many descriptors that the process may have

  explicit PipePool(std::size_t most = default_most()) : most_(most) {}
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;
  ~PipePool();

  class Return {
   public:
    Return() = default;
    explicit Return(PipePool& pool) : pool_(&pool) {}
    void operator()(Pipe* pipe) const;

   private:
    PipePool* pool_ = nullptr;
  };
  using Lease = std::unique_ptr<Pipe, Return>;  // gives itself back; one with bytes in it is closed

  // An empty one; none: `most` are lent, or the system has none of a size worth having.
  [[nodiscard]] Lease borrow();
  // Closes the idle ones that nobody needed since the last time. False: none is left.
  bool trim();
  [[nodiscard]] std::size_t lent() const { return lent_; }
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }  // how often there was none
  [[nodiscard]] static std::size_t default_most();

 private:
  void give_back(Pipe* pipe);
  [[nodiscard]] static std::unique_ptr<Pipe> make();

  const std::size_t most_;
  std::vector<std::unique_ptr<Pipe>> idle_;
  std::size_t least_idle_ = 0;  // since the last trim(): so many were not needed
  std::size_t lent_ = 0;
  std::uint64_t refused_ = 0;
};
using PipeLease = PipePool::Lease;

}  // namespace ferrotunnel::transport
