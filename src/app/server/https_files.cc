#include "app/server/https_files.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace ferrotunnel::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 10'000;  // of the directory
// As certbot names them.
constexpr const char* kChain = "fullchain.pem";
constexpr const char* kKey = "privkey.pem";

using Files = std::vector<transport::CertificateFiles>;

Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

transport::CertificateFiles pair_of(fs::path certificate, fs::path key) {
  transport::CertificateFiles files;
  files.certificate = std::move(certificate);
  files.key = std::move(key);
  return files;
}

Result<std::vector<fs::path>> entries(const fs::path& directory) {
  std::vector<fs::path> all;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (all.size() == kMostEntries) return std::unexpected(bad(directory.string() + " has too many files in it"));
    all.push_back(at->path());
  }
  if (error) {
    Error failed = errno_error(error.value(), Side::Local, "cannot read the certificates in " + directory.string());
    failed.code = ErrorCode::Io;
    failed.retry = false;
    return std::unexpected(std::move(failed));
  }
  std::ranges::sort(all);
  return all;
}

Result<Files> of_directory(const fs::path& directory) {
  auto found = entries(directory);
  if (!found) return std::unexpected(std::move(found.error()));
  Files files;
  for (const fs::path& one : *found) {
    std::error_code error;
    const auto extension = one.extension();
    const fs::path key = fs::path(one).replace_extension(".key");
    if (fs::is_directory(one, error)) {
      if (is_file(one / kChain) && is_file(one / kKey)) files.push_back(pair_of(one / kChain, one / kKey));
    } else if (one.filename() == kChain && is_file(directory / kKey)) {
      files.push_back(pair_of(one, directory / kKey));
    } else if (extension == ".crt" || extension == ".pem") {
      if (is_file(key)) {
        files.push_back(pair_of(one, key));
      } else if (extension == ".crt") {
        return std::unexpected(bad("the certificate " + one.string() + " has no key beside it (" + key.string() + ")"));
      }
    }
  }
  if (files.empty())
    return std::unexpected(bad(directory.string() +
                               " has no certificates: NAME.crt with NAME.key is looked for, and directories with " +
                               kChain + " and " + kKey));
  return files;
}

}  // namespace

Result<Files> https_files(const ServerConfig& config) {
  Files files;
  if (!config.https_certificate.empty()) {
    files.push_back(pair_of(config.https_certificate, config.https_key));
    files.back().is_default = true;
  }
  for (const HttpsCertificate& one : config.certificates) {
    files.push_back(pair_of(one.certificate, one.key));
    files.back().ocsp = one.ocsp;
    files.back().client_ca = one.client_ca;
    files.back().is_default = one.is_default;
  }
  if (config.certificates_dir.empty()) return files;
  auto more = of_directory(config.certificates_dir);
  if (!more) return more;
  std::ranges::move(*more, std::back_inserter(files));
  return files;
}

}  // namespace ferrotunnel::app

namespace ferrotunnel {

std::vector<std::string> certificate_files(const ServerConfig& config) {
  namespace fs = std::filesystem;
  std::vector<std::string> all;
  const auto files = app::https_files(config);
  if (files) {
    for (const transport::CertificateFiles& one : *files) {
      // A response that appears is news too.
      const fs::path ocsp = one.ocsp.empty() ? fs::path(one.certificate).replace_extension(".ocsp") : one.ocsp;
      for (const fs::path& file : {one.certificate, one.key, ocsp, one.client_ca})
        if (!file.empty()) all.push_back(file.string());
    }
  }
  if (!config.certificates_dir.empty()) all.push_back(config.certificates_dir);
  return all;
}

}  // namespace ferrotunnel
