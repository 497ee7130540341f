#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "app/cli/output_human.h"
#include "app/cli/output_json.h"
#include "app/cli/time_text.h"

namespace ferrotunnel::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr auto kNow = std::chrono::system_clock::time_point(1'800'000'000'123ms);

class StringSink final : public LineSink {
 public:
  void write(std::string_view text) override { all += text; }
  std::string take() { return std::exchange(all, {}); }
  std::string all;
};

const Error kRefused(ErrorCode::Unreachable, Side::Origin, true, "nothing answers on 127.0.0.1:1");
const std::string kHostile = "a\x1b[2J\r\nb\xff\"\\";

// One of everything, with hostile text wherever text may come from outside.
void say_all(Output& out) {
  out.ready({"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "ft1_x", kHostile, true, true, kHostile}, 38ms);
  out.session({SessionEvent::Kind::Up, "s1", "default", "127.0.0.1:3", kHostile, "tls 1.3", {}});
  out.session({SessionEvent::Kind::Down, "s1", "default", "127.0.0.1:3", kHostile, "tls 1.3", kRefused});
  out.tunnel({TunnelEvent::Kind::Up, "s1", kHostile, kHostile, {}});
  out.tunnel({TunnelEvent::Kind::Down, "s1", kHostile, kHostile, {}});
  out.tunnel(
      {TunnelEvent::Kind::Rejected, "s1", kHostile, "", Error(ErrorCode::AddressInUse, Side::Tunnel, false, kHostile)});
  out.request({"r1", kHostile, kHostile, kHostile, kHostile, 200, 1, 2, 12'345us, {}, ""});
  out.request({"r2", kHostile, kHostile, kHostile, kHostile, 0, 1, 2, 12us, Side::Origin, "origin-refused"});
  out.connecting({1, kHostile});
  out.connected({kHostile, kHostile, kHostile, kHostile, 1500us});
  out.disconnected({Error(ErrorCode::Unreachable, Side::Tunnel, true, kHostile), 1200ms});
  out.tunnel_up({kHostile, kHostile, kHostile, 0});
  out.tunnel_failed({kHostile, Error(ErrorCode::AddressInUse, Side::Tunnel, true, kHostile)});
  out.token_kept(kHostile);
  out.visitor({true, kHostile, 1, 2});
  out.note(kHostile);
  out.error(Error(ErrorCode::Io, Side::Local, true, kHostile));
  out.fatal(Error(ErrorCode::PinMismatch, Side::Tunnel, false, kHostile));
  out.stopping(10s);
  out.stopped(false);
}

std::vector<boost::json::object> parsed(const std::string& lines) {
  std::vector<boost::json::object> out;
  std::size_t at = 0;
  while (at < lines.size()) {
    const std::size_t end = lines.find('\n', at);
    EXPECT_NE(end, std::string::npos) << "a line without its end";
    out.push_back(boost::json::parse(lines.substr(at, end - at)).as_object());
    at = end + 1;
  }
  return out;
}

TEST(CliJsonOutput, EveryEventIsOneObjectWithTimeLevelAndName) {
  StringSink sink;
  JsonOutput out(sink, LogLevel::Debug, [] { return kNow; });
  say_all(out);
  const auto lines = parsed(sink.all);
  EXPECT_EQ(lines.size(), 20u);
  for (const auto& line : lines) {
    EXPECT_EQ(line.at("time"), "2027-01-15T08:00:00.123Z");
    EXPECT_TRUE(line.contains("level"));
    EXPECT_TRUE(line.contains("event"));
  }
}

TEST(CliJsonOutput, FieldsThatOthersRelyOn) {
  StringSink sink;
  JsonOutput out(sink, LogLevel::Info, [] { return kNow; });
  out.ready({"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "ft1_x", "/state", false, true, "localhost"}, 38ms);
  out.tunnel_up({"web", "http://demo.localhost:2", "http://127.0.0.1:8080", 0});
  out.tunnel_up({"ssh", "tcp://localhost:2222", "tcp://127.0.0.1:22", 2222});
  const auto lines = parsed(sink.all);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("event"), "ready");
  EXPECT_EQ(lines[0].at("listen"), "127.0.0.1:1");
  EXPECT_EQ(lines[0].at("http"), "127.0.0.1:2");
  EXPECT_EQ(lines[0].at("https"), "127.0.0.1:3");
  EXPECT_EQ(lines[0].at("join"), "ft1_x");
  EXPECT_EQ(lines[0].at("state"), "/state");
  EXPECT_EQ(lines[1].at("url"), "http://demo.localhost:2");
  EXPECT_FALSE(lines[1].contains("port"));
  EXPECT_EQ(lines[2].at("port").to_number<int>(), 2222);
  EXPECT_EQ(lines[2].at("to"), "tcp://127.0.0.1:22");
}

TEST(CliJsonOutput, LevelsLeaveOut) {
  const auto count = [](LogLevel level) {
    StringSink sink;
    JsonOutput out(sink, level, [] { return kNow; });
    say_all(out);
    return parsed(sink.all).size();
  };
  EXPECT_EQ(count(LogLevel::Error), 4u) << "ready, tunnel_up, fatal, stopped";
  EXPECT_LT(count(LogLevel::Error), count(LogLevel::Warn));
  EXPECT_LT(count(LogLevel::Warn), count(LogLevel::Info));
  EXPECT_LT(count(LogLevel::Info), count(LogLevel::Debug));
}

TEST(CliJsonOutput, TheSameErrorIsSaidOnceInAWhile) {
  StringSink sink;
  auto now = kNow;
  JsonOutput out(sink, LogLevel::Info, [&] { return now; });
  for (int i = 0; i < 5; ++i) out.error(kRefused);
  EXPECT_EQ(parsed(sink.take()).size(), 1u);
  now += 11s;
  out.error(kRefused);
  auto lines = parsed(sink.take());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("repeated").to_number<int>(), 4);
  out.error(Error(ErrorCode::Io, Side::Local, true, "another"));
  EXPECT_EQ(parsed(sink.take()).size(), 1u);
}

TEST(CliHumanOutput, PlainLinesHaveNoControlsOfAnyone) {
  StringSink sink;
  HumanOutput out(sink, LogLevel::Debug, {}, [] { return kNow; });
  say_all(out);
  for (const char c : sink.all) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  EXPECT_THAT(sink.all, HasSubstr("a\\x1b[2J\\x0d\\x0ab\\xff\"\\\\"));
  EXPECT_THAT(sink.all, HasSubstr("ferrotunnel http 3000 --join ft1_x"));
  EXPECT_THAT(sink.all, HasSubstr("in 38 ms"));
}

TEST(CliHumanOutput, ColoursComeOnTopOfTheWords) {
  StringSink plain_sink, colour_sink;
  HumanStyle style;
  HumanOutput plain(plain_sink, LogLevel::Debug, style, [] { return kNow; });
  style.colours = true;
  HumanOutput colour(colour_sink, LogLevel::Debug, style, [] { return kNow; });
  say_all(plain);
  say_all(colour);
  std::string stripped;
  for (std::size_t i = 0; i < colour_sink.all.size(); ++i) {
    if (colour_sink.all[i] == '\x1b') {
      i = colour_sink.all.find('m', i);
    } else {
      stripped += colour_sink.all[i];
    }
  }
  EXPECT_NE(colour_sink.all, plain_sink.all);
  EXPECT_EQ(stripped, plain_sink.all);
}

TEST(CliHumanOutput, ANoteIsNoError) {
  StringSink sink;
  HumanOutput out(sink, LogLevel::Info, {}, [] { return kNow; });
  out.note("the other one answers");
  EXPECT_THAT(sink.all, AllOf(HasSubstr("note        the other one answers"), Not(HasSubstr("error"))));
}

TEST(CliHumanOutput, TheLiveLineStaysBelowAndIsCutToTheTerminal) {
  StringSink sink;
  HumanStyle style;
  style.terminal = true;
  style.width = [] { return std::size_t{33}; };
  HumanOutput out(sink, LogLevel::Info, style, [] { return kNow; });
  ClientStatus status;
  status.connected = true;
  status.visitors_now = 3;
  status.visitors = 41;
  status.bytes_in = 1'234'567;
  out.live(status);
  EXPECT_EQ(sink.take(), "\r\x1b[K  connections 3 now, 41 in all  ");
  out.live(status);
  EXPECT_EQ(sink.take(), "") << "nothing changed";
  out.tunnel_up({"web", "http://a", "http://b", 0});
  EXPECT_EQ(sink.take(), "\r\x1b[K  http://a  ->  http://b\n  connections 3 now, 41 in all  ");
  out.stopping(10s);
  EXPECT_THAT(sink.take(), Not(HasSubstr("connections 3 now")));
}

TEST(CliHumanOutput, EachMistakeOfAFileHasALine) {
  StringSink sink;
  HumanOutput out(sink, LogLevel::Info, {}, [] { return kNow; });
  out.error(Error(ErrorCode::BadInput, Side::Local, false, "not reloaded: a.toml:1:1: one\na.toml:2:1: two\x1b"));
  EXPECT_THAT(sink.all, testing::EndsWith("error       not reloaded: a.toml:1:1: one\n      a.toml:2:1: two\\x1b\n"));
}

TEST(CliHumanOutput, NoLiveLineWhereThereIsNoTerminal) {
  StringSink sink;
  HumanOutput out(sink, LogLevel::Info, {}, [] { return kNow; });
  ClientStatus status;
  status.connected = true;
  out.live(status);
  EXPECT_EQ(sink.all, "");
}

TEST(CliTimeText, Amounts) {
  EXPECT_EQ(amount_text(0), "0 B");
  EXPECT_EQ(amount_text(999), "999 B");
  EXPECT_EQ(amount_text(1'234'567), "1.2 MB");
  EXPECT_EQ(amount_text(18'000'000), "18 MB");
  EXPECT_EQ(amount_text(999'999), "1.0 MB");
  EXPECT_EQ(duration_text(0s), "0 s");
  EXPECT_EQ(duration_text(400us), "0.4 ms");
  EXPECT_EQ(duration_text(12ms), "12 ms");
  EXPECT_EQ(duration_text(1500ms), "1.5 s");
  EXPECT_EQ(duration_text(120s), "2 min");
}

}  // namespace
}  // namespace ferrotunnel::cli
