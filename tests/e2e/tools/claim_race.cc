// claim_race HTTP-ADDRESS HOST ROUNDS RESET-EVERY TOKEN-A TOKEN-B: two clients that want the same host, at the same moment, again and again.
//
// Each round both ask for it; who has it serves one visitor and gives it up, every RESET-EVERY rounds (0: never) by an RST of its link. Prints
//   {"event":"over","a":N,"b":N,"both":N,"neither":N,"strayed":N}
// a, b: rounds won. both: rounds that both won, which must not be. neither: rounds that none won. strayed: visitors who did not land at the
// one who had the host.

#include <signal.h>

#include <random>

#include "support/raw_link.h"

namespace {

using namespace ferrotunnel;  // NOLINT(google-build-using-namespace): a program of one file
using test::control;
using test::frame;
using test::Millis;
using wire::FrameType;

constexpr Millis kPatience{20'000};

class Rival {
 public:
  Rival(session::JoinToken token, char label) : token_(std::move(token)), label_(label) { begin(); }

  void begin() {
    link_.emplace(token_, "127.0.0.1");
    if (const std::string why = link_->sign_in(); !why.empty()) test::give_up("signing in", why);
  }
  void ask(const std::string& host) {
    link_->send(control(R"({"type":"register","req":1,"name":"r","proto":"http","host":")" + host + "\"}"));
  }
  // Whether the server gave it.
  bool granted() {
    while (auto got = link_->next(kPatience)) {
      if (got->header.type != FrameType::Control) continue;
      const auto message = wire::decode(got->payload);
      if (!message || !*message) test::give_up("an answer", got->payload);
      if (const auto* yes = std::get_if<wire::Registered>(&**message)) {
        tunnel_ = yes->tunnel;
        return true;
      }
      if (std::holds_alternative<wire::Rejected>(**message)) return false;
    }
    test::give_up("asking for a host", "no answer: " + link_->end());
  }
  // Serves one request that a visitor has sent; false when none comes.
  bool serve(Millis patience) {
    std::uint32_t stream = 0;
    while (auto got = link_->next(patience)) {
      if (got->header.type == FrameType::Open) stream = got->header.stream;
      if (got->header.type != FrameType::Data || got->header.stream != stream || !got->payload.contains("\r\n\r\n"))
        continue;
      const std::string answer =
          std::string("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n") + label_;
      return link_->send(frame(FrameType::Data, stream, answer, wire::kFlagFin));
    }
    return false;
  }
  void give_host_up() { link_->send(control(R"({"type":"unregister","tunnel":)" + std::to_string(tunnel_) + "}")); }
  void vanish() { link_->reset(); }
  [[nodiscard]] char label() const { return label_; }

 private:
  const session::JoinToken token_;
  const char label_;
  std::optional<test::RawLink> link_;
  std::uint32_t tunnel_ = 0;
};

// One visitor of `host`, who asks, is served by `holder`, and tells the body.
char visit(const std::string& http, const std::string& host, Rival& holder) {
  auto fd = test::dial(http, "127.0.0.1");
  if (!fd) test::give_up(http, "nobody listens there");
  transport::TcpStream visitor(std::move(*fd));
  const std::string request = "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
  const iovec piece{const_cast<char*>(request.data()), request.size()};
  (void)visitor.write({&piece, 1});
  if (!holder.serve(kPatience)) return '?';
  std::string answer;
  const auto deadline = test::Steady::now() + kPatience;
  while (test::Steady::now() < deadline) {
    std::array<std::byte, 4096> buffer;
    const auto got = visitor.read(buffer);
    if (got.status == transport::IoStatus::WouldBlock) {
      pollfd one{visitor.fd(), POLLIN, 0};
      ::poll(&one, 1, 1000);
      continue;
    }
    if (got.status != transport::IoStatus::Ok) break;
    answer.append(as_text(ConstBytes(buffer).first(got.n)));
  }
  return answer.starts_with("HTTP/1.1 200") ? answer.back() : '?';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: claim_race HTTP-ADDRESS HOST ROUNDS RESET-EVERY TOKEN-A TOKEN-B\n", stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const auto first = session::decode_join_token(argv[5]), second = session::decode_join_token(argv[6]);
  if (!first || !second) test::give_up("a token", "is none");
  const std::string http = argv[1], host = argv[2];
  const unsigned long rounds = std::strtoul(argv[3], nullptr, 10), reset_every = std::strtoul(argv[4], nullptr, 10);
  Rival a(*first, 'a'), b(*second, 'b');
  unsigned long won_a = 0, won_b = 0, both = 0, neither = 0, strayed = 0;
  std::random_device seed;
  for (unsigned long round = 1; round <= rounds; ++round) {
    // Who asks first is chance: which shard is quicker decides.
    Rival* order[] = {&a, &b};
    if (seed() % 2 == 0) std::swap(order[0], order[1]);
    for (Rival* one : order) one->ask(host);
    const bool to_a = a.granted(), to_b = b.granted();
    both += static_cast<unsigned>(to_a && to_b);
    if (!to_a && !to_b) {
      ++neither;
      continue;
    }
    ++(to_a ? won_a : won_b);
    Rival& holder = to_a ? a : b;
    if (visit(http, host, holder) != holder.label()) ++strayed;
    if (reset_every != 0 && round % reset_every == 0) {
      holder.vanish();
      holder.begin();
    } else {
      holder.give_host_up();
    }
  }
  std::printf(R"({"event":"over","a":%lu,"b":%lu,"both":%lu,"neither":%lu,"strayed":%lu})"
              "\n",
              won_a, won_b, both, neither, strayed);
  return 0;
}
