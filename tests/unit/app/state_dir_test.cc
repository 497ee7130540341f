// The state directory: who may read it, what is refused, and two servers that start at once.
#include "app/state_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "app/grant_store.h"

namespace ferrotunnel::app {
namespace {

namespace fs = std::filesystem;

struct LoadedSecret {
  session::Secret secret;
  bool made = false;
};
Result<LoadedSecret> load_or_make_secret(const fs::path& state, std::string_view name) {
  auto loaded = GrantStore(state).load_or_make(name);
  if (!loaded) return std::unexpected(loaded.error());
  return LoadedSecret{loaded->grant.secrets.front(), loaded->made};
}

class StateDirTest : public testing::Test {
 protected:
  StateDirTest() {
    std::string name = "/tmp/ft_state_XXXXXX";
    top = ::mkdtemp(name.data());
    old_mask = ::umask(022);
  }
  ~StateDirTest() override {
    ::umask(old_mask);
    std::error_code error;
    fs::remove_all(top, error);
  }
  static unsigned mode(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  static std::string text(const fs::path& path) {
    std::ostringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  }
  void write(const fs::path& path, std::string_view bytes, unsigned as = 0600) const {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << bytes;
    ::chmod(path.c_str(), as);
  }
  fs::path top;
  mode_t old_mask = 0;
};

TEST_F(StateDirTest, IsMadeForItsOwnerOnly) {
  for (const char* name : {"state", "a/b/state", "slash/"}) {
    const fs::path state = top / name;
    const auto made = load_or_make_secret(state, "default");
    ASSERT_TRUE(made) << made.error().context;
    EXPECT_TRUE(made->made);
    EXPECT_TRUE(made->secret.valid());
    EXPECT_EQ(mode(state), 0700u) << state;
    EXPECT_EQ(mode(state / "grants"), 0700u);
    EXPECT_EQ(mode(state / "grants" / "default"), 0600u);
    EXPECT_EQ(std::distance(fs::directory_iterator(state / "grants"), {}), 1) << "nothing temporary stays";
    const auto again = load_or_make_secret(state, "default");
    ASSERT_TRUE(again) << again.error().context;
    EXPECT_FALSE(again->made);
    EXPECT_EQ(again->secret.bytes, made->secret.bytes);
  }
}

TEST_F(StateDirTest, ADirectoryThatIsThereKeepsItsMode) {
  fs::create_directories(top / "state");
  ::chmod((top / "state").c_str(), 0750);
  ASSERT_TRUE(load_or_make_secret(top / "state", "default"));
  EXPECT_EQ(mode(top / "state"), 0750u);
}

TEST_F(StateDirTest, WhatIsWrittenBelongsToWhomTheDirectoryBelongsTo) {
  constexpr uid_t kOther = 65534;
  const uid_t owner = ::geteuid() == 0 ? kOther : ::geteuid();  // only root can write into another's
  fs::create_directories(top / "grants");
  ASSERT_EQ(::chown((top / "grants").c_str(), owner, static_cast<gid_t>(-1)), 0);
  for (const bool again : {false, true}) {
    ASSERT_TRUE(again ? replace_private(top, top / "grants/a", "x").has_value()
                      : publish_private(top, top / "grants/a", "x").has_value());
    struct stat info{};
    ASSERT_EQ(::stat((top / "grants/a").c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, owner);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
}

TEST_F(StateDirTest, EachGrantHasItsOwn) {
  const auto one = load_or_make_secret(top, "one"), two = load_or_make_secret(top, "two");
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->secret.bytes, two->secret.bytes);
}

TEST_F(StateDirTest, AFileThatOthersMayReadIsRefused) {
  ASSERT_TRUE(load_or_make_secret(top, "default"));
  const fs::path file = top / "grants" / "default";
  const std::string before = text(file);
  for (const unsigned loose : {0640u, 0604u, 0660u, 0602u, 0777u, 0610u}) {
    ::chmod(file.c_str(), loose);
    const auto loaded = load_or_make_secret(top, "default");
    ASSERT_FALSE(loaded) << std::oct << loose;
    EXPECT_EQ(loaded.error().code, ErrorCode::BadInput);
    EXPECT_NE(loaded.error().context.find(file.string()), std::string::npos) << loaded.error().context;
    EXPECT_NE(loaded.error().context.find("chmod 600"), std::string::npos) << loaded.error().context;
  }
  ::chmod(file.c_str(), 0400);
  EXPECT_TRUE(load_or_make_secret(top, "default"));
  EXPECT_EQ(text(file), before);
}

TEST_F(StateDirTest, ADamagedFileIsRefusedAndLeftAlone) {
  const fs::path file = top / "grants" / "default";
  for (const std::string& bytes :
       {std::string(), std::string("\n"), std::string("short"), std::string("not*base64*at*all*not*base64*at*all"),
        std::string(200, 'A'), std::string(5000, 'A'), std::string(32, '\0'),
        std::string("AAAAAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAA")}) {
    write(file, bytes);
    const auto loaded = load_or_make_secret(top, "default");
    ASSERT_FALSE(loaded) << bytes.size();
    EXPECT_EQ(loaded.error().code, ErrorCode::BadInput);
    EXPECT_NE(loaded.error().context.find(file.string()), std::string::npos);
    EXPECT_EQ(text(file), bytes);
  }
}

TEST_F(StateDirTest, ASecretThatSomebodyWroteByHand) {
  write(top / "grants" / "default", "MDEyMzQ1Njc4OWFiY2RlZg\r\n \n");
  const auto loaded = load_or_make_secret(top, "default");
  ASSERT_TRUE(loaded) << loaded.error().context;
  EXPECT_EQ(as_text(loaded->secret.bytes), "0123456789abcdef");
}

TEST_F(StateDirTest, WhatIsNoFileIsRefusedWithoutWaiting) {
  fs::create_directories(top / "grants" / "directory");
  ::mkfifo((top / "grants" / "fifo").c_str(), 0600);
  for (const char* name : {"directory", "fifo"}) {
    const auto loaded = load_or_make_secret(top, name);
    ASSERT_FALSE(loaded) << name;
    EXPECT_NE(loaded.error().context.find(name), std::string::npos) << loaded.error().context;
  }
}

TEST_F(StateDirTest, APlaceWhereNothingCanBeMade) {
  write(top / "file", "x");
  for (const fs::path& state : {top / "file", top / "file" / "below"}) {
    const auto loaded = load_or_make_secret(state, "default");
    ASSERT_FALSE(loaded);
    EXPECT_NE(loaded.error().context.find(state.string()), std::string::npos) << loaded.error().context;
  }
  const auto nowhere = load_or_make_secret("/proc/state", "default");
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().context.find("/proc/state"), std::string::npos) << nowhere.error().context;
}

TEST_F(StateDirTest, ThreadsThatStartTogetherShareOne) {
  for (int round = 0; round < 30; ++round) {
    const fs::path state = top / std::to_string(round);
    std::vector<std::vector<std::byte>> secrets(8);
    std::atomic<int> makers{0}, waiting{0};
    std::vector<std::thread> threads;
    for (auto& secret : secrets) {
      threads.emplace_back([&] {
        ++waiting;
        while (waiting < 8) std::this_thread::yield();
        const auto loaded = load_or_make_secret(state, "default");
        ASSERT_TRUE(loaded) << loaded.error().context;
        if (loaded->made) ++makers;
        secret = loaded->secret.bytes;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(makers, 1);
    for (const auto& secret : secrets) EXPECT_EQ(secret, secrets[0]);
  }
}

TEST_F(StateDirTest, ProcessesThatStartTogetherShareOne) {
  constexpr int kProcesses = 6;
  for (int round = 0; round < 10; ++round) {
    const fs::path state = top / ("p" + std::to_string(round));
    int gate[2];
    ASSERT_EQ(::pipe(gate), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        ::close(gate[1]);
        char byte;
        ::read(gate[0], &byte, 1) == 0 ? void() : ::_exit(3);  // all begin when the parent closes it
        const auto loaded = load_or_make_secret(state, "default");
        if (!loaded) ::_exit(2);
        std::ofstream(top / ("said" + std::to_string(i))) << as_text(loaded->secret.bytes);
        ::_exit(loaded->made ? 1 : 0);
      }
      children.push_back(child);
    }
    ::close(gate[0]);
    ::close(gate[1]);
    int makers = 0;
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2) << status;
      makers += WEXITSTATUS(status);
    }
    EXPECT_EQ(makers, 1);
    for (int i = 1; i < kProcesses; ++i) EXPECT_EQ(text(top / ("said" + std::to_string(i))), text(top / "said0"));
    EXPECT_EQ(text(top / "said0").size(), session::kNewSecret);
  }
}

TEST_F(StateDirTest, WhereItIsByDefault) {
  const auto with = [](const char* systemd, const char* xdg, const char* home) {
    const auto set = [](const char* name, const char* value) {
      value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
    };
    set("STATE_DIRECTORY", systemd);
    set("XDG_STATE_HOME", xdg);
    set("HOME", home);
    return default_state_dir().string();
  };
  const char* const home_now = std::getenv("HOME");
  const std::string home = home_now != nullptr ? home_now : "";
  EXPECT_EQ(with("/run/systemd-says", "/xdg", "/home/me"), "/run/systemd-says");
  if (::geteuid() == 0) {
    EXPECT_EQ(with(nullptr, "/xdg", "/home/me"), "/var/lib/ferrotunnel");
    EXPECT_EQ(with("", nullptr, nullptr), "/var/lib/ferrotunnel");
  } else {
    EXPECT_EQ(with(nullptr, "/xdg", "/home/me"), "/xdg/ferrotunnel");
    EXPECT_EQ(with("", "", "/home/me"), "/home/me/.local/state/ferrotunnel");
  }
  with(nullptr, nullptr, home.c_str());
}

}  // namespace
}  // namespace ferrotunnel::app
