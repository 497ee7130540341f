// A shared directory as a tunnel's target: what people write for it, and a stream of a real link that gets files.
#include <fstream>

#include "unit/origin/dispatcher_fixture.h"

namespace ferrotunnel::origin {
namespace {

class FilesDispatchTest : public DispatcherTest {};
INSTANTIATE_TEST_SUITE_P(Pollers, FilesDispatchTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(FilesDispatchTest, AStreamGetsFiles) {
  const std::string content(700'000, 'x');
  std::ofstream(directory + "/a.txt") << content;
  target = std::make_shared<const OriginTarget>(*parse_target(directory, "http"));
  Visitor& visitor = open();
  visitor.say("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n", true);
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  EXPECT_TRUE(visitor.end->clean);
  EXPECT_TRUE(visitor.got.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_NE(visitor.got.find("\r\n\r\n" + content + "HTTP/1.1 404 Not Found\r\n"), std::string::npos);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_EQ(now[1], 0);
  EXPECT_EQ(bytes_out, visitor.got.size());
  EXPECT_EQ(dispatcher->counters().connected, 1u);
}

TEST_P(FilesDispatchTest, TheDispatchersEndResetsIt) {
  std::ofstream(directory + "/a.txt") << "a";
  target = std::make_shared<const OriginTarget>(*parse_target("dir:" + directory, "http"));
  Visitor& visitor = open();
  visitor.say("GET /a.txt HTTP/1.1\r\n");
  settle();
  EXPECT_EQ(dispatcher->active(), 1u);
  dispatcher.reset();
  expect_end(visitor, ResetReason::Cancel);
}

TEST_P(FilesDispatchTest, WhatPeopleWrite) {
  std::filesystem::create_directories(directory + "/dist");
  std::ofstream(directory + "/file") << "x";
  const std::string real = std::filesystem::canonical(directory).string();
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(directory + "/dist");
  for (const std::string& text :
       {std::string("."), std::string("./"), std::string("../dist"), std::string("dir:../dist"), directory + "/dist",
        directory + "/dist/", "dir:" + directory + "/dist"}) {
    const auto found = parse_target(text, "http");
    ASSERT_TRUE(found) << text << ": " << found.error().context;
    EXPECT_EQ(found->text, "files in " + real + "/dist") << text;
    EXPECT_TRUE(found->files);
  }
  for (const std::string& text : {std::string("./none"), std::string("dir:"), std::string("dir:none"),
                                  std::string("../file"), directory + "/none", std::string("dist/x"),
                                  std::string("http:///"), std::string("http://./"), std::string("./a\0b", 5)}) {
    const auto found = parse_target(text, "http");
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().code, ErrorCode::BadInput) << text;
  }
  for (const std::string& text : {std::string("."), std::string("dir:."), directory}) {
    const auto found = parse_target(text, "tcp");
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().code, ErrorCode::BadInput) << text;
    EXPECT_NE(found.error().context.find("over HTTP only"), std::string::npos) << found.error().context;
  }
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace ferrotunnel::origin
