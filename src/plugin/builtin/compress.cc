// compress (coding, min): text is sent in a content coding that the visitor takes, where the origin sent it plain.
//
// Left alone: what is no text by its Content-Type, is smaller than `min`, or is in a coding already; what may not be changed (no-transform) or
// would no longer be what a digest or a range says; events (text/event-stream) and gRPC, whose pieces are small and wanted at once. What could
// have been compressed says Vary, also to a visitor who gets it plain (RFC 9110 section 12.5.5). A strong ETag is of other bytes then: it
// becomes weak (section 8.8.1). A 206 and a 304 say Vary as the 200 in their place would (sections 15.3.7, 15.4.5); so does a 304's ETag, since
// nothing else tells a cache which of its responses is meant. A 206 is of the plain bytes, and keeps its strong one.
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

std::optional<std::uint64_t> number_of(std::string_view said) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(said.data(), said.data() + said.size(), number);
  if (said.empty() || failed != std::errc() || end != said.data() + said.size()) return std::nullopt;
  return number;
}

// What the message says of its length; of the answer to HEAD too.
std::optional<std::uint64_t> length_of(const http::ResponseHead& head) {
  if (head.framing.kind == http::Framing::Kind::Length) return head.framing.length;
  return number_of(head.fields.value(http::FieldId::ContentLength));
}

// Of what a 206 has a part, or what a 304 stands for; nothing: it does not say.
std::optional<std::uint64_t> length_of_whole(const http::ResponseHead& head) {
  if (head.status == 304) return number_of(head.fields.value(http::FieldId::ContentLength));
  const std::string_view range = head.fields.value("content-range");
  const std::size_t slash = range.rfind('/');
  return slash == std::string_view::npos ? std::nullopt : number_of(range.substr(slash + 1));
}

bool says_of_the_bytes(const http::Fields& fields, std::string_view but = {}) {
  return std::ranges::any_of(kOfTheBytes,
                             [&](std::string_view name) { return name != but && fields.find(name) != nullptr; });
}

bool is_plain(const http::Fields& fields) {
  const std::string_view coding = fields.value("content-encoding");
  return (coding.empty() || http::iequals(coding, "identity")) && !lists(fields, "cache-control", "no-transform");
}

bool may_be_coded(const http::ResponseHead& head, std::uint64_t min) {
  const http::Fields& fields = head.fields;
  if (head.status < 200 || head.status == 204 || head.status == 205 || head.status == 206 || head.status == 226 ||
      head.status == 304)
    return false;
  if (!is_plain(fields) || !is_text(fields.value("content-type"))) return false;
  if (says_of_the_bytes(fields)) return false;
  const auto length = length_of(head);
  return !length || *length >= min;
}

// Whether the 200 in place of this 206 or 304 could have been, as far as it can be told. A 304 need not say what type it is of, nor how long, and
// what is many ranges is of each part's.
bool stands_for_coded(const http::ResponseHead& head, std::uint64_t min) {
  if (head.status != 206 && head.status != 304) return false;
  const http::Fields& fields = head.fields;
  if (!is_plain(fields) || says_of_the_bytes(fields, "content-range")) return false;
  const std::string_view type = fields.value("content-type");
  const bool unknown = type.empty() || starts(type, "multipart/byteranges");
  if (!unknown && !is_text(type)) return false;
  const auto length = length_of_whole(head);
  return !length || *length >= min;
}

// Whether he has a response with a strong tag, and none with a weak one: not one that was coded here.
bool has_strong_only(const http::Fields& fields) {
  bool any = false;
  for (const http::Field& field : fields) {
    if (!http::iequals(field.name, "if-none-match")) continue;
    if (field.value.contains("W/\"")) return false;
    any = any || field.value.contains('"');
  }
  return any;
}

class Compress final : public Filter {
 public:
  Compress(std::vector<const Coding*> codings, std::uint64_t min) : codings_(std::move(codings)), min_(min) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead, Phase::ResponseHead}; }

  // The slot: which of the codings this visitor likes best, from 1; 0: none. And kStrong, where what he has came as it was; kHead: he asks for the
  // head alone.
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
    if (slot.number != 0 && has_strong_only(fields)) slot.number |= kStrong;
    if (request.head.method == http::Method::Head) slot.number |= kHead;
    return Verdict::Pass;
  }

  void on_response_head(ResponseView& response, Slot& slot) const override {
    http::Fields& fields = response.head.fields;
    const bool in_place = stands_for_coded(response.head, min_);
    if (!in_place && !may_be_coded(response.head, min_)) return;
    if (!lists(fields, "vary", "accept-encoding") && !lists(fields, "vary", "*"))
      fields.add(http::Field{"Vary", "Accept-Encoding", http::FieldId::Rule});
    const std::uint64_t liked = slot.number & ~(kStrong | kHead);
    if (in_place && response.head.status == 304 && liked != 0 && (slot.number & kStrong) == 0) weaken_tag(response);
    if (in_place || liked == 0 || response.transform != nullptr) return;
    const Coding& coding = *codings_[liked - 1];
    if ((slot.number & kHead) != 0) {
      // What the answer to GET would say (RFC 9110 section 9.3.2); its length nobody knows.
      if (length_of(response.head) == 0) return;
      fields.remove(http::FieldId::ContentLength);
    } else {
      if (response.may_transform) response.transform = coding.make();
      if (response.transform == nullptr) return;
    }
    fields.remove("content-encoding");
    fields.remove("accept-ranges");  // ranges of what: the origin's bytes are others
    fields.add(http::Field{"Content-Encoding", coding.name, http::FieldId::Rule});
    weaken_tag(response);
  }

 private:
  static constexpr std::uint64_t kStrong = std::uint64_t{1} << 32, kHead = kStrong << 1;

  static void weaken_tag(ResponseView& response) {
    http::Fields& fields = response.head.fields;
    const std::string_view tag = fields.value("etag");
    if (!tag.starts_with('"')) return;
    const std::string_view weak = response.scratch.keep("W/" + std::string(tag));
    fields.remove("etag");
    fields.add(http::Field{"ETag", weak, http::FieldId::Rule});
  }

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
