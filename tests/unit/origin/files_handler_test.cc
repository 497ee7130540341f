// FileHandler on a stream under the test's hand: requests cut anywhere, credit of any size, files that change meanwhile.
#include <sys/stat.h>
#include <unistd.h>

#include "unit/origin/files_fixture.h"

namespace ferrotunnel::origin::files {
namespace {

TEST_F(FileHandlerTest, AFile) {
  const Answer answer = ask("/a.txt");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  EXPECT_EQ(answer.field("Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(answer.field("Content-Length"), "5");
  EXPECT_EQ(answer.field("Accept-Ranges"), "bytes");
  EXPECT_TRUE(answer.field("ETag").starts_with('"')) << answer.field("ETag");
  EXPECT_TRUE(answer.field("Last-Modified").ends_with(" GMT"));
  EXPECT_TRUE(answer.field("Date").ends_with(" GMT"));
  EXPECT_EQ(answer.field("Connection"), "-");
  EXPECT_EQ(ask("/a.txt?v=1").body, "hello");
  EXPECT_EQ(ask("http://a/a.txt").body, "hello");
  EXPECT_EQ(ask("/empty.css").body, "");
  EXPECT_EQ(ask("/big.bin").body, big());
  EXPECT_FALSE(stream.fin_out);
}

TEST_F(FileHandlerTest, WhatIsNotThere) {
  for (const std::string path : {"/none", "/a.txt/", "/a.txt/b", "//a.txt", "/../a.txt", "/%2e%2e/etc/passwd", "/.git"})
    EXPECT_EQ(ask(path).status, 404) << path;
  EXPECT_EQ(ask("/%zz").status, 400);
  std::filesystem::create_symlink("/etc/passwd", base + "/out");
  EXPECT_EQ(ask("/out").status, 404);
  ASSERT_EQ(::mkfifo((base + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(ask("/fifo").status, 404);
  EXPECT_EQ(ask("/a.txt").body, "hello") << "the connection is still good";
}

TEST_F(FileHandlerTest, Head) {
  for (const std::string path : {"/a.txt", "/none", "/list/", "/list"}) {
    const Answer full = ask(path);
    const Answer head = ask(path, "", "HEAD");
    EXPECT_EQ(head.status, full.status) << path;
    EXPECT_EQ(head.field("Content-Length"), std::to_string(full.body.size())) << path;
    EXPECT_TRUE(stream.output.empty()) << path;
  }
  EXPECT_EQ(ask("/a.txt", "Range: bytes=0-1\r\n", "HEAD").status, 200);
}

TEST_F(FileHandlerTest, OtherMethods) {
  for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"}) {
    const Answer answer = ask("/a.txt", "", method);
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.field("Allow"), "GET, HEAD, OPTIONS");
  }
  EXPECT_EQ(ask("/a.txt", "", "OPTIONS").status, 204);
  const Answer all = ask("*", "", "OPTIONS");
  EXPECT_EQ(all.status, 204);
  EXPECT_EQ(all.field("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask("/a.txt").body, "hello");
}

TEST_F(FileHandlerTest, Directories) {
  EXPECT_EQ(ask("/dir/").body, "<p>index</p>");
  EXPECT_EQ(ask("/dir/").field("Content-Type"), "text/html; charset=utf-8");
  const Answer moved = ask("/dir?a=b&c");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.field("Location"), "/dir/?a=b&c");
  EXPECT_EQ(ask("/d%69r").field("Location"), "/d%69r/");
  EXPECT_EQ(ask("/dir?").field("Location"), "/dir/?");
  const Answer list = ask("/list/");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(list.field("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(list.body.find("href=\"x.txt\""), std::string::npos);
  EXPECT_NE(ask("/").body.find("href=\"list/\""), std::string::npos);
  std::filesystem::create_directories(base + "/odd/index.html");
  EXPECT_NE(ask("/odd/").body.find("href=\"index.html/\""), std::string::npos) << "a directory is no page";
}

TEST_F(FileHandlerTest, ConditionsAndRanges) {
  const std::string etag = ask("/big.bin").field("ETag");
  const Answer same = ask("/big.bin", "If-None-Match: " + etag + "\r\n");
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.field("ETag"), etag);
  EXPECT_EQ(same.field("Content-Length"), "-");
  const Answer part = ask("/big.bin", "Range: bytes=1000-200999\r\nIf-Range: " + etag + "\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.field("Content-Range"), "bytes 1000-200999/300000");
  EXPECT_EQ(part.body, big().substr(1000, 200'000));
  EXPECT_EQ(ask("/big.bin", "Range: bytes=-1\r\n").body, big().substr(299'999));
  const Answer none = ask("/big.bin", "Range: bytes=300000-\r\n");
  EXPECT_EQ(none.status, 416);
  EXPECT_EQ(none.field("Content-Range"), "bytes */300000");
  EXPECT_EQ(ask("/big.bin", "If-Match: \"x\"\r\n").status, 412);
  EXPECT_EQ(ask("/big.bin", "Range: bytes=0-1,4-5\r\n").body, big()) << "several are answered with all";
  write("big.bin", "changed");
  const Answer changed = ask("/big.bin", "If-None-Match: " + etag + "\r\n");
  EXPECT_EQ(changed.body, "changed");
  write("fresh.txt", "fresh", 0);
  EXPECT_TRUE(ask("/fresh.txt").field("ETag").starts_with("W/"));
}

TEST_F(FileHandlerTest, Pipelined) {
  stream.say(get("/a.txt") + get("/big.bin") + get("/none") + get("/dir/") + get("/a.txt", "", "HEAD"));
  EXPECT_GT(stream.held(), 0u) << "the second waits until the first is answered";
  stream.send();
  EXPECT_EQ(take().body, "hello");
  EXPECT_EQ(take().body, big());
  EXPECT_EQ(take().status, 404);
  EXPECT_EQ(take().body, "<p>index</p>");
  EXPECT_EQ(take(true).field("Content-Length"), "5");
  EXPECT_TRUE(stream.output.empty());
  EXPECT_EQ(stream.held(), 0u);
}

TEST_F(FileHandlerTest, ShortCredit) {
  for (const std::size_t credit : {1, 2, 7, 100, 511}) {
    stream.say(get("/dir/") + get("/a.txt"));
    stream.send(credit);
    EXPECT_EQ(take().body, "<p>index</p>") << credit;
    EXPECT_EQ(take().body, "hello") << credit;
  }
  stream.say(get("/big.bin"));
  stream.send(1000);
  EXPECT_EQ(take().body, big());
}

TEST_F(FileHandlerTest, CutAtEachByte) {
  const std::string requests = "\r\n" + get("/a.txt", "If-None-Match: \"x\"\r\n") +
                               get("/none", "Transfer-Encoding: chunked\r\n", "POST") + "5\r\nhello\r\n0\r\n\r\n" +
                               get("/", "Content-Length: 3\r\n", "PUT") + "abc" + get("/dir/");
  for (std::size_t cut = 0; cut <= requests.size(); ++cut) {
    restart();
    stream.say(requests.substr(0, cut));
    stream.send();
    stream.say(requests.substr(cut));
    stream.send();
    EXPECT_EQ(take().body, "hello") << cut;
    EXPECT_EQ(take().status, 405) << cut;
    EXPECT_EQ(take().status, 405) << cut;
    EXPECT_EQ(take().body, "<p>index</p>") << cut;
    ASSERT_TRUE(stream.output.empty()) << cut;
  }
  restart();
  for (const char c : requests) {
    stream.say(std::string_view(&c, 1));
    stream.send();
  }
  EXPECT_EQ(take().body, "hello");
}

// The same, and then the visitor is gone: no answer, or whole ones, and always an end.
TEST_F(FileHandlerTest, EndedAtEachByte) {
  const std::string requests = get("/a.txt") + get("/x", "Content-Length: 3\r\n", "PUT") + "abc";
  for (std::size_t cut = 0; cut <= requests.size(); ++cut) {
    restart();
    stream.say(requests.substr(0, cut), true);
    stream.send();
    EXPECT_TRUE(stream.fin_out) << cut;
    if (cut >= get("/a.txt").size()) EXPECT_EQ(take().body, "hello");
    if (cut == requests.size()) EXPECT_EQ(take().status, 405);
    EXPECT_TRUE(stream.output.empty()) << cut;
    EXPECT_FALSE(stream.reset_by);
  }
}

TEST_F(FileHandlerTest, WhoClosesAndWhen) {
  const Answer last = ask("/a.txt", "Connection: close\r\n");
  EXPECT_EQ(last.body, "hello");
  EXPECT_EQ(last.field("Connection"), "close");
  EXPECT_TRUE(stream.fin_out);
  stream.say(get("/a.txt"));
  EXPECT_EQ(stream.held(), 0u) << "what comes behind is dropped";
  EXPECT_TRUE(stream.output.empty());
  stream.say("", true);
  stream.end({true, ResetReason::Cancel});
  shard.io().poll();

  restart();
  stream.say("GET /a.txt HTTP/1.0\r\n\r\n");
  stream.send();
  EXPECT_EQ(take().field("Connection"), "close");
  EXPECT_TRUE(stream.fin_out);

  restart();
  stream.say("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  stream.send();
  EXPECT_EQ(take().field("Connection"), "keep-alive");
  EXPECT_FALSE(stream.fin_out);
}

TEST_F(FileHandlerTest, Nonsense) {
  for (const std::string& bytes : {std::string("nonsense\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
                                   std::string("GET / HTTP/1.1\nHost: a\n\n"), std::string("\0\1\2\3", 4),
                                   "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
                                   get("/", "A: " + std::string(40'000, 'a') + "\r\n"),
                                   get("/", "Transfer-Encoding: chunked\r\n", "POST") + "zz\r\n",
                                   "\r\n\r\n\r\n" + get("/"), get("/", "Content-Length: 1\r\nContent-Length: 2\r\n")}) {
    restart();
    stream.say(bytes);
    stream.send();
    const Answer answer = take();
    EXPECT_GE(answer.status, 400) << bytes.substr(0, 80);
    EXPECT_LT(answer.status, 600) << bytes.substr(0, 80);
    EXPECT_EQ(answer.field("Connection"), "close") << bytes.substr(0, 80);
    EXPECT_TRUE(stream.fin_out) << bytes.substr(0, 80);
    EXPECT_TRUE(stream.output.empty());
  }
}

TEST_F(FileHandlerTest, Bodies) {
  stream.say(get("/a.txt", "Content-Length: 100000\r\n") + std::string(99'999, 'x'));
  stream.send();
  EXPECT_EQ(stream.held(), 0u);
  EXPECT_TRUE(stream.output.empty()) << "the answer waits for the body";
  stream.say("x" + get("/dir/"));
  stream.send();
  EXPECT_EQ(take().body, "hello");
  EXPECT_EQ(take().body, "<p>index</p>");

  // Too much to be dropped for the sake of a connection.
  stream.say(get("/a.txt", "Content-Length: 10000000\r\n", "POST") + "x");
  stream.send();
  EXPECT_EQ(take().status, 405);
  EXPECT_TRUE(stream.fin_out);

  restart();
  stream.say(get("/a.txt", "Transfer-Encoding: chunked\r\n", "POST"));
  for (int i = 0; i < 40; ++i) stream.say("8000\r\n" + std::string(0x8000, 'x') + "\r\n");
  stream.send();
  EXPECT_EQ(take().status, 413);
  EXPECT_TRUE(stream.fin_out);
  EXPECT_EQ(stream.held(), 0u);

  restart();
  stream.say(get("/a.txt", "Expect: 100-continue\r\nContent-Length: 5\r\n", "PUT"));
  stream.send();
  EXPECT_EQ(take().status, 405) << "nobody has to wait for a 100";
  EXPECT_TRUE(stream.fin_out);
}

TEST_F(FileHandlerTest, AFileThatShrinksResetsTheStream) {
  stream.say(get("/big.bin"));
  stream.send(10'000, 50'000);
  ASSERT_EQ(::truncate((base + "/big.bin").c_str(), 60'000), 0);
  stream.send(10'000);
  ASSERT_TRUE(stream.reset_by);
  EXPECT_EQ(to_string(*stream.reset_by), "peer-reset");
  EXPECT_LE(stream.output.size(), 70'000u);
  EXPECT_EQ(ended, 0) << "not from inside";
  shard.io().poll();
  EXPECT_EQ(ended, 1);
}

TEST_F(FileHandlerTest, AFileThatGrowsOrIsReplacedDoesNotChangeTheAnswer) {
  stream.say(get("/big.bin"));
  stream.send(10'000, 50'000);
  std::ofstream(base + "/big.bin", std::ios::app) << "more";
  std::ofstream(base + "/new") << "replaced";
  std::filesystem::rename(base + "/new", base + "/big.bin");
  stream.send();
  EXPECT_EQ(take().body, big());
  EXPECT_EQ(ask("/big.bin").body, "replaced");
}

TEST_F(FileHandlerTest, ItsEndClosesTheFile) {
  stream.say(get("/big.bin"));
  stream.send(1000, 1000);
  stream.end({false, ResetReason::PeerReset});
  stream.reset_by = ResetReason::PeerReset;  // the reference is dead
  shard.io().poll();
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(handler->bytes().from_socket, 1000u);
  EXPECT_EQ(handler->bytes().to_socket, get("/big.bin").size());
  handler.reset();
  restart();
  handler.reset();
  EXPECT_EQ(stream.reset_by, ResetReason::Cancel);
}

}  // namespace
}  // namespace ferrotunnel::origin::files
