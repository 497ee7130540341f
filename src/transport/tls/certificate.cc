#include "transport/tls/certificate.h"

#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostOcsp = 64u << 10;  // some have a responder's certificate in them
constexpr std::size_t kMostCa = 4u << 20;

using OcspPtr = std::unique_ptr<OCSP_RESPONSE, OpensslFree<&OCSP_RESPONSE_free>>;
using OcspBasicPtr = std::unique_ptr<OCSP_BASICRESP, OpensslFree<&OCSP_BASICRESP_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<&GENERAL_NAMES_free>>;

Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

Result<std::string> read_file(const fs::path& file, std::size_t most) {
  std::error_code error;
  const auto size = fs::is_regular_file(file, error) ? fs::file_size(file, error) : 0;
  std::ifstream in(file, std::ios::binary);
  if (!in || error) {
    const int why = error ? error.value() : errno != 0 ? errno : ENOENT;
    Error failed = errno_error(why, Side::Local, "cannot read " + file.string());
    failed.code = ErrorCode::Io;
    failed.retry = false;
    return std::unexpected(std::move(failed));
  }
  if (size > most) return std::unexpected(bad(file.string() + " is too large"));
  std::string text(static_cast<std::size_t>(size), '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

std::vector<std::string> dns_names(const X509* certificate) {
  std::vector<std::string> names;
  const NamesPtr all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* one = sk_GENERAL_NAME_value(all.get(), i);
    if (one->type != GEN_DNS) continue;
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(one->d.dNSName)),
                       static_cast<std::size_t>(ASN1_STRING_length(one->d.dNSName)));
  }
  return names;
}

std::string date_text(const ASN1_TIME* time) {
  std::tm parts{};
  std::array<char, 32> text{};
  if (ASN1_TIME_to_tm(time, &parts) != 1 || std::strftime(text.data(), text.size(), "%F %T UTC", &parts) == 0)
    return "?";
  return text.data();
}

std::optional<std::time_t> time_of(const ASN1_TIME* time) {
  int days = 0, seconds = 0;
  if (time == nullptr || ASN1_TIME_diff(&days, &seconds, nullptr, time) != 1) return std::nullopt;
  return std::time(nullptr) + std::time_t{days} * 24 * 3600 + seconds;
}

// What it says of the certificate of this serial number; none where it says nothing of it.
OCSP_SINGLERESP* find_answer(OCSP_BASICRESP* basic, const X509* certificate) {
  for (int i = 0; i < OCSP_resp_count(basic); ++i) {
    OCSP_SINGLERESP* one = OCSP_resp_get0(basic, i);
    ASN1_INTEGER* serial = nullptr;
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(one));
    if (OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial, id) == 1 &&
        ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) == 0)
      return one;
  }
  return nullptr;
}

Result<OcspResponse> load_ocsp(const fs::path& file, const X509* certificate, std::vector<std::string>& warnings) {
  auto der = read_file(file, kMostOcsp);
  if (!der) return std::unexpected(std::move(der.error()));
  const auto* at = reinterpret_cast<const unsigned char*>(der->data());
  const OcspPtr response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der->size())));
  const OcspBasicPtr basic(response && OCSP_response_status(response.get()) == OCSP_RESPONSE_STATUS_SUCCESSFUL
                               ? OCSP_response_get1_basic(response.get())
                               : nullptr);
  ERR_clear_error();
  if (!basic)
    return std::unexpected(
        bad(file.string() + " is no successful OCSP response in DER (openssl ocsp -respout makes one)"));
  OCSP_SINGLERESP* answer = find_answer(basic.get(), certificate);
  if (answer == nullptr)
    return std::unexpected(bad("the OCSP response " + file.string() + " is of another certificate: fetch it anew"));
  ASN1_GENERALIZEDTIME* next = nullptr;
  if (OCSP_single_get0_status(answer, nullptr, nullptr, nullptr, &next) != V_OCSP_CERTSTATUS_GOOD)
    warnings.push_back("the OCSP response " + file.string() + " does not say that its certificate is good");
  OcspResponse made{std::move(*der), time_of(next)};
  if (made.until && *made.until <= std::time(nullptr))
    warnings.push_back("the OCSP response " + file.string() + " has expired (" + date_text(next) +
                       ") and is not shown: fetch it anew");
  return made;
}

void check_dates(const X509* certificate, const fs::path& file, std::vector<std::string>& warnings) {
  const ASN1_TIME* end = X509_get0_notAfter(certificate);
  const ASN1_TIME* begin = X509_get0_notBefore(certificate);
  if (X509_cmp_current_time(end) < 0) {
    warnings.push_back("the certificate " + file.string() + " has expired (" + date_text(end) +
                       "): visitors will not accept it, renew it");
  } else if (X509_cmp_current_time(begin) > 0) {
    warnings.push_back("the certificate " + file.string() + " is not valid yet (before " + date_text(begin) +
                       "): is the clock of this machine right?");
  }
}

}  // namespace

Result<Certificate> Certificate::load(const CertificateFiles& files, std::vector<std::string>& warnings) {
  auto identity = TlsIdentity::load(files.certificate, files.key);
  if (!identity) return std::unexpected(std::move(identity.error()));
  Certificate made{.identity = std::move(*identity), .files = files};
  const X509* x = made.identity.certificate();
  made.names = dns_names(x);
  made.key_type = EVP_PKEY_get_base_id(made.identity.key());
  check_dates(x, files.certificate, warnings);
  ERR_clear_error();
  fs::path ocsp = files.ocsp;
  std::error_code error;
  if (ocsp.empty()) {
    ocsp = fs::path(files.certificate).replace_extension(".ocsp");
    if (!fs::exists(ocsp, error)) ocsp.clear();
  }
  if (!ocsp.empty()) {
    auto loaded = load_ocsp(ocsp, x, warnings);
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    made.ocsp = std::move(*loaded);
  }
  if (!files.client_ca.empty()) {
    auto text = read_file(files.client_ca, kMostCa);
    if (!text) return std::unexpected(std::move(text.error()));
    made.client_ca = std::move(*text);
  }
  return made;
}

}  // namespace ferrotunnel::transport
