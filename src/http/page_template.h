// PageTemplates: pages of the server's owner in place of those of error_page.h: for one status, for a hundred of them, or for all, each as HTML,
// JSON or text.
//
// A placeholder is a word in braces: {status}, {reason}, {code}, {side}, {sentence}, {host}, {request_id}. What it stands for is escaped as the
// format wants it, so that nothing from outside is more than text. Other braces are as they are. Values; what is shared is const; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/error_page.h"

namespace ferrotunnel::http {

class PageTemplate {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{32} * 1024;
  static constexpr std::size_t kMostPlaceholders = 64;
  static constexpr std::size_t kMostRendered = std::size_t{64} * 1024;

  // Or what is wrong with it, in words.
  [[nodiscard]] static std::expected<PageTemplate, std::string> parse(std::string_view text, PageFormat format);
  // "": it would be more than kMostRendered.
  [[nodiscard]] std::string render(const ErrorPage& page) const;

 private:
  enum class Value : std::uint8_t { None, Status, Reason, Code, Side, Sentence, Host, RequestId };
  struct Piece {
    std::string text;
    Value value = Value::None;  // behind it
  };
  [[nodiscard]] static Value value_of(std::string_view word);
  void append(std::string& out, Value value, const ErrorPage& page) const;

  PageFormat format_ = PageFormat::Text;
  std::vector<Piece> pieces_;
};

class PageTemplates {
 public:
  // What the name of a file says: "404.html", "5xx.json", "error.txt". Nothing: it is none.
  struct Place {
    std::uint16_t status = 0;  // 404; 5 for 5xx; 0 for all
    PageFormat format = PageFormat::Text;
    auto operator<=>(const Place&) const = default;
  };
  [[nodiscard]] static std::expected<Place, std::string> place_of(std::string_view file_name);

  void add(Place place, PageTemplate page) { pages_.insert_or_assign(place, std::move(page)); }
  // The one that says most about this status; none: the server's own is to be taken.
  [[nodiscard]] const PageTemplate* find(std::uint16_t status, PageFormat format) const;
  [[nodiscard]] bool empty() const { return pages_.empty(); }

 private:
  std::map<Place, PageTemplate> pages_;
};
using PageTemplatesPtr = std::shared_ptr<const PageTemplates>;

}  // namespace ferrotunnel::http
