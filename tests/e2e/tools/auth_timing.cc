// auth_timing TRIES [TOKEN | control]: whether the time to a refusal tells a grant that is unknown from a secret that is wrong.
//
// TRIES of each kind, in an order of chance. Without a token the server's handshake alone, in this process: from the last byte of `auth` handed in
// to the refusal being there; `control` compares two unknown names, between which there is nothing to find. With the token of a server (its
// grant is the known one; plain TCP, so that TLS does not hide it): from the write of `auth` to the first byte of the refusal, every 8 tries
// from another address of 127.0.0.0/8, since a server does not listen to one that fails more often.
//
// Prints a JSON line: t of Welch's test, means and deviations in ns, and how many tries were left out: those above the 95th percentile of both
// kinds together, one bound for both. Rates of preemption and interrupts have no secret in them.

#include <signal.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "session/grant_book.h"
#include "support/raw_link.h"

namespace {

using namespace ferrotunnel;  // NOLINT(google-build-using-namespace): a program of one file
using test::Steady;

constexpr unsigned kTriesAnAddress = 8;

struct Sample {
  double mean = 0, variance = 0;
  std::size_t n = 0;
};
Sample sample(const std::vector<double>& values) {
  Sample result;
  result.n = values.size();
  for (const double v : values) result.mean += v / static_cast<double>(values.size());
  for (const double v : values)
    result.variance += (v - result.mean) * (v - result.mean) / static_cast<double>(values.size() - 1);
  return result;
}

// An `auth` whose proof is nothing: the server cannot know that before it has made its own.
std::string auth(const std::string& grant) {
  wire::Auth message;
  message.grant = grant;
  fill_random(message.nonce);
  fill_random(message.proof);
  fill_random(message.instance);
  message.version = "timing";
  return test::control(wire::encode(message));
}

class Judge {
 public:
  // Two kinds: a name that is unknown, and `known`; or two that are unknown, to see what the measurement finds where there is nothing.
  Judge(const std::string& known, bool control) : names_{known, known} {
    // Of the same length, and differing only at the end: a comparison that stops early is met too.
    names_[0].back() = known.back() == 'x' ? 'y' : 'x';
    if (control) names_[1].back() = known.back() == 'w' ? 'v' : 'w';
  }
  // One of both kinds, by chance, until each has had its tries.
  template <class Try>
  void run(std::size_t tries, Try one) {
    std::mt19937_64 random(std::random_device{}());
    std::vector<std::uint8_t> order(tries * 2);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i < tries ? 0 : 1;
    std::ranges::shuffle(order, random);
    for (auto& kind : times_) kind.reserve(tries);
    // Made anew for each try and handed over from one place in memory: where a message lies, or comes from, is measured else.
    std::string message = auth(names_[0]);
    for (const std::uint8_t kind : order) {
      std::ranges::copy(auth(names_[kind]), message.begin());
      times_[kind].push_back(one(message));
    }
  }
  void print(const char* where) {
    std::vector<double> all(times_[0]);
    all.insert(all.end(), times_[1].begin(), times_[1].end());
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(all.size() * 95 / 100);
    std::ranges::nth_element(all, at);
    const double bound = *at;
    std::size_t left_out = 0;
    for (auto& kind : times_) left_out += std::erase_if(kind, [bound](double v) { return v > bound; });
    const Sample unknown = sample(times_[0]), wrong = sample(times_[1]);
    const double t = (unknown.mean - wrong.mean) / std::sqrt(unknown.variance / static_cast<double>(unknown.n) +
                                                             wrong.variance / static_cast<double>(wrong.n));
    std::printf(
        R"({"event":"timing","where":"%s","t":%.2f,"unknown_ns":%.1f,"wrong_ns":%.1f,"unknown_sd":%.1f,"wrong_sd":%.1f,"n":[%zu,%zu],"left_out":%zu})"
        "\n",
        where, t, unknown.mean, wrong.mean, std::sqrt(unknown.variance), std::sqrt(wrong.variance), unknown.n, wrong.n,
        left_out);
  }

 private:
  std::array<std::string, 2> names_;  // unknown, known
  std::array<std::vector<double>, 2> times_;
};

double since(Steady::time_point began) {
  return std::chrono::duration<double, std::nano>(Steady::now() - began).count();
}

void in_process(std::size_t tries, bool control) {
  session::GrantBook grants;
  std::vector<session::Grant> all;
  for (const char* name : {"laptop-a", "laptop-m", "laptop-z"}) {
    session::Grant grant;
    grant.name = name;
    grant.secrets.push_back(session::Secret::generate());
    all.push_back(std::move(grant));
  }
  grants.replace(std::move(all));
  Judge judge("laptop-m", control);
  const auto preface = wire::encode(wire::Preface{});
  judge.run(tries, [&](const std::string& message) {
    session::ServerHandshakeOptions options;
    options.version = "timing";
    options.session = "s1";
    session::ServerHandshake handshake(std::move(options), grants);
    if (!handshake.feed(preface)) test::give_up("the preface", "is not taken");
    (void)handshake.take_output();
    const auto began = Steady::now();
    const bool refused = !handshake.feed(as_bytes(message)) && !handshake.output().empty();
    const double took = since(began);
    if (!refused) test::give_up("a wrong proof", "was not refused");
    return took;
  });
  judge.print(control ? "in process, two unknown" : "in process");
}

class Address {
 public:
  std::string next() {
    const unsigned n = count_++ / kTriesAnAddress;
    return "127." + std::to_string(10 + n / 60'000) + "." + std::to_string(n / 240 % 250) + "." +
           std::to_string(n % 240 + 1);
  }

 private:
  unsigned count_ = 0;
};

// Blocking reads: the time to wake up is the same for both.
std::size_t read_all(int fd, std::string& into, std::size_t at_least) {
  std::array<char, 4096> buffer{};
  while (into.size() < at_least) {
    const auto got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    into.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return into.size();
}

void over_the_network(std::size_t tries, const session::JoinToken& token) {
  Judge judge(token.grant, false);
  const auto preface = wire::encode(wire::Preface{});
  Address address;
  judge.run(tries, [&](const std::string& message) {
    auto fd = test::dial(token.addresses.at(0), address.next());
    if (!fd) test::give_up(token.addresses.at(0), "nobody listens there");
    ::fcntl(fd->get(), F_SETFL, 0);
    if (::send(fd->get(), preface.data(), preface.size(), 0) < 0) test::give_up("the preface", "is not taken");
    std::string got;
    read_all(fd->get(), got, wire::kPrefaceSize + wire::kHeaderSize);
    const auto header = wire::decode_header(as_bytes(got).subspan<wire::kPrefaceSize, wire::kHeaderSize>());
    if (!header) test::give_up("the challenge", "is none");
    read_all(fd->get(), got, wire::kPrefaceSize + wire::kHeaderSize + header->length);
    got.clear();
    const auto began = Steady::now();
    (void)::send(fd->get(), message.data(), message.size(), 0);
    read_all(fd->get(), got, 1);
    const double took = since(began);
    if (!got.contains("unauthorized")) test::give_up("a wrong proof", "was not refused: " + got);
    transport::close_with_reset(fd->get());
    return took;
  });
  judge.print("over loopback");
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t tries = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0;
  if (tries < 100 || argc > 3) {
    std::fputs("usage: auth_timing TRIES [TOKEN | control], at least 100\n", stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const std::string_view what = argc > 2 ? argv[2] : "";
  if (argc == 2 || what == "control") {
    in_process(tries, argc > 2);
    return 0;
  }
  const auto token = session::decode_join_token(what);
  if (!token || token->tls) test::give_up("the token", token ? "is for TLS" : "is none");
  over_the_network(tries, *token);
  return 0;
}
