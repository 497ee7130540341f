// MuxStream: one stream of a MuxCore. Private to mux/; others know it as transport::Stream.
//
// Owned by its core, on the core's shard. Idle it is these few fields; bytes in hand hang off held_ only while there are any.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/buffer_pool.h"
#include "base/clock.h"
#include "transport/link.h"
#include "transport/pipe.h"
#include "wire/limits.h"

namespace ferrotunnel::mux {

class MuxCore;

// Received bytes that the handler did not take yet, in order: what is in the pipe, where there is one, then the blocks.
class HeldBytes {
 public:
  explicit HeldBytes(BufferPool& pool) : pool_(pool) {}
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;
  ~HeldBytes() { count_pipe(0); }
  void append(ConstBytes bytes);
  void keep(transport::PipeLease pipe);  // nothing else is held
  [[nodiscard]] transport::Pipe* pipe() const { return pipe_.get(); }
  [[nodiscard]] bool only_pipe() const { return pipe_ != nullptr && empty(); }
  void pipe_changed();                      // its size: counts it, and lets it go when it is empty
  void copy_pipe();                         // into blocks: the handler takes no pipe
  [[nodiscard]] ConstBytes front() const {  // of the blocks
    const Chunk& chunk = chunks_[first_];
    return {chunk.buffer.data() + chunk.begin, chunk.end - chunk.begin};
  }
  void pop(std::size_t n);  // n <= front().size()
  // Bytes of the blocks and in the pipe: what it costs.
  [[nodiscard]] std::size_t borrowed() const { return borrowed_ + piped_; }

 private:
  struct Chunk {
    Buffer buffer;
    std::uint32_t begin = 0, end = 0;
  };
  [[nodiscard]] bool empty() const { return chunks_.size() == first_; }
  void count_pipe(std::size_t size);

  BufferPool& pool_;
  transport::PipeLease pipe_;
  std::size_t piped_ = 0;  // bytes of it that the budget knows of
  std::vector<Chunk> chunks_;
  std::size_t first_ = 0;  // chunks before it are used up
  std::size_t borrowed_ = 0;
};

struct ReadyTag;
struct StalledTag;
template <typename Tag>
using StreamHook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>,
                                                    boost::intrusive::link_mode<boost::intrusive::normal_link>>;

class MuxStream final : public transport::Stream, public StreamHook<ReadyTag>, public StreamHook<StalledTag> {
 public:
  MuxStream(MuxCore& core, std::uint32_t id) : core_(core), id_(id) {}

  void set_handler(transport::StreamHandler& handler) override { handler_ = &handler; }
  void want_write() override;
  void resume_read() override;
  void reset(transport::ResetReason reason) override;
  [[nodiscard]] std::uint32_t id() const override { return id_; }
  [[nodiscard]] std::size_t held() const override { return held_bytes_; }
  [[nodiscard]] bool blocked() const override { return send_credit_ == 0; }

 private:
  friend class MuxCore;

  MuxCore& core_;
  transport::StreamHandler* handler_ = nullptr;
  std::unique_ptr<HeldBytes> held_;
  TimePoint last_grant_{};  // or its first DATA
  const std::uint32_t id_;
  std::uint32_t send_credit_ = wire::kInitialCredit;
  std::uint32_t receive_credit_ = wire::kInitialCredit;  // bytes that the peer may still send
  std::uint32_t window_ = wire::kInitialCredit;          // credit given plus bytes held never exceed it
  std::uint32_t held_bytes_ = 0;                         // while there are any: in the core's list of the stalled
  bool bulk_ : 1 = false;                                // its last payload was large: the next is worth a pipe
  bool grown_ : 1 = false;                               // its window has
  bool wants_write_ : 1 = false;
  bool ready_ : 1 = false;  // in the core's ring
  bool fin_sent_ : 1 = false;
  bool fin_received_ : 1 = false;
  bool fin_delivered_ : 1 = false;
  bool delivering_ : 1 = false;
  bool dead_ : 1 = false;
};

}  // namespace ferrotunnel::mux
