#include "app/cli/line_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

namespace ferrotunnel::cli {
namespace {

using namespace std::chrono_literals;

class CliFdSink : public testing::Test {
 protected:
  CliFdSink() {
    ::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
  }
  ~CliFdSink() override {
    close_read();
    close_write();
  }
  void close_read() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }
  void close_write() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }
  std::string read_all() {
    close_write();
    std::string all;
    std::array<char, 65536> piece{};
    for (ssize_t n = 0; (n = ::read(ends_[0], piece.data(), piece.size())) > 0;)
      all.append(piece.data(), static_cast<std::size_t>(n));
    return all;
  }
  std::array<int, 2> ends_{-1, -1};
};

TEST_F(CliFdSink, WritesInOrderAndAllBeforeClose) {
  FdSink sink(ends_[1]);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    expected += line;
    sink.write(line);
  }
  sink.close();
  EXPECT_EQ(read_all(), expected);
}

TEST_F(CliFdSink, AReaderThatStoppedHoldsNobodyUp) {
  FdSink sink(ends_[1], [](std::uint64_t n) { return "dropped " + std::to_string(n) + "\n"; });
  const std::string line(1000, 'x');
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) sink.write(line);  // 10 MB into a pipe nobody reads
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  sink.close(100ms);
}

TEST_F(CliFdSink, AClosedPipeEndsTheOutputOnly) {
  FdSink sink(ends_[1]);
  close_read();
  for (int i = 0; i < 100; ++i) sink.write("x\n");
  sink.close();
}

}  // namespace
}  // namespace ferrotunnel::cli
