// Root: what is found below it and what is not, by the kernel's way and by the walk; and the page that lists it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "origin/files/index.h"
#include "origin/files/open_file.h"

namespace ferrotunnel::origin::files {
namespace {

namespace fs = std::filesystem;

class RootTest : public testing::TestWithParam<bool> {
 protected:
  RootTest() {
    std::string name = "/tmp/ft_files_XXXXXX";
    base = ::mkdtemp(name.data());
    fs::create_directories(base + "/root/sub/deep");
    write("secret", "secret");
    write("root/a.txt", "a");
    write("root/sub/b.txt", "bb");
    auto opened = Root::open(base + "/root");
    EXPECT_TRUE(opened);
    root = *opened;
    const OpenResult found = root->find_by_kernel("");
    missing = !GetParam() && !found && found.error() == ENOSYS;
  }
  ~RootTest() override {
    std::error_code error;
    fs::remove_all(base, error);
  }
  void SetUp() override { ASSERT_FALSE(missing) << "this kernel has no openat2: these tests need Linux 5.6 or newer"; }
  void write(const std::string& name, std::string_view content) { std::ofstream(base + "/" + name) << content; }
  void link(const std::string& name, const std::string& target) { fs::create_symlink(target, base + "/root/" + name); }
  OpenResult find(const std::string& path) {
    return GetParam() ? root->find_by_walk(path) : root->find_by_kernel(path);
  }
  // Its content, "directory", or what errno says.
  std::string look(const std::string& path) {
    const OpenResult found = find(path);
    if (!found) return ::strerrorname_np(found.error());
    if (found->directory) return "directory";
    std::string content(found->size, '\0');
    EXPECT_EQ(::pread(found->fd.get(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
    return content;
  }

  std::string base;
  RootPtr root;
  bool missing = false;
};

INSTANTIATE_TEST_SUITE_P(Ways, RootTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Walk" : "Kernel"; });

TEST_P(RootTest, FilesAndDirectories) {
  EXPECT_EQ(look(""), "directory");
  EXPECT_EQ(look("a.txt"), "a");
  EXPECT_EQ(look("sub"), "directory");
  EXPECT_EQ(look("sub/b.txt"), "bb");
  EXPECT_EQ(look("sub/deep"), "directory");
  EXPECT_EQ(look("none"), "ENOENT");
  EXPECT_EQ(look("none/a"), "ENOENT");
  EXPECT_EQ(look("a.txt/b"), "ENOTDIR");
  EXPECT_EQ(look(std::string(300, 'x')), "ENAMETOOLONG");
}

// The paths never have these, but nothing should hang on that alone.
TEST_P(RootTest, DotsDoNotLeadOut) {
  EXPECT_EQ(look(".."), "EXDEV");
  EXPECT_EQ(look("../secret"), "EXDEV");
  EXPECT_EQ(look("sub/../../secret"), "EXDEV");
  EXPECT_EQ(look("sub/../a.txt"), "a");
  EXPECT_EQ(look("./sub/./b.txt"), "bb");
  EXPECT_EQ(look("/etc/passwd"), GetParam() ? "ENOENT" : "EXDEV");
}

TEST_P(RootTest, LinksThatStayInside) {
  link("file", "a.txt");
  link("dir", "sub");
  link("sub/up", "../a.txt");
  link("sub/deep/round", "../../sub/./deep/../b.txt");
  link("self", ".");
  link("slash", "sub/");
  link("chain", "file");
  EXPECT_EQ(look("file"), "a");
  EXPECT_EQ(look("chain"), "a");
  EXPECT_EQ(look("dir"), "directory");
  EXPECT_EQ(look("dir/b.txt"), "bb");
  EXPECT_EQ(look("sub/up"), "a");
  EXPECT_EQ(look("dir/up"), "a");
  EXPECT_EQ(look("sub/deep/round"), "bb");
  EXPECT_EQ(look("self/self/a.txt"), "a");
  EXPECT_EQ(look("slash/b.txt"), "bb");
}

TEST_P(RootTest, LinksThatLeadOut) {
  link("absolute", base + "/secret");
  link("inside", base + "/root/a.txt");  // absolute, though it would stay inside
  link("up", "../secret");
  link("updir", "..");
  link("sub/far", "../../../../../../etc/passwd");
  link("there-and-back", "../root/a.txt");
  link("via", "updir/secret");
  EXPECT_EQ(look("absolute"), "EXDEV");
  EXPECT_EQ(look("inside"), "EXDEV");
  EXPECT_EQ(look("up"), "EXDEV");
  EXPECT_EQ(look("updir"), "EXDEV");
  EXPECT_EQ(look("updir/secret"), "EXDEV");
  EXPECT_EQ(look("sub/far"), "EXDEV");
  EXPECT_EQ(look("there-and-back"), "EXDEV");
  EXPECT_EQ(look("via"), "EXDEV");
}

TEST_P(RootTest, LinksThatLeadNowhere) {
  link("gone", "none");
  link("loop", "loop");
  link("ping", "pong");
  link("pong", "ping");
  link("a-file", "a.txt/");
  EXPECT_EQ(look("gone"), "ENOENT");
  EXPECT_EQ(look("loop"), "ELOOP");
  EXPECT_EQ(look("ping"), "ELOOP");
  EXPECT_EQ(look("ping/x"), "ELOOP");
  EXPECT_EQ(look("a-file"), "ENOTDIR");
}

TEST_P(RootTest, NothingButFilesAndDirectories) {
  ASSERT_EQ(::mkfifo((base + "/root/fifo").c_str(), 0600), 0);
  link("to-fifo", "fifo");
  const transport::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = transport::unix_address(base + "/root/socket");
  ASSERT_EQ(::bind(fd.get(), address->get(), address->length), 0);
  EXPECT_EQ(look("fifo"), "ENXIO");  // and at once
  EXPECT_EQ(look("to-fifo"), "ENXIO");
  EXPECT_EQ(look("socket"), "ENXIO");
}

TEST_P(RootTest, ADirectoryThatMayOnlyBePassed) {
  ASSERT_EQ(::chmod((base + "/root/sub").c_str(), 0311), 0);
  const bool is_root = ::geteuid() == 0;  // who may read everything
  if (is_root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  EXPECT_EQ(look("sub/b.txt"), "bb");
  EXPECT_EQ(look("sub"), "EACCES");
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_EQ(::chmod((base + "/root/sub").c_str(), 0755), 0);
}

TEST_P(RootTest, VeryDeep) {
  std::string path;
  for (int i = 0; i < 60; ++i) path += "d/";
  fs::create_directories(base + "/root/" + path);
  write("root/" + path + "x", "deep");
  EXPECT_EQ(look(path + "x"), "deep");
}

TEST_P(RootTest, ARootThatIsALink) {
  fs::create_symlink("root", base + "/alias");
  auto opened = Root::open(base + "/alias");
  ASSERT_TRUE(opened);
  root = *opened;
  EXPECT_EQ(root->text(), fs::canonical(base).string() + "/root");
  EXPECT_EQ(look("a.txt"), "a");
  link("up", "../secret");
  EXPECT_EQ(look("up"), "EXDEV");
}

// Both ways through a thicket of links: they find the same, and nothing that is not below the root.
TEST_P(RootTest, AThicketOfLinks) {
  if (GetParam()) return;
  constexpr std::array<std::string_view, 8> kPieces = {"a", "b", "c", "..", ".", "a.txt", "sub", "secret"};
  std::minstd_rand random(11);
  const auto path_of = [&](unsigned most) {
    std::string path;
    for (unsigned n = 1 + random() % most; n-- > 0;)
      path += std::string(path.empty() ? "" : "/") + std::string(kPieces[random() % kPieces.size()]);
    return path;
  };
  int found_some = 0;
  for (int round = 0; round < 100; ++round) {
    for (const std::string name : {"a", "b", "c", "sub/a", "sub/b", "sub/deep/c"}) {
      fs::remove(base + "/root/" + name);
      link(name, path_of(4));
    }
    for (int i = 0; i < 50; ++i) {
      const std::string path = path_of(5);
      const OpenResult kernel = root->find_by_kernel(path), walk = root->find_by_walk(path);
      ASSERT_EQ(kernel.has_value(), walk.has_value()) << path << " " << (kernel ? walk.error() : kernel.error());
      if (!kernel) continue;
      ++found_some;
      EXPECT_EQ(kernel->inode, walk->inode) << path;
      const std::string real = fs::read_symlink("/proc/self/fd/" + std::to_string(walk->fd.get())).string();
      EXPECT_TRUE((real + "/").starts_with(root->text() + "/")) << path << " is " << real;
    }
  }
  EXPECT_GT(found_some, 100);
}

TEST(RootOpen, Errors) {
  for (const std::string path : {"/none/at/all", "/etc/passwd", ""}) {
    const auto root = Root::open(path);
    ASSERT_FALSE(root) << path;
    EXPECT_EQ(root.error().code, ErrorCode::BadInput);
    EXPECT_NE(root.error().context.find("'" + path + "'"), std::string::npos) << root.error().context;
  }
  EXPECT_NE(Root::open("/etc/passwd").error().context.find("Not a directory"), std::string::npos);
}

TEST_P(RootTest, AListIsOfWhatCanBeFetched) {
  write("root/Z", "");
  write("root/.hidden", "");
  write("root/back\\slash", "");
  write("root/<b>&\"'", "");
  fs::create_directories(base + "/root/.well-known");
  fs::create_directories(base + "/root/sub/.well-known");
  ASSERT_EQ(::mkfifo((base + "/root/fifo").c_str(), 0600), 0);
  link("out", "../secret");
  link("in", "sub/b.txt");
  link("indir", "sub");
  const auto names = [this](const std::string& path) {
    std::string all;
    for (const ListEntry& entry : read_listing(*root, path, std::move(*find(path))).entries)
      all += entry.name + (entry.directory ? "/ " : " ");
    return all;
  };
  EXPECT_EQ(names(""), ".well-known/ indir/ sub/ <b>&\"' Z a.txt in ");
  EXPECT_EQ(names("sub"), "deep/ b.txt ");
  EXPECT_EQ(names("sub/deep"), "");
}

TEST_P(RootTest, AListHasAnEnd) {
  fs::create_directories(base + "/root/many");
  for (std::size_t i = 0; i < kMaxListed; ++i) write("root/many/f" + std::to_string(i), "");
  Listing listing = read_listing(*root, "many", std::move(*find("many")));
  EXPECT_EQ(listing.entries.size(), kMaxListed);
  EXPECT_FALSE(listing.more);
  EXPECT_EQ(listing_page("many", listing).find("there are more"), std::string::npos);
  write("root/many/last", "");
  listing = read_listing(*root, "many", std::move(*find("many")));
  EXPECT_EQ(listing.entries.size(), kMaxListed);
  EXPECT_TRUE(listing.more);
  EXPECT_NE(listing_page("many", listing).find("Only 1000 entries are shown; there are more."), std::string::npos);
}

TEST(ListingPage, EscapesNames) {
  const std::string page = listing_page("a<b>", {{{"<script>\"x\" y?#%:z", false, 1536, 784'111'777},
                                                  {"\xC3\xA4", true, 0, 0},
                                                  {"\xff", false, 999, 0},
                                                  {"big", false, 2'500'000'000, 0},
                                                  {"edge", false, 999'960, 0}},
                                                 false});
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  EXPECT_NE(page.find("href=\"%3Cscript%3E%22x%22%20y%3F%23%25%3Az\""), std::string::npos) << page;
  EXPECT_NE(page.find("href=\"%C3%A4/\">\xC3\xA4/<"), std::string::npos);
  EXPECT_NE(page.find("href=\"%FF\">\xEF\xBF\xBD<"), std::string::npos);
  EXPECT_NE(page.find("<td>1.5 KB</td><td>1994-11-06 08:49</td>"), std::string::npos);
  EXPECT_NE(page.find("<td>999 B</td>"), std::string::npos);
  EXPECT_NE(page.find("<td>2.5 GB</td>"), std::string::npos);
  EXPECT_NE(page.find("<td>1.0 MB</td>"), std::string::npos);
  EXPECT_NE(page.find("href=\"../\""), std::string::npos);
  EXPECT_EQ(listing_page("", {}).find("href=\"../\""), std::string::npos);
}

}  // namespace
}  // namespace ferrotunnel::origin::files
