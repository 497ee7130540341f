#include "transport/tcp/port_owner.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace ferrotunnel::transport {
namespace {

TEST(PortOwner, ThisProgram) {
  for (const char* ip : {"127.0.0.1", "*"}) {
    const auto listener = listen_on(*parse_ip(ip, 0), false);
    ASSERT_TRUE(listener);
    const std::uint16_t port = local_address(listener->get())->port();
    EXPECT_EQ(port_owner(*parse_ip("127.0.0.1", port)), "this program itself") << ip;
    EXPECT_EQ(port_owner(*parse_ip("*", port)), "this program itself") << ip;
  }
}

TEST(PortOwner, AnotherProgramByNameAndPid) {
  auto listener = listen_on(*parse_ip("127.0.0.1", 0), false);
  ASSERT_TRUE(listener);
  const auto address = *local_address(listener->get());
  const int keep = ::dup(listener->get());  // without FD_CLOEXEC: cat has it too
  ASSERT_GE(keep, 0);
  int pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipes[0], 0);
    ::close(pipes[1]);
    ::execlp("cat", "cat", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(pipes[0]);
  // Until it is cat, its name is ours.
  std::string name;
  for (int i = 0; i < 1000 && name != "cat"; ++i) {
    std::ifstream("/proc/" + std::to_string(child) + "/comm") >> name;
    ::usleep(10'000);
  }
  ::close(keep);
  listener->reset();
  EXPECT_EQ(port_owner(address), "cat (pid " + std::to_string(child) + ")");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(pipes[1]);
}

TEST(PortOwner, NobodyAndElsewhere) {
  SocketAddress address;
  {
    const auto listener = listen_on(*parse_ip("127.0.0.1", 0), false);
    ASSERT_TRUE(listener);
    address = *local_address(listener->get());
    auto beside = *parse_ip("127.0.0.2", address.port());
    EXPECT_EQ(port_owner(beside), std::nullopt) << "another address is not in the way";
  }
  EXPECT_EQ(port_owner(address), std::nullopt);
  EXPECT_EQ(port_owner(*unix_address("/tmp/x")), std::nullopt);
}

}  // namespace
}  // namespace ferrotunnel::transport
