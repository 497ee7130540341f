// max_body (bytes): 413 to a request whose body is larger, as soon as that is known: by its Content-Length, or once so much has come.
#include "plugin/builtin/filters.h"

namespace ferrotunnel::plugin {
namespace {

class MaxBody final : public Filter {
 public:
  explicit MaxBody(std::uint64_t bytes) : bytes_(bytes) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead, Phase::RequestBody}; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot& slot) const override {
    slot.number = 0;
    return request.head.framing.length > bytes_ ? refuse(request.reply) : Verdict::Pass;
  }
  [[nodiscard]] Verdict on_request_body(ConstBytes payload, Slot& slot, Reply& reply) const override {
    slot.number += payload.size();
    return slot.number > bytes_ ? refuse(reply) : Verdict::Pass;
  }

 private:
  static Verdict refuse(Reply& reply) {
    reply.status = 413;
    reply.slug = "body-too-large";
    reply.sentence = "The request's body is larger than {host} takes.";
    return Verdict::Answer;
  }
  const std::uint64_t bytes_;
};

}  // namespace

Result<FilterPtr> make_max_body(Settings& settings, const Tools&) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 50;
  const auto bytes = settings.has("bytes") ? settings.number("bytes", 0, kMost) : std::nullopt;
  if (!bytes) return bad_rule("bytes: a number of bytes is wanted");
  return std::make_shared<const MaxBody>(*bytes);
}

}  // namespace ferrotunnel::plugin
