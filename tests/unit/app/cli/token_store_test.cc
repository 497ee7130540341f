#include "app/cli/token_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace ferrotunnel::cli {
namespace {

namespace fs = std::filesystem;

class CliTokenStore : public testing::Test {
 protected:
  CliTokenStore() {
    std::string pattern = (fs::temp_directory_path() / "ft-token-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~CliTokenStore() override { fs::remove_all(dir_); }

  static unsigned mode(const fs::path& path) {
    struct stat info{};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  void write(const fs::path& file, std::string_view text, unsigned mode = 0600) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
    ::chmod(file.c_str(), mode);
  }

  fs::path dir_;
};

TEST_F(CliTokenStore, NothingIsKeptAtFirst) {
  const auto loaded = TokenStore(dir_ / "none/token").load();
  ASSERT_TRUE(loaded);
  EXPECT_FALSE(*loaded);
}

TEST_F(CliTokenStore, KeepsATokenForItsOwnerOnly) {
  const TokenStore store(dir_ / "config/ferrotunnel/token");
  EXPECT_TRUE(store.save("ft1_abc").value());
  EXPECT_EQ(**store.load(), "ft1_abc");
  EXPECT_EQ(mode(store.file()), 0600u);
  EXPECT_EQ(mode(store.file().parent_path()), 0700u);
}

TEST_F(CliTokenStore, SavesOnlyWhatIsNew) {
  const TokenStore store(dir_ / "token");
  EXPECT_TRUE(store.save("ft1_abc").value());
  EXPECT_FALSE(store.save("ft1_abc").value());
  EXPECT_TRUE(store.save("ft1_def").value());
  EXPECT_EQ(**store.load(), "ft1_def");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1) << "a temporary file was left behind";
}

TEST_F(CliTokenStore, RefusesAFileThatOthersMayRead) {
  write(dir_ / "token", "ft1_abc\n", 0644);
  const auto loaded = TokenStore(dir_ / "token").load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::BadInput);
  EXPECT_NE(loaded.error().context.find("chmod 600"), std::string::npos);
}

TEST_F(CliTokenStore, SavingMendsAFileThatOthersMayRead) {
  write(dir_ / "token", "ft1_abc\n", 0644);
  EXPECT_TRUE(TokenStore(dir_ / "token").save("ft1_abc").value());
  EXPECT_EQ(mode(dir_ / "token"), 0600u);
}

TEST_F(CliTokenStore, SayWhyItCannotSave) {
  write(dir_ / "file", "");
  const auto saved = TokenStore(dir_ / "file/ferrotunnel/token").save("ft1_abc");
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, ErrorCode::Io);
}

TEST_F(CliTokenStore, SmallFilesAreTrimmedAndBounded) {
  write(dir_ / "secret", "  0123456789abcdef\r\n");
  EXPECT_EQ(read_small_file(dir_ / "secret").value(), "0123456789abcdef");
  write(dir_ / "empty", " \n");
  EXPECT_FALSE(read_small_file(dir_ / "empty"));
  write(dir_ / "large", std::string(1 << 20, 'x'));
  EXPECT_FALSE(read_small_file(dir_ / "large"));
  EXPECT_FALSE(read_small_file(dir_));
  EXPECT_FALSE(read_small_file(dir_ / "none"));
}

TEST_F(CliTokenStore, AFileOfASecretIsItsOwnersOnly) {
  for (const unsigned good : {0600u, 0400u}) {
    write(dir_ / "secret", "0123456789abcdef", good);
    EXPECT_TRUE(read_small_file(dir_ / "secret")) << std::oct << good;
    fs::remove(dir_ / "secret");
  }
  for (const unsigned bad : {0640u, 0604u, 0644u, 0660u, 0700u}) {
    write(dir_ / "secret", "0123456789abcdef", bad);
    const auto text = read_small_file(dir_ / "secret");
    ASSERT_FALSE(text) << std::oct << bad;
    EXPECT_EQ(text.error().code, ErrorCode::BadInput);
    EXPECT_NE(text.error().context.find("chmod 600"), std::string::npos) << text.error().context;
    fs::remove(dir_ / "secret");
  }
  if (::geteuid() != 0) return;  // only root can give a file away, and its files are credentials
  write(dir_ / "secret", "0123456789abcdef");
  ASSERT_EQ(::chown((dir_ / "secret").c_str(), 12345, static_cast<gid_t>(-1)), 0);
  EXPECT_NE(read_small_file(dir_ / "secret").error().context.find("another user"), std::string::npos);
  write(dir_ / "credential", "0123456789abcdef", 0440);
  EXPECT_FALSE(read_small_file(dir_ / "credential"));
  ::setenv("CREDENTIALS_DIRECTORY", dir_.c_str(), 1);
  EXPECT_TRUE(read_small_file(dir_ / "credential"));
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

// Nobody writes to it: whoever opened it to read would wait for ever.
TEST_F(CliTokenStore, AFifoIsNotWaitedFor) {
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  const auto text = read_small_file(dir_ / "fifo");
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().context.find("is not a regular file"), std::string::npos) << text.error().context;
  EXPECT_FALSE(TokenStore(dir_ / "fifo").load());
}

}  // namespace
}  // namespace ferrotunnel::cli
