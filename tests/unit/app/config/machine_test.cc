// Machine: files, and commands that are real.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/config/outside.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::app::config {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class ConfigMachine : public testing::Test {
 protected:
  ConfigMachine() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ft-config-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~ConfigMachine() override { std::filesystem::remove_all(dir_); }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = (dir_ / name).string();
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  std::string run(const std::vector<std::string>& command, std::chrono::milliseconds most = 10s) {
    auto text = machine_.run(command, most);
    return text ? *text : "error: " + text.error().context;
  }

  std::filesystem::path dir_;
  Machine machine_;
};

TEST_F(ConfigMachine, ASecretIsItsOwnersOnly) {
  EXPECT_EQ(machine_.read_secret_file(file("a", "text")), "text");
  EXPECT_EQ(machine_.read_secret_file(file("b", "text", 0400)), "text");
  for (const mode_t mode : {0640, 0604, 0644, 0700, 0660}) {
    const auto text = machine_.read_secret_file(file("c", "text", mode));
    ASSERT_FALSE(text) << std::oct << mode;
    EXPECT_THAT(text.error().context, HasSubstr("chmod 600 "));
  }
  const auto directory = machine_.read_secret_file(dir_.string());
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().context, HasSubstr("is not a regular file"));
  EXPECT_FALSE(machine_.read_secret_file(file("big", std::string(kMaxSecretSource + 1, 'x'))));
  EXPECT_TRUE(machine_.read_secret_file(file("whole", std::string(kMaxSecretSource, 'x'))));
}

TEST_F(ConfigMachine, ASecretOfAnotherUserIsRefused) {
  if (::geteuid() != 0) return;  // only root can give a file away
  const std::string path = file("theirs", "text");
  ASSERT_EQ(::chown(path.c_str(), 12345, static_cast<gid_t>(-1)), 0);
  const auto text = machine_.read_secret_file(path);
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().context, HasSubstr("belongs to another user"));
}

TEST_F(ConfigMachine, ASecretInAFileThatOthersMayReadIsRefused) {
  const std::string text = "[grants.a]\nsecret = \"0123456789abcdef\"\n";
  const auto open = load_server_config(file("open.toml", text, 0644));
  ASSERT_FALSE(open);
  EXPECT_THAT(to_text(open.error()), testing::AllOf(HasSubstr("open.toml:2:1: grants.a.secret: "),
                                                    HasSubstr("chmod 600 "), HasSubstr("{ file = ")));
  const auto closed = load_server_config(file("closed.toml", text, 0600));
  EXPECT_TRUE(closed) << to_text(closed.error());
}

// An ACL for the service's user looks like a right of the group.
TEST_F(ConfigMachine, ACredentialOfSystemdIsASecret) {
  if (::geteuid() != 0) return;  // only root's files are credentials
  const std::string path = file("token", "text", 0440);
  EXPECT_FALSE(machine_.read_secret_file(path));
  ::setenv("CREDENTIALS_DIRECTORY", dir_.c_str(), 1);
  EXPECT_EQ(machine_.read_secret_file(path), "text");
  EXPECT_FALSE(machine_.read_secret_file(file("open", "text", 0444)));
  ::setenv("CREDENTIALS_DIRECTORY", "/elsewhere", 1);
  EXPECT_FALSE(machine_.read_secret_file(path));
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

// Nobody writes to it: whoever opened it to read would wait for ever.
TEST_F(ConfigMachine, AFifoIsNotWaitedFor) {
  const std::string path = (dir_ / "fifo").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(machine_.read_file(path, 100));
  EXPECT_FALSE(machine_.read_secret_file(path));
}

TEST_F(ConfigMachine, CommandsWithoutAShell) {
  EXPECT_EQ(run({"echo", "$HOME", "a b;c"}), "$HOME a b;c\n");
  EXPECT_EQ(run({"cat"}), "");  // nothing to read
  EXPECT_THAT(run({"/no/such/program"}), HasSubstr("error: cannot run /no/such/program: No such file or directory"));
  EXPECT_EQ(run({"sh", "-c", "echo first >&2; echo second >&2; echo out; exit 3"}),
            "error: sh failed with exit code 3: first");
  EXPECT_EQ(run({"sh", "-c", "kill -9 $$"}), "error: sh was ended by signal 9");
  EXPECT_EQ(run({"sh", "-c", "head -c 1000000 /dev/zero >&2; echo done"}), "done\n");
}

TEST_F(ConfigMachine, ACommandIsKilledWithAllThatItStarted) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(run({"sh", "-c", "sleep 60; echo late"}, 200ms), "error: sh did not end within 200 ms and was killed");
  // What it left running holds its pipes; that is not waited for.
  EXPECT_EQ(run({"sh", "-c", "sleep 60 & echo text"}), "text\n");
  EXPECT_THAT(run({"yes"}), HasSubstr("error: yes prints more than 64 KiB"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

TEST_F(ConfigMachine, ACommandThatLeavesItsGroupIsKilledToo) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(run({"perl", "-e", "setpgrp(0, getpgrp(getppid())) or die; sleep 60"}, 200ms),
            "error: perl did not end within 200 ms and was killed");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

// As sudo: it belongs to somebody whose processes this one may not kill.
TEST_F(ConfigMachine, ACommandThatMayNotBeKilledIsLeftAloneAndReapedLater) {
  if (::geteuid() != 0) return;  // only root can start such a one without a setuid program
  ::chmod(dir_.c_str(), 0777);
  const std::string pid_file = (dir_ / "pid").string();
  const std::string program = "use POSIX; $> = 0; open F, '>', '" + pid_file +
                              "' or die; print F $$; close F; POSIX::setuid(6789) or die; sleep 60";
  std::string said;
  const auto begun = std::chrono::steady_clock::now();
  std::thread([&] {
    // The system call, not the function: of this thread only. Its effective user is nobody in particular, and so may not kill.
    ASSERT_EQ(::syscall(SYS_setresuid, 0, 12345, -1), 0);
    said = run({"perl", "-e", program}, 3s);
  }).join();
  EXPECT_EQ(said, "error: perl did not end within 3000 ms and was killed");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
  pid_t pid = 0;
  std::ifstream(pid_file) >> pid;
  ASSERT_GT(pid, 1);
  ASSERT_EQ(::kill(pid, SIGKILL), 0) << "it is there still";
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (::kill(pid, 0) == 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(10ms);
  EXPECT_NE(::kill(pid, 0), 0) << "a zombie";
}

TEST_F(ConfigMachine, AFileWithIncludesAndSecretsOnDisk) {
  std::filesystem::create_directory(dir_ / "grants.d");
  file("grants.d/a.toml", "[grants.a]\nsecret = { file = \"../secret\" }\n", 0644);
  file("secret", "0123456789abcdef\n");
  const std::string path =
      file("server.toml", "include = [\"grants.d/*.toml\"]\n[server]\nlisten = \"127.0.0.1:0\"\n", 0644);
  const auto config = load_server_config(path);
  ASSERT_TRUE(config) << to_text(config.error());
  ASSERT_EQ(config->grants.size(), 1u);
  EXPECT_EQ(config->grants[0].secrets[0], "0123456789abcdef");
  // A symlink to itself, in another spelling.
  std::filesystem::create_symlink(path, dir_ / "grants.d/b.toml");
  const auto cycle = load_server_config(path);
  ASSERT_FALSE(cycle);
  EXPECT_THAT(to_text(cycle.error()), HasSubstr("is included by itself"));
}

}  // namespace
}  // namespace ferrotunnel::app::config
