// basic_auth (user "NAME:HASH", realm): RFC 7617. Who is not among the users gets 401; who is goes on without the Authorization field, which other
// rules of this kind still see. Where more than one asks, of the tunnel and of a part of its paths, a visitor has to be a user of each.
//
// A hash takes a Worker tens of milliseconds. What was found right is remembered by its HMAC under a key of this filter's own, so that a browser
// pays once; what was found wrong is not. Requests with the same credentials wait for one hash. A name that is nobody's costs one too.
// One visitor (plugin::Network) has a share of what waits, and so have a tunnel and a grant (worker.h), so that guesses keep nobody else out; and a hash that nobody waits for any more,
// because those who asked have left, is not made.
#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/random.h"
#include "http/chars.h"
#include "plugin/builtin/filters.h"
#include "plugin/builtin/password.h"

namespace ferrotunnel::plugin {
namespace {

constexpr std::size_t kMaxUsers = 64;
constexpr std::size_t kMaxCredentials = 1024;  // bytes of base64
constexpr std::size_t kMaxVerified = 1024;     // remembered; the older half goes first
constexpr std::size_t kMaxWaiting = 1024;      // requests of one rule at once
// Of them, one visitor's: more than a browser asks at once over HTTP/2 (100), all with the same credentials.
constexpr std::size_t kMaxWaitingPerNetwork = 128;

// Strict RFC 4648 section 4, padding as clients send it or left out.
std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    const std::uint32_t value = c >= 'A' && c <= 'Z'   ? static_cast<std::uint32_t>(c - 'A')
                                : c >= 'a' && c <= 'z' ? static_cast<std::uint32_t>(c - 'a' + 26)
                                : c >= '0' && c <= '9' ? static_cast<std::uint32_t>(c - '0' + 52)
                                : c == '+'             ? 62u
                                : c == '/'             ? 63u
                                                       : 64u;
    if (value > 63) return std::nullopt;
    bits = (bits << 6) | value;
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out += static_cast<char>((bits >> have) & 0xff);
  }
  return out;
}

using Digest = std::array<unsigned char, 32>;
struct DigestHash {
  std::size_t operator()(const Digest& digest) const {
    std::size_t value = 0;
    std::memcpy(&value, digest.data(), sizeof value);
    return value;
  }
};

// Of one credential: read by those who waited, once they were resumed.
struct Outcome {
  std::atomic<bool> done{false};
  bool right = false;  // before done
};
using OutcomePtr = std::shared_ptr<Outcome>;

struct User {
  std::string name, hash;
};

// Wiped with its end, whether it was checked or dropped.
struct Credentials {
  explicit Credentials(std::string of) : text(std::move(of)) {}
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  ~Credentials() { OPENSSL_cleanse(text.data(), text.size()); }
  std::string text;
};

// Outlives its filter while a hash is under way or a request waits. Any thread.
class Verifier : public std::enable_shared_from_this<Verifier> {
 public:
  Verifier(std::vector<User> users, const Tools& tools)
      : users_(std::move(users)), worker_(tools.worker), grant_(tools.grant), tunnel_(tools.tunnel) {
    fill_random(key_);
  }

  // One request's wait; with its end nothing is done for it any more.
  struct Waited final : SlotState {
    Waited(std::shared_ptr<Verifier> in, OutcomePtr of, const Digest& what, const WaiterPtr& who)
        : verifier(std::move(in)), outcome(std::move(of)), digest(what), waiter(who) {}
    Waited(const Waited&) = delete;
    Waited& operator=(const Waited&) = delete;
    ~Waited() override {
      if (!outcome->done.load(std::memory_order_acquire)) verifier->leave(*this);
    }
    const std::shared_ptr<Verifier> verifier;
    const OutcomePtr outcome;
    const Digest digest;
    const WaiterPtr waiter;
  };

  enum class Answer : std::uint8_t { Right, Waiting, Busy, Share };
  [[nodiscard]] Answer ask(std::string credentials, const RequestView& request, Slot& slot) {
    const auto asked = std::make_shared<const Credentials>(std::move(credentials));
    const Digest digest = digest_of(asked->text);
    const Network& network = request.info.network;
    const std::lock_guard lock(mutex_);
    if (is_verified(digest)) return Answer::Right;
    if (waiting_ >= kMaxWaiting) return Answer::Busy;
    if (const auto found = by_network_.find(network);
        found != by_network_.end() && found->second >= kMaxWaitingPerNetwork)
      return Answer::Share;
    const auto [at, first] = pending_.try_emplace(digest);
    Pending& pending = at->second;
    if (first) {
      if (const Answer answer = begin(pending, digest, asked, network); answer != Answer::Waiting) {
        pending_.erase(at);
        return answer;
      }
    }
    pending.waiters.emplace_back(request.waiter, network);
    ++waiting_;
    ++by_network_[network];
    slot.state = std::make_unique<Waited>(shared_from_this(), pending.outcome, digest, request.waiter);
    return Answer::Waiting;
  }

 private:
  struct Pending {
    OutcomePtr outcome;
    Network network{};  // whose turn the hash takes: the first who asked
    Worker::JobId job = 0;
    std::vector<std::pair<WaiterPtr, Network>> waiters;  // none: they have left, and the hash is being made
  };
  using Known = std::unordered_map<Digest, bool, DigestHash>;

  [[nodiscard]] Answer begin(Pending& pending, const Digest& digest, const std::shared_ptr<const Credentials>& asked,
                             const Network& network) {
    if (worker_ == nullptr) return Answer::Busy;
    const auto job = worker_->run(owner(network),
                                  [self = shared_from_this(), digest, asked]() { self->verify(digest, asked->text); });
    if (!job) return job.error() == Worker::Refused::Share ? Answer::Share : Answer::Busy;
    pending.outcome = std::make_shared<Outcome>();
    pending.network = network;
    pending.job = *job;
    return Answer::Waiting;
  }

  [[nodiscard]] JobOwner owner(const Network& network) const { return {grant_, tunnel_, network}; }

  [[nodiscard]] Digest digest_of(std::string_view text) const {
    Digest digest{};
    unsigned size = digest.size();
    ::HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
    return digest;
  }

  // Two generations: what is in use moves to the young one.
  [[nodiscard]] bool is_verified(const Digest& digest) {
    if (young_.contains(digest)) return true;
    if (!old_.contains(digest)) return false;
    remember(digest);
    return true;
  }
  void remember(const Digest& digest) {
    if (young_.size() >= kMaxVerified / 2) {
      old_ = std::move(young_);
      young_.clear();
    }
    young_.emplace(digest, true);
  }

  void forget(const Network& network) {
    --waiting_;
    const auto found = by_network_.find(network);
    if (--found->second == 0) by_network_.erase(found);
  }

  void leave(const Waited& waited) {
    const std::lock_guard lock(mutex_);
    const auto at = pending_.find(waited.digest);
    if (at == pending_.end() || at->second.outcome != waited.outcome) return;  // its hash was made just now
    Pending& pending = at->second;
    const auto who = std::ranges::find(pending.waiters, waited.waiter, &std::pair<WaiterPtr, Network>::first);
    if (who == pending.waiters.end()) return;
    forget(who->second);
    pending.waiters.erase(who);
    if (pending.waiters.empty() && worker_->cancel(owner(pending.network), pending.job)) pending_.erase(at);
  }

  void verify(const Digest& digest, std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto user = std::ranges::find(users_, text.substr(0, colon), &User::name);
    const bool known = user != users_.end();
    const bool matches = password_matches(text.substr(colon + 1), (known ? *user : users_.front()).hash);
    Pending pending;
    {
      const std::lock_guard lock(mutex_);
      const auto at = pending_.find(digest);
      pending = std::move(at->second);
      pending_.erase(at);
      for (const auto& [waiter, network] : pending.waiters) forget(network);
      if (known && matches) remember(digest);
    }
    pending.outcome->right = known && matches;
    pending.outcome->done.store(true, std::memory_order_release);
    for (const auto& [waiter, network] : pending.waiters) waiter->resume();
  }

  const std::vector<User> users_;
  const WorkerPtr worker_;
  const std::string grant_;
  const std::uint64_t tunnel_;
  std::array<std::byte, 32> key_{};
  std::mutex mutex_;  // before the worker's
  Known young_, old_;
  std::unordered_map<Digest, Pending, DigestHash> pending_;
  std::map<Network, std::size_t> by_network_;
  std::size_t waiting_ = 0;
};

class BasicAuth final : public Filter {
 public:
  BasicAuth(std::shared_ptr<Verifier> verifier, const std::string& realm)
      : verifier_(std::move(verifier)), challenge_("Basic realm=\"" + realm + "\", charset=\"UTF-8\"") {}

  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] bool may_wait() const override { return true; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot& slot) const override {
    auto credentials = credentials_of(request.head.fields, field_of(request));
    if (!credentials) return challenge(request);
    if (const auto* waited = static_cast<const Verifier::Waited*>(slot.state.get()); waited != nullptr) {
      if (!waited->outcome->done.load(std::memory_order_acquire)) return Verdict::Wait;
      return waited->outcome->right ? pass(request) : challenge(request);
    }
    switch (verifier_->ask(std::move(*credentials), request, slot)) {
      case Verifier::Answer::Right: return pass(request);
      case Verifier::Answer::Busy: return busy(request.reply);
      case Verifier::Answer::Share: return above_share(request.reply);
      case Verifier::Answer::Waiting: break;
    }
    return Verdict::Wait;
  }

 private:
  // RFC 9110 section 11.7: who says CONNECT takes us for a proxy, and has no other field to say it in.
  static bool by_proxy(const RequestView& request) { return request.head.method == http::Method::Connect; }
  static std::string_view field_of(const RequestView& request) {
    return by_proxy(request) ? "proxy-authorization" : "authorization";
  }
  // "NAME:PASSWORD"; nothing: none, more than one, or not as RFC 7617 has them.
  static std::optional<std::string> credentials_of(const http::Fields& fields, std::string_view name) {
    const http::Field* found = nullptr;
    for (const http::Field& field : fields) {
      if (!http::iequals(field.name, name)) continue;
      if (found != nullptr) return std::nullopt;
      found = &field;
    }
    constexpr std::string_view kScheme = "basic ";
    if (found == nullptr || found->value.size() > kMaxCredentials ||
        !http::iequals(found->value.substr(0, kScheme.size()), kScheme))
      return std::nullopt;
    auto text = decode_base64(http::trim(found->value.substr(kScheme.size())));
    if (!text || !text->contains(':') || text->contains('\0')) return std::nullopt;
    return text;
  }
  static Verdict pass(RequestView& request) {
    // Not taken out: the next of these rules, for a part of the paths, asks the same visitor.
    request.head.fields.mark(field_of(request), http::FieldId::Spent);
    return Verdict::Pass;
  }
  [[nodiscard]] Verdict challenge(RequestView& request) const {
    Reply& reply = request.reply;
    reply.status = by_proxy(request) ? 407 : 401;
    reply.slug = "unauthorized";
    reply.sentence = "{host} asks for a name and a password.";
    reply.fields.add(by_proxy(request) ? "Proxy-Authenticate" : "WWW-Authenticate", challenge_);
    return Verdict::Answer;
  }
  static Verdict busy(Reply& reply) {
    reply.status = 503;
    reply.slug = "auth-busy";
    reply.sentence = "This server checks as many passwords as it can now.";
    reply.retry_after = 1;
    return Verdict::Answer;
  }
  static Verdict above_share(Reply& reply) {
    reply.status = 429;
    reply.slug = "auth-limit";
    reply.sentence = "Too many passwords from your address wait to be checked.";
    reply.retry_after = 1;
    return Verdict::Answer;
  }

  const std::shared_ptr<Verifier> verifier_;
  const std::string challenge_;
};

}  // namespace

Result<FilterPtr> make_basic_auth(Settings& settings, const Tools& tools) {
  std::vector<User> users;
  for (const std::string& text : settings.texts("user")) {
    const std::size_t colon = text.find(':');
    User user{text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
    if (colon == std::string::npos || user.name.empty() || !http::all(user.name, http::kValueByte))
      return bad_rule("a user is NAME:HASH");
    if (auto checked = check_hash(user.hash); !checked)
      return bad_rule("user " + user.name + ": " + checked.error().context);
    if (std::ranges::find(users, user.name, &User::name) != users.end())
      return bad_rule("user " + user.name + " stands there twice");
    users.push_back(std::move(user));
  }
  if (users.empty()) return bad_rule("it needs a user, as NAME:HASH");
  if (users.size() > kMaxUsers) return bad_rule("at most " + std::to_string(kMaxUsers) + " users");
  const std::string realm = settings.has("realm") ? settings.text("realm") : "tunnel";
  if (realm.size() > 128 || !http::all(realm, http::kValueByte) || realm.find_first_of("\"\\") != std::string::npos)
    return bad_rule("realm: up to 128 characters without quotes are wanted");
  return std::make_shared<const BasicAuth>(std::make_shared<Verifier>(std::move(users), tools), realm);
}

}  // namespace ferrotunnel::plugin
