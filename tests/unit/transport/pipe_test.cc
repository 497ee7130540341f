#include "transport/pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <thread>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {
namespace {

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
  UniqueFd here, there;
};

TEST(Pipe, CarriesBytesInTheirOrder) {
  PipePool pool;
  const PipeLease pipe = pool.borrow();
  ASSERT_TRUE(pipe);
  EXPECT_GE(pipe->capacity(), PipePool::kLeast);
  Pair in, out;
  ASSERT_EQ(::send(in.there.get(), "abcdef", 6, 0), 6);
  IoResult moved = pipe->fill_from(in.here.get(), 4);
  EXPECT_EQ(moved.status, IoStatus::Ok);
  EXPECT_EQ(moved.n, 4U);
  EXPECT_EQ(pipe->size(), 4U);
  moved = pipe->fill_from(in.here.get(), 100);
  EXPECT_EQ(moved.n, 2U);
  EXPECT_EQ(pipe->fill_from(in.here.get(), 100).status, IoStatus::WouldBlock);
  moved = pipe->drain_to(out.here.get(), 3);
  EXPECT_EQ(moved.n, 3U);
  std::array<char, 16> got{};
  EXPECT_EQ(::recv(out.there.get(), got.data(), got.size(), 0), 3);
  EXPECT_EQ(std::string(got.data(), 3), "abc");
  std::array<std::byte, 16> rest{};
  EXPECT_EQ(pipe->read(rest), 3U);
  EXPECT_EQ(as_text(ConstBytes(rest).first(3)), "def");
  EXPECT_TRUE(pipe->empty());
}

TEST(Pipe, TellsTheEnd) {
  PipePool pool;
  const PipeLease pipe = pool.borrow();
  ASSERT_TRUE(pipe);
  Pair in;
  in.there.reset();
  EXPECT_EQ(pipe->fill_from(in.here.get(), 100).status, IoStatus::Eof);
}

TEST(Pipe, ABrokenSocketIsAnErrorAndNoSignal) {
  ::signal(SIGPIPE, SIG_DFL);
  std::thread([] {
    PipePool pool;
    const PipeLease pipe = pool.borrow();
    ASSERT_TRUE(pipe);
    Pair in, out;
    ASSERT_EQ(::send(in.there.get(), "abc", 3, 0), 3);
    ASSERT_EQ(pipe->fill_from(in.here.get(), 3).n, 3U);
    out.there.reset();
    const IoResult moved = pipe->drain_to(out.here.get(), 3);
    EXPECT_EQ(moved.status, IoStatus::Error);
    EXPECT_EQ(moved.error, EPIPE);
    EXPECT_EQ(pipe->size(), 3U);
  }).join();
}

TEST(PipePool, LendsNoMoreThanItMayAndCountsIt) {
  PipePool pool(2);
  PipeLease a = pool.borrow(), b = pool.borrow();
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(pool.borrow());
  EXPECT_EQ(pool.refused(), 1U);
  EXPECT_EQ(pool.lent(), 2U);
  a.reset();
  EXPECT_EQ(pool.lent(), 1U);
  EXPECT_TRUE(pool.borrow());
}

TEST(PipePool, ClosesThoseThatNobodyNeededSinceTheLastTime) {
  PipePool pool;
  {
    const PipeLease a = pool.borrow(), b = pool.borrow(), c = pool.borrow();
  }
  EXPECT_EQ(pool.idle(), 3U);
  EXPECT_TRUE(pool.trim()) << "they were all lent";
  EXPECT_EQ(pool.idle(), 3U);
  (void)pool.borrow();
  EXPECT_TRUE(pool.trim());
  EXPECT_EQ(pool.idle(), 1U) << "one was enough";
  EXPECT_FALSE(pool.trim());
  EXPECT_EQ(pool.idle(), 0U);
}

TEST(PipePool, APipeThatIsNotEmptyIsNotLentAgain) {
  PipePool pool(1);
  Pair in;
  ASSERT_EQ(::send(in.there.get(), "abc", 3, 0), 3);
  {
    const PipeLease pipe = pool.borrow();
    ASSERT_EQ(pipe->fill_from(in.here.get(), 3).n, 3U);
  }
  const PipeLease again = pool.borrow();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->empty());
  EXPECT_EQ(again->fill_from(in.here.get(), 3).status, IoStatus::WouldBlock);
  Pair out;
  EXPECT_EQ(again->drain_to(out.here.get(), 3).status, IoStatus::WouldBlock);
}

}  // namespace
}  // namespace ferrotunnel::transport
