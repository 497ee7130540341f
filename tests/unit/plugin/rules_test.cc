// Each rule: what it does to a request or a response, and what is wrong with it.
#include "plugin/builtin/rules.h"

#include <gmock/gmock.h>

#include "unit/plugin/plugin_world.h"

namespace ferrotunnel::plugin::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Rules, NoneAreNoChain) {
  const auto none = make_chain({}, {});
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
}

TEST(Rules, MistakesNameTheRule) {
  EXPECT_THAT(mistake(rule("no_such", {})), HasSubstr("rule 1 (no_such): there is no such rule"));
  EXPECT_THAT(mistake(rule("no\nsuch", {})), HasSubstr("rule 1 (no?such)"));
  EXPECT_THAT(mistake(rule("strip_prefix", {{"prefix", "/a"}, {"prefx", "/b"}})), HasSubstr("no setting \"prefx\""));
  EXPECT_THAT(mistake(rule("strip_prefix", {{"prefix", "/a"}, {"prefix", "/b"}})), HasSubstr("may stand there once"));
  EXPECT_THAT(mistake(rule("max_body", {{"bytes", "1"}}, {"/a%2fb"})), HasSubstr("is no path"));
  const std::vector<RuleText> many(kMaxRules + 1, rule("max_body", {{"bytes", "1"}}));
  EXPECT_THAT(make_chain(many, {}).error().context, HasSubstr("at most 64 rules"));
  const std::vector<RuleText> large(2, rule("answer", {{"body", std::string(kMaxRulesBytes / 2, 'x')}}));
  EXPECT_THAT(make_chain(large, {}).error().context, HasSubstr("more than 32768 bytes"));
}

TEST(Rules, Prefixes) {
  Asked asked(chain_of({rule("add_prefix", {{"prefix", "/app"}}), rule("strip_prefix", {{"prefix", "/api"}})}));
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"/api/x?q=1", "/app/x?q=1"}, {"/api", "/app/"},           {"/api/", "/app/"}, {"/api?", "/app/?"},
      {"/apis", "/app/apis"},       {"/x/../api//y", "/app/y"},  {"/", "/app/"},     {"/api;v=1/x", "/app/x"},
      {"/%61pi/z", "/app/z"},       {"/api/../api/x", "/app/x"},
  };
  for (const auto& [target, wanted] : kCases) {
    EXPECT_EQ(asked.get(target), Verdict::Pass);
    EXPECT_EQ(asked.head.path_and_query, wanted) << target;
  }
  EXPECT_EQ(asked.get("*", "", "OPTIONS"), Verdict::Pass);
  EXPECT_EQ(asked.head.path_and_query, "*");
  EXPECT_THAT(mistake(rule("strip_prefix", {{"prefix", "api"}})), HasSubstr("is no prefix"));
  EXPECT_THAT(mistake(rule("strip_prefix", {{"prefix", "/"}})), HasSubstr("is no prefix"));
}

TEST(Rules, Host) {
  Asked asked(chain_of({rule("host", {{"host", "inner.test:81"}})}));
  EXPECT_EQ(asked.get("/"), Verdict::Pass);
  EXPECT_EQ(asked.host, "inner.test:81");
  EXPECT_THAT(mistake(rule("host", {{"host", "a b"}})), HasSubstr("is no HOST"));
}

TEST(Rules, RequestHeaders) {
  Asked asked(chain_of({rule("request_headers", {{"set", "X-Who: ${visitor.address} ${request.id}"},
                                                 {"set", "x-kind:a"},
                                                 {"add", "X-Kind: b $${x} ${request.uri}"},
                                                 {"remove", "Cookie"}})}));
  EXPECT_EQ(asked.get("/p?q", "X-WHO: me\r\nCookie: a\r\ncookie: b\r\nX-Kind: c\r\nA: 1\r\n"), Verdict::Pass);
  EXPECT_THAT(Asked::lines(asked.head.fields), ElementsAre("Host: a.test", "A: 1", "X-Who: 192.0.2.7 0123456789abcdef",
                                                           "x-kind: a", "X-Kind: b ${x} /p?q"));
}

// What a visitor sends may come as often in a rule's text as its owner likes.
TEST(Rules, MoreTextThanARequestMayHaveIsAnAnswer) {
  std::string often = "X-Long: ";
  for (int i = 0; i < 100; ++i) often += "${uri}";
  for (const ChainPtr& chain :
       {chain_of({rule("request_headers", {{"set", often}})}),
        chain_of({rule("redirect", {{"to", "/x" + often.substr(8)}})}),
        chain_of({rule("add_prefix", {{"prefix", "/p"}}), rule("request_headers", {{"set", often}}),
                  rule("add_prefix", {{"prefix", "/p"}})})}) {
    Asked asked(chain);
    ASSERT_EQ(asked.get("/" + std::string(400, 'x')), Verdict::Answer);
    EXPECT_EQ(asked.reply.status, 500);
    EXPECT_EQ(asked.reply.slug, "rule-failed");
    EXPECT_TRUE(asked.reply.fields.empty());
    Asked shorter(chain);
    (void)shorter.get("/xxx");
    EXPECT_NE(shorter.reply.slug, "rule-failed");
  }
}

TEST(Rules, MoreTextThanAResponseMayHaveIsAFailure) {
  std::string often = "X-Long: ";
  for (int i = 0; i < 200; ++i) often += "${host}";
  Asked asked(chain_of({rule("response_headers", {{"set", often}})}));
  ASSERT_EQ(asked.get("/"), Verdict::Pass);
  EXPECT_EQ(asked.respond("HTTP/1.1 200 OK\r\n\r\n").size(), 1u);
  const std::string host(200, 'h');
  asked.info.host = host;
  EXPECT_TRUE(http::parse_response_head("HTTP/1.1 200 OK\r\n\r\n", {}, {}, asked.response).done());
  Scratch kept;
  ResponseView view{asked.info, asked.response, kept, false, nullptr};
  EXPECT_FALSE(asked.run.on_response_head(view));
}

TEST(Rules, HeadersThatNoRuleMayChange) {
  for (const std::string name :
       {"Connection", "content-length", "Transfer-Encoding", "TE", "Upgrade", "Host", "Trailer", "Keep-Alive",
        "X-Forwarded-For", "X-Request-Id", "Ferrotunnel-Error", "X_Forwarded_For", "", "a b", "a\r\nb"}) {
    EXPECT_NE(mistake(rule("request_headers", {{"set", name + ": v"}})), "") << name;
    EXPECT_NE(mistake(rule("request_headers", {{"remove", name}})), "") << name;
  }
  EXPECT_NE(mistake(rule("response_headers", {{"set", "Content-Length: 1"}})), "");
  EXPECT_EQ(mistake(rule("response_headers", {{"set", "X-Request-Id: ${request.id}"}})), "");
  EXPECT_THAT(mistake(rule("request_headers", {{"set", "A: b\r\nC: d"}})), HasSubstr("line end"));
  EXPECT_THAT(mistake(rule("request_headers", {{"set", "A: ${nobody}"}})), HasSubstr("${nobody} is not known"));
  EXPECT_THAT(mistake(rule("request_headers", {{"set", "A: ${host"}})), HasSubstr("has no \"}\""));
  EXPECT_THAT(mistake(rule("request_headers", {{"set", "A"}})), HasSubstr("Name: value"));
  EXPECT_THAT(mistake(rule("request_headers", {})), HasSubstr("needs a header"));
  EXPECT_THAT(mistake(rule("response_headers", {{"set", "A: ${path}"}})), HasSubstr("not known any more"));
}

TEST(Rules, ResponseHeaders) {
  Asked asked(chain_of({rule("response_headers", {{"set", "Server: tunnel of ${host}"}, {"remove", "X-Powered-By"}})}));
  EXPECT_EQ(asked.get("/"), Verdict::Pass);
  EXPECT_THAT(asked.respond("HTTP/1.1 200 OK\r\nserver: x\r\nX-Powered-By: y\r\nContent-Length: 0\r\n\r\n"),
              ElementsAre("Content-Length: 0", "Server: tunnel of a.test"));
}

// HTTP_X_WHO to CGI, WSGI and the like, all of them.
TEST(Rules, RequestHeadersOfEverySpelling) {
  Asked asked(chain_of({rule("request_headers", {{"set", "X-Who: me"}, {"remove", "X_Admin"}, {"add", "X-More: 1"}})}));
  EXPECT_EQ(asked.get("/", "X_Who: a\r\nx-wHO: b\r\nX.Who: c\r\nX-Admin: d\r\nX_ADMIN: e\r\nXWho: f\r\nX_More: g\r\n"),
            Verdict::Pass);
  EXPECT_THAT(Asked::lines(asked.head.fields),
              ElementsAre("Host: a.test", "XWho: f", "X_More: g", "X-Who: me", "X-More: 1"));
  EXPECT_THAT(asked.head.settled, ElementsAre()) << "there are no trailers";
  EXPECT_EQ(asked.get("/", "Transfer-Encoding: chunked\r\n", "POST"), Verdict::Pass);
  EXPECT_THAT(asked.head.settled, ElementsAre("X_Admin", "X-Who"));
}

TEST(Rules, MatchWhatOriginsTakeForTheSame) {
  RuleText text = rule("answer", {{"body", "no"}});
  text.methods = {"Post"};
  text.headers = {"X-Block: yes"};
  Asked asked(chain_of({text}));
  for (const std::string method : {"POST", "post", "pOsT"})
    for (const std::string name : {"X-Block", "x_block", "X_BLOCK"})
      EXPECT_EQ(asked.get("/", name + ": yes\r\n", method), Verdict::Answer) << method << name;
  EXPECT_EQ(asked.get("/", "X-Block: yes\r\n", "POSTS"), Verdict::Pass);
  EXPECT_EQ(asked.get("/", "X-Block: no\r\n", "POST"), Verdict::Pass);
  EXPECT_EQ(asked.get("/", "XBlock: yes\r\n", "POST"), Verdict::Pass);
}

TEST(Rules, Redirect) {
  Asked asked(chain_of({rule("redirect", {{"to", "https://new.test${request.uri}"}, {"status", "308"}})}));
  EXPECT_EQ(asked.get("/a/../b?x=1"), Verdict::Answer);
  EXPECT_EQ(asked.reply.status, 308);
  EXPECT_EQ(asked.reply.fields.value("Location"), "https://new.test/b?x=1");
  for (const std::string to :
       {"", "new.test", "//new.test", "${host}", "/${path}", "/$${path}", "javascript:x", "https://a b"})
    EXPECT_NE(mistake(rule("redirect", {{"to", to}})), "") << to;
  EXPECT_THAT(mistake(rule("redirect", {{"to", "/x"}, {"status", "200"}})), HasSubstr("301, 302"));
}

TEST(Rules, NoPathMakesARedirectToAnotherSite) {
  Asked asked(chain_of({rule("redirect", {{"to", "${path}"}})}));
  EXPECT_EQ(asked.get("//evil.test/x"), Verdict::Answer);
  EXPECT_EQ(asked.reply.fields.value("Location"), "/evil.test/x");
}

TEST(Rules, Answer) {
  Asked asked(chain_of({rule("answer", {{"status", "503"}, {"body", "later"}, {"type", "text/x"}})}));
  EXPECT_EQ(asked.get("/"), Verdict::Answer);
  EXPECT_EQ(asked.reply.status, 503);
  EXPECT_EQ(asked.reply.body, "later");
  EXPECT_EQ(asked.reply.content_type, "text/x");
  EXPECT_THAT(mistake(rule("answer", {{"status", "101"}})), HasSubstr("200 to 599"));
  for (const std::string status : {"204", "205", "304"}) {
    EXPECT_THAT(mistake(rule("answer", {{"status", status}, {"body", "x"}})), HasSubstr("no body"));
    EXPECT_EQ(mistake(rule("answer", {{"status", status}})), "");
  }
  EXPECT_THAT(mistake(rule("answer", {{"type", "a\r\nb/c"}})), HasSubstr("content type"));
}

TEST(Rules, MaxBody) {
  const ChainPtr chain = chain_of({rule("max_body", {{"bytes", "10"}})});
  Asked asked(chain);
  EXPECT_EQ(asked.get("/", "Content-Length: 10\r\n", "POST"), Verdict::Pass);
  EXPECT_EQ(asked.get("/", "Content-Length: 11\r\n", "POST"), Verdict::Answer);
  EXPECT_EQ(asked.reply.status, 413);
  EXPECT_EQ(asked.reply.slug, "body-too-large");
  EXPECT_EQ(asked.get("/", "Transfer-Encoding: chunked\r\n", "POST"), Verdict::Pass);
  Reply reply;
  EXPECT_EQ(asked.run.on_request_body(as_bytes("12345"), reply), Verdict::Pass);
  EXPECT_EQ(asked.run.on_request_body(as_bytes("67890"), reply), Verdict::Pass);
  EXPECT_EQ(asked.run.on_request_body(as_bytes("1"), reply), Verdict::Answer);
  EXPECT_EQ(reply.status, 413);
  EXPECT_NE(mistake(rule("max_body", {})), "");
  EXPECT_NE(mistake(rule("max_body", {{"bytes", "-1"}})), "");
}

TEST(Rules, Cors) {
  Asked asked(chain_of({rule("cors", {{"origin", "https://app.test"}, {"credentials", "true"}, {"max_age", "60"}})}));
  EXPECT_EQ(asked.get("/",
                      "Origin: https://app.test\r\nAccess-Control-Request-Method: PUT\r\n"
                      "Access-Control-Request-Headers: x-a\r\n",
                      "OPTIONS"),
            Verdict::Answer);
  EXPECT_EQ(asked.reply.status, 204);
  EXPECT_THAT(Asked::lines(asked.reply.fields),
              ElementsAre("Access-Control-Allow-Origin: https://app.test", "Vary: Origin",
                          "Access-Control-Allow-Credentials: true",
                          "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE",
                          "Access-Control-Allow-Headers: x-a", "Access-Control-Max-Age: 60"));
  EXPECT_EQ(asked.get("/", "Origin: https://app.test\r\n"), Verdict::Pass);
  EXPECT_THAT(asked.respond("HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\nContent-Length: 0\r\n\r\n"),
              ElementsAre("Content-Length: 0", "Access-Control-Allow-Origin: https://app.test", "Vary: Origin",
                          "Access-Control-Allow-Credentials: true"));
  EXPECT_EQ(asked.get("/", "Origin: https://evil.test\r\n"), Verdict::Pass);
  EXPECT_THAT(asked.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
              Not(Contains(HasSubstr("Access-Control"))));
  EXPECT_THAT(mistake(rule("cors", {{"origin", "*"}, {"credentials", "true"}})), HasSubstr("name the origins"));
  EXPECT_NE(mistake(rule("cors", {})), "");
  EXPECT_NE(mistake(rule("cors", {{"origin", "app.test"}})), "");
  EXPECT_NE(mistake(rule("cors", {{"origin", "https://a.test/x"}})), "");
}

TEST(Rules, CorsForAllIsTheSameWhoeverAsks) {
  Asked asked(chain_of({rule("cors", {{"origin", "*"}, {"expose", "X-Total"}})}));
  for (const std::string who : {"", "Origin: https://a.test\r\n", "Origin: https://b.test\r\n"}) {
    EXPECT_EQ(asked.get("/", who), Verdict::Pass);
    EXPECT_THAT(
        asked.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ElementsAre("Content-Length: 0", "Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: X-Total"))
        << who;
  }
}

TEST(Rules, WhoAsksIsKnownBeforeAnythingIsAnswered) {
  const std::string user = "ann:$2b$04$" + std::string(53, 'a');  // nobody says a password
  Asked asked(chain_of({rule("answer", {{"body", "secret"}}), rule("strip_prefix", {{"prefix", "/a"}}),
                        rule("basic_auth", {{"user", user}}), rule("cors", {{"origin", "https://b.test"}})}));
  EXPECT_EQ(asked.get("/"), Verdict::Answer);
  EXPECT_EQ(asked.reply.status, 401);
  EXPECT_EQ(asked.get("/", "Origin: https://b.test\r\nAccess-Control-Request-Method: GET\r\n", "OPTIONS"),
            Verdict::Answer);
  EXPECT_EQ(asked.reply.status, 204) << "a preflight carries no password";
}

}  // namespace
}  // namespace ferrotunnel::plugin::test
