#include "app/server/error_pages.h"

#include <boost/json/parse.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace ferrotunnel::app {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> bad(const fs::path& file, const std::string& what) {
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "the error page " + file.string() + " cannot be used: " + what));
}

std::unexpected<Error> unreadable(const fs::path& path, int number) {
  Error failed = errno_error(number, Side::Local, "cannot read the error pages at " + path.string());
  failed.code = ErrorCode::Io;
  failed.retry = false;
  return std::unexpected(std::move(failed));
}

// As it would be said; whoever reads JSON reads no page.
bool is_json(const http::PageTemplate& page) {
  http::ErrorPage sample;
  sample.slug = "code";
  sample.sentence = "A \"sentence\".";
  sample.request_id = "0123456789abcdef";
  sample.host = "example.com";
  std::error_code error;
  (void)boost::json::parse(page.render(sample), error);
  return !error;
}

Result<> add(http::PageTemplates& pages, const fs::path& file, http::PageTemplates::Place place) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return unreadable(file, errno);
  // One byte more than there may be is enough to refuse it by.
  std::string text(http::PageTemplate::kMostBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return unreadable(file, EIO);
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto page = http::PageTemplate::parse(text, place.format);
  if (!page) return bad(file, page.error());
  if (place.format == http::PageFormat::Json && !is_json(*page)) return bad(file, "it is no JSON");
  pages.add(place, std::move(*page));
  return {};
}

}  // namespace

Result<http::PageTemplatesPtr> load_error_pages(const std::string& path) {
  if (path.empty()) return http::PageTemplatesPtr();
  auto pages = std::make_shared<http::PageTemplates>();
  std::error_code error;
  if (!fs::exists(path, error)) return unreadable(path, error ? error.value() : ENOENT);
  if (!fs::is_directory(path, error)) {
    const std::string name = "error" + fs::path(path).extension().string();
    const auto place = http::PageTemplates::place_of(name);
    if (!place) return bad(path, place.error());
    if (auto added = add(*pages, path, *place); !added) return std::unexpected(std::move(added.error()));
    return pages;
  }
  std::size_t files = 0;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const fs::path& file = at->path();
    if (file.filename().string().starts_with('.')) continue;
    if (++files > kMostErrorPages)
      return bad(path, "the directory has more than " + std::to_string(kMostErrorPages) + " files");
    const auto place = http::PageTemplates::place_of(file.filename().string());
    if (!place) return bad(file, place.error());
    if (auto added = add(*pages, file, *place); !added) return std::unexpected(std::move(added.error()));
  }
  if (error) return unreadable(path, error.value());
  if (pages->empty()) return bad(path, "the directory has no page in it, such as error.html or 5xx.json");
  return pages;
}

}  // namespace ferrotunnel::app
