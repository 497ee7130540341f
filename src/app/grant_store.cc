#include "app/grant_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "app/state_dir.h"
#include "transport/tcp/socket.h"
#include "wire/base64.h"
#include "wire/control.h"

namespace ferrotunnel::app {
namespace {

namespace json = boost::json;

std::unexpected<Error> bad(const std::filesystem::path& file, std::string_view why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, file.string() + ": " + std::string(why)));
}

std::string secret_text(const session::Secret& secret) { return wire::base64url_encode(secret.bytes); }

std::optional<session::Secret> secret_of(std::string_view text) {
  const auto bytes = wire::base64url_decode(text);
  if (!bytes) return {};
  session::Secret secret{ConstBytes(*bytes)};
  if (!secret.valid()) return {};
  return secret;
}

json::value to_json(const session::Grant& grant) {
  json::array secrets, hosts, ports;
  for (const session::Secret& secret : grant.secrets) secrets.emplace_back(secret_text(secret));
  for (const std::string& host : grant.hosts) hosts.emplace_back(host);
  for (const session::PortRange range : grant.ports)
    ports.emplace_back(std::to_string(range.first) + "-" + std::to_string(range.last));
  json::object object{{"secrets", std::move(secrets)},       {"hosts", std::move(hosts)},
                      {"ports", std::move(ports)},           {"max_sessions", grant.limits.sessions},
                      {"max_tunnels", grant.limits.tunnels}, {"max_streams", grant.limits.streams}};
  if (grant.limits.bandwidth != 0) object["bandwidth"] = grant.limits.bandwidth;
  if (grant.limits.tunnel_bytes != session::GrantLimits{}.tunnel_bytes)
    object["max_tunnel_bytes"] = grant.limits.tunnel_bytes;
  if (grant.expires) object["expires"] = grant.expires->time_since_epoch().count();  // seconds since 1970
  return object;
}

bool read_texts(const json::object& from, std::string_view key, const auto& use) {
  const json::value* list = from.if_contains(key);
  if (list == nullptr || !list->is_array()) return false;
  return std::ranges::all_of(list->get_array(), [&use](const json::value& one) {
    return one.is_string() && use(std::string_view(one.get_string()));
  });
}

template <class Count>
bool read_count(const json::object& from, std::string_view key, Count& into) {
  const json::value* value = from.if_contains(key);
  if (value == nullptr) return true;
  boost::system::error_code error;
  into = value->to_number<Count>(error);
  return !error;
}

bool read_grant(const json::object& object, session::Grant& grant) {
  grant.hosts.clear();
  grant.ports.clear();
  const bool lists = read_texts(object, "secrets",
                                [&](std::string_view text) {
                                  auto secret = secret_of(text);
                                  if (!secret) return false;
                                  grant.secrets.push_back(std::move(*secret));
                                  return true;
                                }) &&
                     read_texts(object, "hosts",
                                [&](std::string_view text) {
                                  grant.hosts.emplace_back(text);
                                  return !text.empty();
                                }) &&
                     read_texts(object, "ports", [&](std::string_view text) {
                       const auto range = session::parse_port_range(text);
                       if (range) grant.ports.push_back(*range);
                       return range.has_value();
                     });
  if (!lists || grant.secrets.empty() || grant.secrets.size() > session::Grant::kMaxSecrets) return false;
  if (const json::value* expires = object.if_contains("expires"); expires != nullptr) {
    boost::system::error_code error;
    grant.expires = session::Grant::Time(std::chrono::seconds(expires->to_number<std::int64_t>(error)));
    if (error) return false;
  }
  return read_count(object, "max_sessions", grant.limits.sessions) &&
         read_count(object, "max_tunnels", grant.limits.tunnels) &&
         read_count(object, "max_streams", grant.limits.streams) &&
         read_count(object, "bandwidth", grant.limits.bandwidth) &&
         read_count(object, "max_tunnel_bytes", grant.limits.tunnel_bytes);
}

// A file that only its owner may read, whole. Nothing: it is not there.
Result<std::optional<std::string>> read_private(const std::filesystem::path& file, std::size_t most) {
  const transport::UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!fd) return std::unexpected(errno_error(errno, Side::Local, "cannot open " + file.string()));
  struct stat info{};
  if (::fstat(fd.get(), &info) < 0)
    return std::unexpected(errno_error(errno, Side::Local, "cannot read " + file.string()));
  if (!S_ISREG(info.st_mode)) return bad(file, "this is not a file");
  if ((info.st_mode & 077) != 0)
    return bad(file, "others may read this secret: chmod 600 it, and make a new one if they did");
  if (static_cast<std::uint64_t>(info.st_size) > most) return bad(file, "this is too long for what ferrotunnel wrote");
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + have, text.size() - have);
    if (n < 0) return std::unexpected(errno_error(errno, Side::Local, "cannot read " + file.string()));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  text.resize(have);
  return text;
}

Result<std::optional<session::Grant>> read_grant_file(const std::filesystem::path& file) {
  auto text = read_private(file, GrantStore::kMaxFile);
  if (!text) return std::unexpected(text.error());
  if (!*text) return std::nullopt;
  session::Grant grant;
  grant.name = file.filename().string();
  grant.from = file.string();
  std::string_view line = **text;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  if (auto only = secret_of(line)) {
    grant.secrets.push_back(std::move(*only));
    return grant;
  }
  boost::system::error_code wrong;
  const json::value value = json::parse(line, wrong);
  if (wrong || !value.is_object() || !read_grant(value.get_object(), grant))
    return bad(file, "this is not a grant that ferrotunnel wrote: remove the file to have a new one made");
  return grant;
}

}  // namespace

Result<std::vector<session::Grant>> GrantStore::load() const {
  std::vector<session::Grant> grants;
  std::error_code error;
  std::filesystem::directory_iterator files(state_ / "grants", error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) return grants;
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
    const std::filesystem::path file = files->path();
    if (!wire::valid_name(file.filename().string())) continue;
    if (grants.size() == kMaxGrants) return bad(state_ / "grants", "there are more than 10,000 grants");
    auto loaded = read_grant_file(file);
    if (!loaded) return std::unexpected(loaded.error());
    if (*loaded) grants.push_back(std::move(**loaded));  // else it went meanwhile
  }
  if (error) {
    return std::unexpected(Error(ErrorCode::Io, Side::Local, false,
                                 "cannot read " + (state_ / "grants").string() + ": " + error.message()));
  }
  std::ranges::sort(grants, {}, &session::Grant::name);
  return grants;
}

Result<std::optional<session::Grant>> GrantStore::load(std::string_view name) const {
  return read_grant_file(file_of(name));
}

Result<GrantStore::LoadedGrant> GrantStore::load_or_make(std::string_view name) const {
  auto loaded = load(name);
  if (!loaded) return std::unexpected(loaded.error());
  if (*loaded) return LoadedGrant{std::move(**loaded), false};
  session::Grant grant;
  grant.name = name;
  grant.from = file_of(name).string();
  grant.secrets.push_back(session::Secret::generate());
  auto made = publish_private(state_, file_of(name), json::serialize(to_json(grant)) + "\n");
  if (!made) return std::unexpected(made.error());
  if (*made) return LoadedGrant{std::move(grant), true};
  loaded = load(name);  // somebody was quicker
  if (!loaded) return std::unexpected(loaded.error());
  if (!*loaded) return bad(file_of(name), "it is made and removed by others all the time");
  return LoadedGrant{std::move(**loaded), false};
}

Result<> GrantStore::add(const session::Grant& grant) const {
  auto made = publish_private(state_, file_of(grant.name), json::serialize(to_json(grant)) + "\n");
  if (!made) return std::unexpected(made.error());
  if (*made) return {};
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false,
            "there is a grant named " + grant.name + " already: revoke it first, or take another name"));
}

Result<bool> GrantStore::remove(std::string_view name) const {
  if (!wire::valid_name(name)) return false;
  if (::unlink(file_of(name).c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return std::unexpected(errno_error(errno, Side::Local, "cannot remove " + file_of(name).string()));
}

Result<> GrantStore::write_server(const session::JoinToken& token) const {
  json::array addresses;
  for (const std::string& address : token.addresses) addresses.emplace_back(address);
  json::object object{{"addresses", std::move(addresses)}, {"tls", token.tls}};
  if (token.fingerprint) object["fingerprint"] = wire::base64url_encode(*token.fingerprint);
  return replace_private(state_, state_ / "server.json", json::serialize(object) + "\n");
}

Result<session::JoinToken> GrantStore::read_server() const {
  const std::filesystem::path file = state_ / "server.json";
  auto text = read_private(file, kMaxFile);
  if (!text) return std::unexpected(text.error());
  if (!*text) {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                                 "no server has run in " + state_.string() +
                                     " yet, so there is no address and no key for a token: start it once"));
  }
  boost::system::error_code wrong;
  const json::value value = json::parse(**text, wrong);
  session::JoinToken token;
  if (wrong || !value.is_object()) return bad(file, "this is not what a server wrote: start the server once");
  const json::object& object = value.get_object();
  const bool addresses = read_texts(object, "addresses", [&](std::string_view one) {
    token.addresses.emplace_back(one);
    return true;
  });
  const json::value* tls = object.if_contains("tls");
  if (!addresses || tls == nullptr || !tls->is_bool())
    return bad(file, "this is not what a server wrote: start the server once");
  token.tls = tls->get_bool();
  if (const json::value* pin = object.if_contains("fingerprint"); pin != nullptr && pin->is_string()) {
    const auto bytes = wire::base64url_decode(std::string_view(pin->get_string()));
    transport::Fingerprint fingerprint{};
    if (!bytes || bytes->size() != fingerprint.size())
      return bad(file, "this is not what a server wrote: start the server once");
    std::ranges::copy(*bytes, fingerprint.begin());
    token.fingerprint = fingerprint;
  }
  return token;
}

}  // namespace ferrotunnel::app
