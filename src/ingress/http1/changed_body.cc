#include "ingress/http1/changed_body.h"

#include <array>
#include <cassert>
#include <charconv>
#include <utility>

namespace ferrotunnel::ingress {

ChangedBody::ChangedBody(IngressContext& context, ChangedBodyOwner& owner, std::unique_ptr<plugin::Transform> transform)
    : context_(context), owner_(owner), transform_(std::move(transform)), charged_(transform_->memory()) {
  context_.shard.buffers().budget().add(charged_);
  ++context_.stats.compressed;
}

ChangedBody::~ChangedBody() { context_.shard.buffers().budget().sub(charged_); }

std::optional<ConstBytes> ChangedBody::run(ConstBytes payload, Until until) {
  assert(payload.size() <= kStep && !ended_);
  std::unique_ptr<std::byte[]>& room = context_.changed;
  if (room == nullptr) room = std::make_unique_for_overwrite<std::byte[]>(kMostOut);
  const auto made = transform_->run(payload, {room.get(), kMostOut}, until);
  holds_ = until == Until::More && (holds_ || !payload.empty());
  ended_ = until == Until::End;
  if (!made) return std::nullopt;
  context_.stats.compressed_in += payload.size();
  context_.stats.compressed_out += *made;
  if (holds_) context_.shard.at_turn_end(*this);
  return ConstBytes(room.get(), *made);
}

bool ChangedBody::append(std::string& out, ConstBytes payload, Until until, bool chunks) {
  const auto made = run(payload, until);
  if (!made) return false;
  if (!made->empty() && chunks) {
    std::array<char, sizeof(std::size_t) * 2> digits;
    out.append(digits.data(), std::to_chars(digits.begin(), digits.end(), made->size(), 16).ptr).append("\r\n");
  }
  out.append(as_text(*made));
  if (!made->empty() && chunks) out.append("\r\n");
  if (ended_ && chunks) out.append("0\r\n");
  return true;
}

bool may_transform(const IngressContext& context, const http::ResponseHead& head, bool head_request) {
  return !head_request && !head.upgrade && !head.framing.empty() && !context.shard.buffers().budget().tight();
}

void forget_length(http::ResponseHead& head, bool chunks) {
  head.fields.remove(http::FieldId::ContentLength);
  head.framing = chunks ? http::Framing::chunked() : http::Framing::until_close();
}

}  // namespace ferrotunnel::ingress
