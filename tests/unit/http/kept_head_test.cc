#include "http/kept_head.h"

#include <gtest/gtest.h>

#include "http/h1_head.h"

namespace ferrotunnel::http {
namespace {

TEST(KeptHead, OutlivesTheBytesThatItCameFrom) {
  auto bytes = std::make_unique<std::string>(
      "GET http://a.test:81/p?q=1 HTTP/1.1\r\nHost: a.test:81\r\nX-A: b\r\nX-A:\r\nConnection: upgrade\r\nUpgrade: "
      "websocket\r\n\r\n");
  RequestHead head;
  ASSERT_TRUE(parse_request_head(*bytes, Limits{}, head).done());
  const KeptHead kept(head);
  bytes->assign(bytes->size(), '#');
  bytes.reset();
  const RequestHead& same = kept.head();
  EXPECT_EQ(same.method, Method::Get);
  EXPECT_EQ(same.method_text, "GET");
  EXPECT_EQ(same.form, TargetForm::Absolute);
  EXPECT_EQ(same.target, "http://a.test:81/p?q=1");
  EXPECT_EQ(same.scheme, "http");
  EXPECT_EQ(same.authority, "a.test:81");
  EXPECT_EQ(same.host, "a.test");
  EXPECT_EQ(same.port, 81);
  EXPECT_EQ(same.path_and_query, "/p?q=1");
  EXPECT_EQ(same.path, "/p");
  EXPECT_EQ(same.query, "q=1");
  EXPECT_TRUE(same.upgrade);
  EXPECT_EQ(same.upgrade_protocol, "websocket");
  ASSERT_EQ(same.fields.size(), 5u);
  EXPECT_EQ(same.fields[1].name, "X-A");
  EXPECT_EQ(same.fields[1].value, "b");
  EXPECT_EQ(same.fields[2].value, "");
  EXPECT_EQ(same.fields[0].id, FieldId::Host);
}

}  // namespace
}  // namespace ferrotunnel::http
