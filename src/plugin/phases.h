// What a filter is told of a request, and what it may do: the in-process contract of plugins.
//
//   RequestHead   the visitor's head, checked and in the one spelling. May change it, answer, refuse, or wait
//   RequestBody   each piece of its payload on its way to the origin. May look, and refuse
//   ResponseHead  the origin's final head. May change status and fields, and give a Transform that the payload goes through
//   ResponseBody  each piece of its payload as the origin sent it, on its way to the visitor. May look
//   Log           the request is over
//
// Threads: a filter is immutable and shared by all shards; its calls for one request come one after another on the shard of the visitor, calls
// for different requests at the same time on different threads. What it has to remember of a request is in the request's Slot. A call
// may not block: what takes longer than microseconds answers Verdict::Wait and goes elsewhere (worker.h).
// Ownership: every view is good during the call only; what a filter puts into a head has to live in the Scratch, in the filter, or in
// the head. Nothing may be allocated for a piece of a body.
// Errors: a filter has none at run time. What can be wrong is found when it is made (builtin/rules.h); whatever a visitor sends has a verdict.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "http/message.h"

namespace ferrotunnel::plugin {

enum class Phase : std::uint8_t { RequestHead = 1, RequestBody = 2, ResponseHead = 4, ResponseBody = 8, Log = 16 };

// A set of phases: one byte, so that what nobody wants costs one test.
class Phases {
 public:
  constexpr Phases() = default;
  constexpr Phases(std::initializer_list<Phase> phases) {
    for (const Phase phase : phases) bits_ |= static_cast<std::uint8_t>(phase);
  }
  [[nodiscard]] constexpr bool has(Phase phase) const { return (bits_ & static_cast<std::uint8_t>(phase)) != 0; }
  constexpr void add(Phases other) { bits_ |= other.bits_; }

 private:
  std::uint8_t bits_ = 0;
};

// Text that has to live until a head was written: what the rules of one request make, all together at most kMost bytes. Beyond that the
// request fails (ChainRun looks), whatever visitors make a rule repeat.
class Scratch {
 public:
  static constexpr std::size_t kMost = 32 * 1024;

  // "": there is too much.
  [[nodiscard]] std::string_view keep(std::string text) {
    size_ += text.size();
    if (over()) return {};
    return texts_.emplace_back(std::move(text));
  }
  [[nodiscard]] std::size_t room() const { return over() ? 0 : kMost - size_; }
  [[nodiscard]] bool over() const { return size_ > kMost; }
  void clear() {
    texts_.clear();
    size_ = 0;
  }

 private:
  std::deque<std::string> texts_;  // never moves what it has
  std::size_t size_ = 0;
};

// What counts as one visitor: family, and the IPv4 address or the /64 of an IPv6 one.
using Network = std::pair<std::uint64_t, std::uint64_t>;

// Fixed for a request.
struct RequestInfo {
  std::string_view visitor;  // address, without port
  std::uint16_t visitor_port = 0;
  std::string_view scheme;  // what the visitor spoke to us: "http" or "https"
  std::string_view host;    // in the one spelling, without port
  std::string_view id;
  Network network{};
};

// An answer of the filter's own.
struct Reply {
  std::uint16_t status = 0;
  // A page that names the visitor's side, in the format the visitor likes: its Ferrotunnel-Error and a sentence. "": the body below, as it is.
  std::string_view slug;
  std::string_view sentence;
  std::uint32_t retry_after = 0;  // seconds, of a page
  http::Fields fields;            // beside those that belong to framing and page
  std::string_view content_type;
  std::string_view body;
};

// What one filter remembers of one request.
struct SlotState {
  virtual ~SlotState() = default;
};
struct Slot {
  std::uint64_t number = 0;
  std::unique_ptr<SlotState> state;
};

// Whoever said Verdict::Wait calls resume() once, on any thread, even when nobody waits any more; the head phase then runs again from the
// first filter, with the head as it came and the slots as they were left. Who waits for a visitor who leaves, or is waited for too long, hears
// of it by the end of its SlotState.
class Waiter {
 public:
  virtual void resume() = 0;
  virtual ~Waiter() = default;
};
using WaiterPtr = std::shared_ptr<Waiter>;

struct RequestView {
  const RequestInfo& info;
  http::RequestHead& head;  // fields, and path_and_query with path and query (set_path)
  std::string_view asked;   // path and query as the visitor asked, in the one spelling; what rules match
  std::string_view host;    // for the origin; "": the visitor's
  Reply reply;              // of Verdict::Answer
  Scratch& scratch;
  const WaiterPtr& waiter;

  // `path` begins with '/' and lives in the scratch; the query stays.
  void set_path(std::string_view path);
};

// What makes another payload out of a response's, piece by piece. Of one response: its exchange owns it, and calls on its shard, one call
// after another. What it holds between calls is bounded, and so is what one call gives.
class Transform {
 public:
  static constexpr std::size_t kMostIn = 8 * 1024;    // bytes that a call gets
  static constexpr std::size_t kMostOut = 40 * 1024;  // bytes that come out of calls with kMostIn bytes together

  enum class Until : std::uint8_t {
    More,   // there is more to come at once
    Pause,  // who knows when: all that was taken has to come out
    End,    // that was all; once
  };
  // Takes all of `in`, and puts what is ready into `out`, which has kMostOut bytes. How many it put there; nothing: it failed, and the
  // response is cut.
  [[nodiscard]] virtual std::optional<std::size_t> run(ConstBytes in, MutBytes out, Until until) = 0;
  [[nodiscard]] virtual std::size_t memory() const = 0;  // what it holds, about: for the budget
  virtual ~Transform() = default;
};

struct ResponseView {
  const RequestInfo& info;
  http::ResponseHead& head;  // status and fields; framing is not a filter's to change
  Scratch& scratch;
  // Whether the payload may become another: there is one, and memory for it. The length is forgotten then.
  bool may_transform = false;
  std::unique_ptr<Transform> transform;  // one for all filters: who finds one there leaves it
};

// A request that is over.
struct Summary {
  const RequestInfo& info;
  std::uint16_t status = 0;  // the visitor got; 0: none
  std::uint64_t bytes_in = 0, bytes_out = 0;
  std::string_view slug;  // what failed
};

enum class Verdict : std::uint8_t {
  Pass,
  Answer,  // reply is what the visitor gets; of a body phase: its page
  Wait,    // head phase only
};

class Filter {
 public:
  virtual ~Filter() = default;

  [[nodiscard]] virtual Phases phases() const = 0;
  // Whether it looks at or changes the path, which then goes on in the one spelling.
  [[nodiscard]] virtual bool looks_at_paths() const { return false; }
  [[nodiscard]] virtual bool may_wait() const { return false; }  // ever says Verdict::Wait

  [[nodiscard]] virtual Verdict on_request_head(RequestView& /*request*/, Slot& /*slot*/) const {
    return Verdict::Pass;
  }
  // `reply` is for Verdict::Answer. No Wait.
  [[nodiscard]] virtual Verdict on_request_body(ConstBytes /*payload*/, Slot& /*slot*/, Reply& /*reply*/) const {
    return Verdict::Pass;
  }
  virtual void on_response_head(ResponseView& /*response*/, Slot& /*slot*/) const {}
  virtual void on_response_body(ConstBytes /*payload*/, Slot& /*slot*/) const {}
  virtual void on_log(const Summary& /*summary*/, Slot& /*slot*/) const {}
};
using FilterPtr = std::shared_ptr<const Filter>;

}  // namespace ferrotunnel::plugin
