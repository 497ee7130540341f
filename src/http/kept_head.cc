#include "http/kept_head.h"

#include <cassert>

namespace ferrotunnel::http {

KeptHead::KeptHead(const RequestHead& head) : head_(head) {
  std::size_t size = 0;
  const auto each = [&](const auto& view) {
    for (std::string_view* text : {&head_.method_text, &head_.target, &head_.scheme, &head_.authority, &head_.host,
                                   &head_.path_and_query, &head_.path, &head_.query, &head_.upgrade_protocol})
      view(*text);
  };
  each([&](std::string_view& text) { size += text.size(); });
  for (const Field& field : head.fields) size += field.name.size() + field.value.size();
  text_.reserve(size);
  const auto keep = [&](std::string_view text) {
    const std::size_t at = text_.size();
    text_.append(text);
    return std::string_view(text_).substr(at, text.size());
  };
  each([&](std::string_view& text) { text = keep(text); });
  head_.fields.clear();
  for (const Field& field : head.fields) head_.fields.add({keep(field.name), keep(field.value), field.id});
  assert(text_.size() == size);
}

}  // namespace ferrotunnel::http
