// compress (coding, min): text is sent in a content coding that the visitor takes, where the origin sent it plain.
//
// Left alone: what is no text by its Content-Type, is smaller than `min`, or is in a coding already; what may not be changed (no-transform) or
// would no longer be what a digest or a range says; events (text/event-stream) and gRPC, whose pieces are small and wanted at once. What could
// have been compressed says Vary, also to a visitor who gets it plain (RFC 9110 section 12.5.5). A strong ETag is of other bytes then: it
// becomes weak (section 8.8.1).
#include <algorithm>
#include <array>
#include <charconv>

#include "http/chars.h"
#include "http/weight.h"
#include "plugin/builtin/coders.h"
#include "plugin/builtin/filters.h"

namespace ferrotunnel::plugin {
namespace {

struct Coding {
  std::string_view name;
  std::unique_ptr<Transform> (*make)();
};
constexpr std::array kCodings = {Coding{"zstd", make_zstd_coder}, Coding{"br", make_brotli_coder},
                                 Coding{"gzip", make_gzip_coder}};
constexpr std::uint64_t kDefaultMin = 1024;  // bytes: below, the coding's own bytes and time are not worth it

// Beside text/* and whatever ends in +json or +xml.
constexpr std::array<std::string_view, 15> kTextTypes = {"application/ecmascript",
                                                         "application/graphql",
                                                         "application/javascript",
                                                         "application/json",
                                                         "application/jsonlines",
                                                         "application/rtf",
                                                         "application/vnd.ms-fontobject",
                                                         "application/wasm",
                                                         "application/x-javascript",
                                                         "application/x-ndjson",
                                                         "application/xml",
                                                         "application/yaml",
                                                         "font/otf",
                                                         "font/ttf",
                                                         "image/bmp"};
// What is told of bytes that would be others.
constexpr std::array<std::string_view, 5> kOfTheBytes = {"content-range", "content-md5", "content-digest", "digest",
                                                         "repr-digest"};

bool starts(std::string_view text, std::string_view with) { return http::iequals(text.substr(0, with.size()), with); }
bool ends(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && http::iequals(text.substr(text.size() - with.size()), with);
}

bool is_text(std::string_view content_type) {
  const std::string_view type = http::trim(content_type.substr(0, content_type.find(';')));
  if (http::iequals(type, "text/event-stream") || starts(type, "application/grpc")) return false;
  if (starts(type, "text/") || ends(type, "+json") || ends(type, "+xml")) return true;
  return std::ranges::any_of(kTextTypes, [type](std::string_view one) { return http::iequals(one, type); });
}

// Whether the list of any line of this field has that member, whatever its parameters.
bool lists(const http::Fields& fields, std::string_view name, std::string_view member) {
  for (const http::Field& field : fields) {
    if (!http::iequals(field.name, name)) continue;
    std::string_view list = field.value;
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      if (http::iequals(http::trim(list.substr(0, comma)), member)) return true;
      list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    }
  }
  return false;
}

// What the message says of its length; of the answer to HEAD too.
std::optional<std::uint64_t> length_of(const http::ResponseHead& head) {
  if (head.framing.kind == http::Framing::Kind::Length) return head.framing.length;
  const std::string_view said = head.fields.value(http::FieldId::ContentLength);
  std::uint64_t length = 0;
  const auto [end, failed] = std::from_chars(said.data(), said.data() + said.size(), length);
  if (said.empty() || failed != std::errc() || end != said.data() + said.size()) return std::nullopt;
  return length;
}

bool may_be_coded(const http::ResponseHead& head, std::uint64_t min) {
  const http::Fields& fields = head.fields;
  if (head.status < 200 || head.status == 204 || head.status == 205 || head.status == 206 || head.status == 226 ||
      head.status == 304)
    return false;
  const std::string_view coding = fields.value("content-encoding");
  if (!coding.empty() && !http::iequals(coding, "identity")) return false;
  if (!is_text(fields.value("content-type")) || lists(fields, "cache-control", "no-transform")) return false;
  if (std::ranges::any_of(kOfTheBytes, [&](std::string_view name) { return fields.find(name) != nullptr; }))
    return false;
  const auto length = length_of(head);
  return !length || *length >= min;
}

class Compress final : public Filter {
 public:
  Compress(std::vector<const Coding*> codings, std::uint64_t min) : codings_(std::move(codings)), min_(min) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead, Phase::ResponseHead}; }

  // The slot: which of the codings this visitor likes best, from 1; 0: none.
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot& slot) const override {
    const http::Fields& fields = request.head.fields;
    slot.number = 0;
    if (lists(fields, "cache-control", "no-transform")) return Verdict::Pass;
    int best = std::max(1, http::weight_of_coding(fields, "identity").value_or(1));
    for (std::size_t i = 0; i < codings_.size(); ++i) {
      const int weight = http::weight_of_coding(fields, codings_[i]->name).value_or(0);
      // Of what he likes as much as plain text, or as another, the first that was configured.
      if (weight < best || (weight == best && slot.number != 0)) continue;
      best = weight;
      slot.number = i + 1;
    }
    return Verdict::Pass;
  }

  void on_response_head(ResponseView& response, Slot& slot) const override {
    http::Fields& fields = response.head.fields;
    if (!may_be_coded(response.head, min_)) return;
    if (!lists(fields, "vary", "accept-encoding") && !lists(fields, "vary", "*"))
      fields.add(http::Field{"Vary", "Accept-Encoding", http::FieldId::Rule});
    if (slot.number == 0 || !response.may_transform || response.transform != nullptr) return;
    const Coding& coding = *codings_[slot.number - 1];
    response.transform = coding.make();
    if (response.transform == nullptr) return;
    fields.remove("content-encoding");
    fields.remove("accept-ranges");  // ranges of what: the origin's bytes are others
    fields.add(http::Field{"Content-Encoding", coding.name, http::FieldId::Rule});
    const std::string_view tag = fields.value("etag");
    if (!tag.starts_with('"')) return;
    const std::string_view weak = response.scratch.keep("W/" + std::string(tag));
    fields.remove("etag");
    fields.add(http::Field{"ETag", weak, http::FieldId::Rule});
  }

 private:
  const std::vector<const Coding*> codings_;
  const std::uint64_t min_;
};

}  // namespace

Result<FilterPtr> make_compress(Settings& settings, const Tools&) {
  std::vector<const Coding*> codings;
  for (const std::string& name : settings.texts("coding")) {
    const auto* coding = std::ranges::find(kCodings, name, &Coding::name);
    if (coding == kCodings.end())
      return bad_rule("'" + name.substr(0, 64) + "' is no coding that this can make: gzip, zstd or br");
    if (std::ranges::find(codings, coding) == codings.end()) codings.push_back(coding);
  }
  if (codings.empty())
    for (const Coding& coding : kCodings) codings.push_back(&coding);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  const auto min = settings.number("min", kDefaultMin, kMost);
  if (!min) return bad_rule("min: a number of bytes is wanted");
  return std::make_shared<const Compress>(std::move(codings), *min);
}

}  // namespace ferrotunnel::plugin
