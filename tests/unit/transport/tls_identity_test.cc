// TLS: where a server's key comes from.
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <thread>
#include <vector>

#include "tls_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}
void write_file(const fs::path& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
}
std::string complaint(const Result<TlsIdentity>& result) {
  EXPECT_FALSE(result);
  if (result) return {};
  EXPECT_EQ(result.error().side, Side::Local);
  EXPECT_FALSE(result.error().retry);
  return result.error().context;
}

TEST(TlsIdentity, MadeOnceThenFound) {
  const TemporaryDirectory directory;
  const fs::path state = directory / "a" / "state";
  const auto made = TlsIdentity::load_or_make(state);
  ASSERT_TRUE(made) << made.error().context;
  EXPECT_TRUE(made->fresh());
  EXPECT_EQ(mode_of(state), 0700u);
  EXPECT_EQ(mode_of(state / kIdentityFile), 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(state), fs::directory_iterator()), 1);  // nothing temporary is left

  const auto found = TlsIdentity::load_or_make(state.string() + "/");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->fresh());
  EXPECT_EQ(found->fingerprint(), made->fingerprint());
  EXPECT_TRUE(to_string(found->fingerprint()).starts_with("sha256:"));
  EXPECT_EQ(to_string(found->fingerprint()).size(), 7u + 64);

  // What is written is an ordinary PEM pair.
  const auto loaded = TlsIdentity::load(state / kIdentityFile, state / kIdentityFile);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->fingerprint(), made->fingerprint());
  ASN1_TIME* in_nine_years = X509_gmtime_adj(nullptr, 9L * 365 * 24 * 3600);
  EXPECT_GT(ASN1_TIME_compare(X509_get0_notAfter(found->certificate()), in_nine_years), 0);
  ASN1_TIME_free(in_nine_years);
}

TEST(TlsIdentity, ManyStartTogetherAndAgree) {
  const TemporaryDirectory directory;
  std::array<std::optional<Fingerprint>, 8> seen;
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&mine, &directory] {
      const auto identity = TlsIdentity::load_or_make(directory / "state");
      if (identity) mine = identity->fingerprint();
    });
  }
  for (std::thread& t : threads) t.join();
  for (const auto& one : seen) {
    ASSERT_TRUE(one);
    EXPECT_EQ(*one, *seen[0]);
  }
}

TEST(TlsIdentity, ALooseKeyIsRefused) {
  const TemporaryDirectory directory;
  const fs::path state = directory / "state";
  ASSERT_TRUE(TlsIdentity::load_or_make(state));
  const fs::path file = state / kIdentityFile;
  for (const mode_t mode : {0640u, 0604u, 0666u}) {
    ::chmod(file.c_str(), mode);
    const std::string text = complaint(TlsIdentity::load_or_make(state));
    EXPECT_NE(text.find(file.string()), std::string::npos);
    EXPECT_NE(text.find("chmod 600"), std::string::npos);
  }
  ::chmod(file.c_str(), 0640);  // a given key may be read by its group
  EXPECT_TRUE(TlsIdentity::load(file, file));
  ::chmod(file.c_str(), 0644);
  EXPECT_NE(complaint(TlsIdentity::load(file, file)).find("chmod 600"), std::string::npos);
  ::chmod(file.c_str(), 0400);
  EXPECT_TRUE(TlsIdentity::load_or_make(state));
}

TEST(TlsIdentity, DamagedOrInTheWay) {
  const TemporaryDirectory directory;
  const fs::path state = directory / "state";
  ASSERT_TRUE(TlsIdentity::load_or_make(state));
  const fs::path file = state / kIdentityFile;
  std::string whole;
  std::getline(std::ifstream(file), whole, '\0');
  for (std::size_t n = 0; n + 1 < whole.size(); n += 7) {  // a last newline may be missing
    write_file(file, whole.substr(0, n));
    EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find(file.string()), std::string::npos) << n;
  }
  write_file(file, "rubbish");
  EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find("remove it for a new one"), std::string::npos);
  write_file(file, std::string(2 << 20, 'x'));
  EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find("too large"), std::string::npos);

  fs::remove(file);
  fs::create_directory(file);
  EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find("not a file"), std::string::npos);
  write_file(directory / "plain", "");
  EXPECT_NE(complaint(TlsIdentity::load_or_make(directory / "plain")).find("not a directory"), std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load_or_make(directory / "plain" / "x")).find((directory / "plain").string()),
            std::string::npos);
  fs::create_directory(directory / "open");
  ::chmod((directory / "open").c_str(), 0777);
  EXPECT_NE(complaint(TlsIdentity::load_or_make(directory / "open")).find("writable by everybody"), std::string::npos);
}

TEST(TlsIdentity, FromFiles) {
  const TemporaryDirectory directory;
  EVP_PKEY* key = EVP_EC_gen("P-256");
  TestCa::write_key(directory / "other.key", key);
  EVP_PKEY_free(key);
  const auto identity = TlsIdentity::make("a").value();
  TestCa::write_key(directory / "key", identity.key());
  TestCa::write_certificate(directory / "cert", identity.certificate());

  const auto loaded = TlsIdentity::load(directory / "cert", directory / "key");
  ASSERT_TRUE(loaded) << loaded.error().context;
  EXPECT_EQ(loaded->fingerprint(), identity.fingerprint());
  EXPECT_TRUE(loaded->chain().empty());
  EXPECT_NE(complaint(TlsIdentity::load(directory / "cert", directory / "other.key")).find("does not belong"),
            std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "none", directory / "key")).find("none"), std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "cert", directory / "none")).find("none"), std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "key", directory / "key")).find("no certificate"),
            std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "cert", directory / "cert")).find("private key"),
            std::string::npos);

  const auto above = TlsIdentity::make("above").value();
  TestCa::write_certificate(directory / "cert", above.certificate());  // appended
  const auto chained = TlsIdentity::load(directory / "cert", directory / "key");
  ASSERT_TRUE(chained);
  EXPECT_EQ(chained->chain().size(), 1u);
  EXPECT_EQ(chained->fingerprint(), identity.fingerprint());
}

}  // namespace
}  // namespace ferrotunnel::transport::test
