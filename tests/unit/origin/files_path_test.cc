// relative_path() and content_type(): what a path means below a shared directory, in every spelling that has led out of one somewhere.
#include "origin/files/path.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "origin/files/content_type.h"

namespace ferrotunnel::origin::files {
namespace {

TEST(RelativePath, Good) {
  struct Good {
    std::string_view sent, path;
    bool directory;
  };
  for (const Good& good : {
           Good{"/", "", true},
           {"/a", "a", false},
           {"/a/", "a", true},
           {"/a/b.html", "a/b.html", false},
           {"/a%20b", "a b", false},
           {"/%61", "a", false},
           {"/a..b", "a..b", false},
           {"/a./b", "a./b", false},
           {"/a...", "a...", false},
           {"/%C3%A4.txt", "\xC3\xA4.txt", false},
           {"/%c3%a4.txt", "\xC3\xA4.txt", false},
           {"/%C0%AE%C0%AE/a", "\xC0\xAE\xC0\xAE/a", false},  // an overlong ".." is a name like another
           {"/%252e%252e/a", "%2e%2e/a", false},              // decoded once
           {"/%252f", "%2f", false},
           {"/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", false},
           {"/.well-known", ".well-known", false},
           {"/a%0ab", "a\nb", false},
           {"/a;b=c,d", "a;b=c,d", false},
           {"/a:b", "a:b", false},
       }) {
    const auto path = relative_path(good.sent);
    ASSERT_TRUE(path) << good.sent << ": " << path.error();
    EXPECT_EQ(path->path, good.path) << good.sent;
    EXPECT_EQ(path->directory, good.directory) << good.sent;
  }
}

TEST(RelativePath, NotFound) {
  for (const std::string_view sent : {
           "//",
           "//a",
           "/a//b",
           "/a//",
           "/.",
           "/..",
           "/./",
           "/../",
           "/../etc/passwd",
           "/a/../b",
           "/a/..",
           "/a/.",
           "/a/./b",
           "/%2e",
           "/%2e%2e",
           "/%2e%2e/",
           "/.%2e/a",
           "/%2E./a",
           "/%2e%2e%2fetc%2fpasswd",
           "/..%2fa",
           "/a%2fb",
           "/%2f",
           "/%2Fetc/passwd",
           "/..%5ca",
           "/..%5C..%5ca",
           "/..\\a",
           "/a\\b",
           "/%5c",
           "/\\evil.example",
           "/.git/config",
           "/.env",
           "/a/.htaccess",
           "/%2egit/config",
           "/a/.well-known/x",
           "/.well-known2",
           "/.well-known/.hidden",
           "/.well-known/../a",
           "/.well-known/%2e%2e/a",
           "/..;/a",
           "/.../a",
       }) {
    const auto path = relative_path(sent);
    ASSERT_FALSE(path) << sent << " is " << path->path;
    EXPECT_EQ(path.error(), 404) << sent;
  }
  EXPECT_TRUE(relative_path("/" + std::string(255, 'a')));
  EXPECT_EQ(relative_path("/" + std::string(256, 'a')).error(), 404);
}

TEST(RelativePath, NoPath) {
  for (const std::string_view sent : {"", "a", "*", "/%", "/%2", "/%g0", "/%0g", "/a%", "/%u002e", "/%00", "/a%00.html",
                                      "/../%00", "/ok/%zz", "/%-1"}) {
    const auto path = relative_path(sent);
    ASSERT_FALSE(path) << sent << " is " << path->path;
    EXPECT_EQ(path.error(), 400) << sent;
  }
}

// Out of pieces that have meant something to somebody: what is accepted is names below the root, and nothing else.
TEST(RelativePath, NothingAcceptedLeadsOut) {
  constexpr std::array<std::string_view, 16> kPieces = {"/", "/",   ".",   "..",    "\\",  "%2e", "%2E", "%2f",
                                                        "a", "%5c", "%00", "%252e", "%c0", "%",   ";",   ".well-known"};
  std::minstd_rand random(7);
  for (int round = 0; round < 100'000; ++round) {
    std::string sent = "/";
    for (unsigned n = random() % 10; n-- > 0;) sent += kPieces[random() % kPieces.size()];
    const auto path = relative_path(sent);
    if (!path || path->path.empty()) continue;
    std::string_view left = path->path;
    for (bool top = true; !left.empty(); top = false) {
      const std::string_view name = left.substr(0, left.find('/'));
      ASSERT_TRUE(!name.empty() && (name[0] != '.' || (top && name == ".well-known"))) << sent;
      ASSERT_EQ(name.find_first_of(std::string_view("\\\0", 2)), std::string_view::npos) << sent;
      left.remove_prefix(std::min(left.size(), name.size() + 1));
    }
    ASSERT_FALSE(path->path.ends_with('/')) << sent;
  }
}

// Whatever bytes a name has, its link leads back to it.
TEST(RelativePath, ALinkLeadsToItsName) {
  for (int c = 1; c < 256; ++c) {
    const std::string name = std::string("x") + static_cast<char>(c) + "y";
    std::string link = "/";
    append_segment(link, name);
    const auto path = relative_path(link);
    ASSERT_EQ(path.has_value(), servable_name(name, true)) << c;
    if (path) EXPECT_EQ(path->path, name);
  }
}

TEST(ContentType, ByExtension) {
  struct Known {
    std::string_view path, type;
  };
  for (const Known& known : {
           Known{"index.html", "text/html; charset=utf-8"},
           {"a/b.HTML", "text/html; charset=utf-8"},
           {"a.css", "text/css; charset=utf-8"},
           {"a.js", "text/javascript; charset=utf-8"},
           {"a.mjs", "text/javascript; charset=utf-8"},
           {"a.json", "application/json"},
           {"a.js.map", "application/json"},
           {"a.svg", "image/svg+xml; charset=utf-8"},
           {"a.png", "image/png"},
           {"a.jpg", "image/jpeg"},
           {"a.jpeg", "image/jpeg"},
           {"a.webp", "image/webp"},
           {"a.avif", "image/avif"},
           {"a.gif", "image/gif"},
           {"favicon.ico", "image/x-icon"},
           {"a.woff2", "font/woff2"},
           {"a.wasm", "application/wasm"},
           {"a.pdf", "application/pdf"},
           {"a.txt", "text/plain; charset=utf-8"},
           {"a.md", "text/markdown; charset=utf-8"},
           {"a.xml", "application/xml; charset=utf-8"},
           {"a.mp4", "video/mp4"},
           {"a.webm", "video/webm"},
           {"a.mp3", "audio/mpeg"},
           {"site.webmanifest", "application/manifest+json"},
           {"a.webmanifests", "application/octet-stream"},
           {"html", "application/octet-stream"},
           {"a.html/b", "application/octet-stream"},
           {"a.", "application/octet-stream"},
           {"a.unknown", "application/octet-stream"},
           {"", "application/octet-stream"},
       })
    EXPECT_EQ(content_type(known.path), known.type) << known.path;
}

}  // namespace
}  // namespace ferrotunnel::origin::files
