// H2OriginConnection: one stream of a link that speaks HTTP/2 to a tunnel's local service, and the requests that share it.
//
//   Open -> Closing      GOAWAY goes out, then FIN; what the origin still says is dropped
//
// Bytes go straight into its H2Client and straight out of it. Whoever has something to say only leaves a note: heads are sent, and the link is
// asked, at the end of the turn. An error of one stream ends one exchange; a lost connection ends all of its own. Owned by H2Origins; the
// shard's thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/buffer_pool.h"
#include "http/h2/h2_client.h"
#include "ingress/origin_h2/h2_origin_stream.h"
#include "transport/deadline.h"
#include "transport/link.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress {

namespace detail {
struct H2OfTunnel;
}
using H2OriginConnectionHook = detail::H2OriginHook<detail::H2OfTunnel>;

class H2OriginConnection final : public H2OriginConnectionHook,
                                 private transport::StreamHandler,
                                 private transport::TurnTask,
                                 private transport::Deadline {
 public:
  H2OriginConnection(H2Origins& origins, std::string_view scheme);
  ~H2OriginConnection();

  [[nodiscard]] Result<> open(transport::Link& link, const transport::OpenInfo& info);

  void add(H2OriginStream& stream);
  // Requests on it, of which some may wait for their turn.
  [[nodiscard]] std::size_t load() const { return load_; }
  [[nodiscard]] bool has_room() const { return load() + leaving_.size() < client_.max_streams(); }
  // Whether it takes requests; those of `tired` ones go elsewhere.
  [[nodiscard]] bool usable() const;
  void tire() { tired_ = true; }
  void retire();  // says GOAWAY and goes, once nothing runs
  void cut();     // resets

  // ---- for its streams ----
  [[nodiscard]] http::H2Client& client() { return client_; }
  [[nodiscard]] const http::H2Client& client() const { return client_; }
  [[nodiscard]] std::string_view scheme() const { return scheme_; }
  void schedule();
  void has_work(H2OriginStream& stream);
  // A response was taken to its end, and its stream is about to be closed by the origin.
  void leaves(std::int32_t id);
  void on_stream_gone();

 private:
  enum class State : std::uint8_t { Open, Closing, Gone };

  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override;
  void on_fin(transport::Stream& stream) override;
  void on_end(transport::Stream& stream, transport::StreamEnd end) override;
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override;
  void run_turn() override;
  void on_deadline() override;

  void work();
  void check();
  void settle();
  void lose(transport::ResetReason reason, bool fin);
  void drop_leaving(TimePoint now);
  void arm_next();

  H2Origins& origins_;
  const std::string_view scheme_;
  http::H2Client client_;
  transport::Stream* link_stream_ = nullptr;
  boost::intrusive::list<H2OriginStream, boost::intrusive::constant_time_size<false>,
                         boost::intrusive::base_hook<H2OriginStreamHook>>
      streams_;
  boost::intrusive::list<H2OriginStream, boost::intrusive::constant_time_size<false>,
                         boost::intrusive::base_hook<H2OriginWorkHook>>
      work_;
  struct Leaving {
    std::int32_t id;
    TimePoint since;
  };
  std::vector<Leaving> leaving_;
  std::size_t load_ = 0;  // of streams_
  Buffer out_;            // what the link had no room for
  std::size_t out_begin_ = 0, out_end_ = 0;
  TimePoint born_{}, since_{};  // since_: without requests, or closing
  State state_ = State::Open;
  bool feeding_ : 1 = false;
  bool tired_ : 1 = false;
  bool idle_ : 1 = false;
  bool settled_ : 1 = false;  // so is the client, and who waited for it knows
};

}  // namespace ferrotunnel::ingress
