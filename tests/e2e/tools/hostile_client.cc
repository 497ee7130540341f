// hostile_client TOKEN ATTACK...: what a client may send that means harm. Each attack has a thread, a connection and a source address
// (127.0.1.N) of its own, and all run at once.
//
// Prints a JSON line for each, and {"event":"over"} at the end:
//   {"event":"attack","attack":NAME,"end":E,"ms":T,"registered":N,"rejected":N,"resets":[CODES]}
// E: "goaway N", "closed" (without a word), "refused" (the token), or "open": the link stood at the end, and answered a PING.
// Attacks named with "@PORT" need the port of somebody else's tunnel, or "@HOST" a host of theirs: "claim@app.test".
// tests/e2e/test_hostile.py says what each has to come to.

#include <signal.h>

#include <functional>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "support/attack.h"

namespace {

using namespace ferrotunnel;  // NOLINT(google-build-using-namespace): a program of one file
using test::Attack;
using test::control;
using test::frame;
using test::kPatience;
using test::Millis;
using test::raw_header;
using test::RawLink;
using test::u32;
using wire::FrameType;

using Act = std::function<void(Attack&, const std::string& with)>;

std::string http_register(unsigned req, std::string_view host, std::string_view name = "x") {
  return R"({"type":"register","req":)" + std::to_string(req) + R"(,"name":")" + std::string(name) +
         R"(","proto":"http","host":")" + std::string(host) + "\"}";
}
std::string open_frame(std::uint32_t stream) {
  return frame(FrameType::Open, stream, u32(1) + std::string("\1\0\0\0", 4));
}

// --- before it is signed in

Act instead_of_auth(std::string bytes) {
  return [bytes = std::move(bytes)](Attack& a, const std::string&) {
    a.magic();
    a.link().send(bytes);
    a.wait_end();
  };
}

void half_a_handshake(Attack& a, const std::string&) {
  a.magic();
  a.link().send(raw_header(7, 300, 0) + R"({"type":"auth","gr)");
  a.wait_end();
}

void half_a_preface(Attack& a, const std::string&) {
  a.link().send("FTUN\1");
  a.wait_end();
}

void not_the_magic(Attack& a, const std::string&) {
  a.link().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  a.wait_end();
}

// All that a good client said, on another connection, while the good one stands and when it is gone.
void replay(Attack& a, const std::string&) {
  a.sign_in();
  for (const bool stands : {true, false}) {
    if (!stands) a.link().reset();
    RawLink again(a.token(), a.from());
    again.send(a.link().said());
    bool refused = false;
    while (auto got = again.next(kPatience)) refused = refused || got->payload.contains("unauthorized");
    if (!refused) return a.set_end("NOT REFUSED");
    if (stands) a.conclude();
  }
  a.set_end("refused");
}

// As often as "with" says, with a secret that is not the grant's; in rejected what the server listened to.
void wrong_token(Attack& a, const std::string& times) {
  session::JoinToken wrong = a.token();
  wrong.secret = session::Secret::generate();
  for (unsigned long left = std::strtoul(times.c_str(), nullptr, 10); left > 0; --left) {
    RawLink link(wrong, a.from());
    if (link.ended()) continue;
    if (link.sign_in().contains("refused the token")) a.count_rejected();
  }
  a.set_end("over");
}

// --- signed in

Act send_and_wait(std::function<std::string()> bytes) {
  return [bytes = std::move(bytes)](Attack& a, const std::string&) {
    a.sign_in();
    a.link().send(bytes());
    a.wait_end();
  };
}
Act send_and_conclude(std::string bytes) {
  return [bytes = std::move(bytes)](Attack& a, const std::string&) {
    a.sign_in();
    a.link().send(bytes);
    a.conclude();
  };
}
Act once(std::string bytes) {
  return send_and_wait([bytes = std::move(bytes)] { return bytes; });
}
std::string repeat(unsigned times, const std::string& what, std::string first = {}) {
  first.reserve(first.size() + times * what.size());
  for (unsigned i = 0; i < times; ++i) first += what;
  return first;
}
Act flood(unsigned times, const std::string& what, const std::string& first = {}) {
  return send_and_wait([=] { return repeat(times, what, first); });
}

void open_flood(Attack& a, const std::string&) {
  a.sign_in();
  std::string opens;
  for (std::uint32_t id = 1; id < 400'000; id += 2) opens += open_frame(id);
  a.link().send(opens);
  a.wait_end();
}

// What the silent end of a link holds is a header of a frame that never comes.
void long_lie(Attack& a, const std::string&) {
  a.sign_in();
  a.link().answer_pings(false);
  a.link().send(raw_header(7, 60'000, 0) + "{\"type\"");
  a.wait_end();
}

// 10,000 tunnels, slow enough for the limit of CONTROL frames a second.
void register_many(Attack& a, const std::string&) {
  a.sign_in();
  unsigned answered = 0;
  const auto began = test::Steady::now();
  for (unsigned sent = 0; sent < 10'000 && !a.link().ended();) {
    std::string batch;
    for (unsigned i = 0; i < 125; ++i, ++sent)
      batch += control(http_register(sent, "n" + std::to_string(sent) + ".many.test"));
    a.link().send(batch);
    while (answered < sent && a.await(FrameType::Control)) ++answered;
    std::this_thread::sleep_until(began + Millis(sent / 15 * 10));  // 1,500 a second
  }
  a.conclude();
}

void register_at_once(Attack& a, const std::string&) {
  a.sign_in();
  std::string all;
  for (unsigned i = 0; i < 10'000; ++i) all += control(http_register(i, "n" + std::to_string(i) + ".once.test"));
  a.link().send(all);
  a.wait_end();
}

void odd_hosts(Attack& a, const std::string&) {
  a.sign_in();
  for (const char* host : {R"(a\u0000b.test)", R"(a\nb.test)", R"(a\u001b[31m.test)", R"(a\r\nSet-Cookie: x.test)",
                           "a b.test", "a..test", R"(\u202e.test)", "a/b.test", "*.*.test", "*", "-", "[::1"})
    a.ask(http_register(1, host));
  a.conclude();
}

void same_number_twice(Attack& a, const std::string&) {
  a.sign_in();
  a.ask(http_register(7, "one.twice.test"));
  a.ask(http_register(7, "two.twice.test"));
  a.ask(http_register(7, "two.twice.test"));
  a.conclude();
}

void claim(Attack& a, const std::string& host) {
  a.sign_in();
  a.ask(http_register(1, host));
  a.conclude();
}

// Tunnel numbers count in each session by themselves: these are the other's, not ours.
void touch_others(Attack& a, const std::string&) {
  a.sign_in();
  for (unsigned i = 1; i < 50; ++i) {
    a.link().send(control(R"({"type":"update","new_origin":true,"tunnel":)" + std::to_string(i) + "}"));
    a.link().send(control(R"({"type":"unregister","tunnel":)" + std::to_string(i) + "}"));
  }
  a.conclude();
}

// A visitor of a tunnel of our own; the stream's id.
std::uint32_t visited(Attack& a, std::optional<transport::UniqueFd>& visitor) {
  a.sign_in();
  const auto answer = a.ask(R"({"type":"register","req":1,"name":"t","proto":"tcp","port":0})");
  const auto at = answer ? answer->find("\"port\":") : std::string::npos;
  if (at == std::string::npos) test::give_up("a tunnel of our own", answer.value_or("no answer"));
  visitor = test::dial("127.0.0.1:" + std::to_string(std::strtoul(answer->c_str() + at + 7, nullptr, 10)), a.from());
  const auto open = a.await(FrameType::Open);
  if (!open) test::give_up("a visitor of our own", "is not told");
  return open->header.stream;
}
Act on_a_stream(std::function<std::string(std::uint32_t)> bytes) {
  return [bytes = std::move(bytes)](Attack& a, const std::string&) {
    std::optional<transport::UniqueFd> visitor;
    const std::uint32_t stream = visited(a, visitor);
    a.link().send(bytes(stream));
    a.await(FrameType::Reset);
    a.conclude();
  };
}

void noise(Attack& a, const std::string& seed) {
  a.sign_in();
  std::mt19937 random(static_cast<unsigned>(std::strtoul(seed.c_str(), nullptr, 10)));
  std::string bytes(200'000, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  a.link().send(bytes);
  a.wait_end();
}

std::string json_deep() {
  return control(R"({"type":"x","a":)" + std::string(5'000, '[') + std::string(5'000, ']') + "}");
}

const std::map<std::string, Act, std::less<>>& attacks() {
  static const std::string x10k(10'000, 'x');
  static const std::map<std::string, Act, std::less<>> all{
      {"half-handshake", half_a_handshake},
      {"half-preface", half_a_preface},
      {"not-the-magic", not_the_magic},
      {"early-ping", instead_of_auth(frame(FrameType::Ping, 0, "12345678"))},
      {"early-data", instead_of_auth(frame(FrameType::Data, 1, "hello"))},
      {"early-open", instead_of_auth(open_frame(1))},
      {"early-register", instead_of_auth(control(http_register(1, "early.test")))},
      {"early-long", instead_of_auth(raw_header(7, 5'000, 0))},
      {"replay", replay},
      {"wrong-token", wrong_token},
      {"auth-again", once(control(R"({"type":"refused","code":"x","text":"y"})"))},
      {"open-odd", send_and_conclude(open_frame(1) + open_frame(3))},
      {"open-even", once(open_frame(2))},
      {"open-twice", once(open_frame(1) + open_frame(1))},
      {"data-unopened", once(frame(FrameType::Data, 2, "hello"))},
      {"credit-unopened", once(frame(FrameType::Credit, 99, u32(1)))},
      {"data-on-0", once(frame(FrameType::Data, 0, "hello"))},
      {"control-on-2", once(frame(FrameType::Control, 2, "{}"))},
      {"long-data", once(raw_header(0, 262'145, 1))},
      {"long-control", once(raw_header(7, 65'537, 0))},
      {"long-goaway", once(raw_header(6, 265, 0))},
      {"short-credit", once(raw_header(2, 3, 2) + "abc")},
      {"short-open", once(raw_header(1, 7, 1) + "abcdefg")},
      {"ping-9", once(raw_header(4, 9, 0) + "abcdefghi")},
      {"short-lie", once(frame(FrameType::Ping, 0, "12345678") + std::string(16, '\xff'))},
      {"long-lie", long_lie},
      {"type-15", once(raw_header(15, 0, 0))},
      {"control-flood", flood(30'000, control(R"({"type":"x"})"))},
      {"ping-flood", flood(30'000, frame(FrameType::Ping, 0, "12345678"))},
      {"pong-flood", flood(30'000, frame(FrameType::Pong, 0, "12345678"))},
      {"empty-flood", flood(30'000, frame(FrameType::Data, 1, ""), open_frame(1))},
      {"reset-flood", flood(300'000, frame(FrameType::Reset, 1, u32(0)), open_frame(1))},
      {"open-flood", open_flood},
      {"register-many", register_many},
      {"register-at-once", register_at_once},
      {"odd-hosts", odd_hosts},
      {"same-number-twice", same_number_twice},
      {"claim", claim},
      {"touch-others", touch_others},
      {"name-10k", once(control(http_register(1, "a.test", x10k)))},
      {"host-10k", once(control(http_register(1, x10k)))},
      {"json-deep", once(json_deep())},
      {"json-broken", once(control(R"({"type":"register","req":)"))},
      {"json-a-list", once(control("[1,2]"))},
      {"over-credit",
       on_a_stream([](std::uint32_t s) { return frame(FrameType::Data, s, std::string(262'144, 'x')); })},
      {"credit-over", on_a_stream([](std::uint32_t s) { return frame(FrameType::Credit, s, u32(1u << 30)); })},
      {"credit-0", on_a_stream([](std::uint32_t s) { return frame(FrameType::Credit, s, u32(0)); })},
      {"data-after-fin",
       on_a_stream([](std::uint32_t s) { return frame(FrameType::Data, s, "a", 1) + frame(FrameType::Data, s, "b"); })},
      {"goaway-garbage", once(frame(FrameType::Goaway, 0, u32(0) + u32(0)) + std::string(4'000, '\xee'))},
      {"noise", noise},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: hostile_client TOKEN ATTACK...\nattacks:", stderr);
    for (const auto& [name, act] : attacks()) std::fprintf(stderr, " %s", name.c_str());
    std::fputs("\n", stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const auto token = session::decode_join_token(argv[1]);
  if (!token) test::give_up("the token", token.error().context);
  std::vector<std::jthread> threads;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    const auto at = word.find('@');
    const auto found = attacks().find(word.substr(0, at));
    if (found == attacks().end()) test::give_up(word, "is not an attack");
    const std::string with = at == std::string::npos ? "" : word.substr(at + 1);
    threads.emplace_back([&token, word, act = found->second, with, from = "127.0.1." + std::to_string(i)] {
      const auto began = test::Steady::now();
      Attack attack(*token, from, word);
      act(attack, with);
      attack.print(std::chrono::duration_cast<Millis>(test::Steady::now() - began));
    });
  }
  threads.clear();
  std::puts("{\"event\":\"over\"}");
  return 0;
}
