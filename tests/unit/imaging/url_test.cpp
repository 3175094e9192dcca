// URLs taken apart, and redirects resolved.
#include "imaging/url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
namespace ingot::imaging {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(UrlTest, CredentialsAreKeptApart) {
  const auto url = parse_url("HTTP://us%20er:p%40ss@Example.ORG:8080/a%20b?x=1#part").value();
  EXPECT_EQ(url.scheme, "http");
  EXPECT_EQ(url.host, "example.org");
  EXPECT_EQ(url.port, "8080");
  EXPECT_EQ(url.user, "us er");
  EXPECT_EQ(url.password, "p@ss");
  EXPECT_THAT(url.text, HasSubstr(":8080/a%20b?x=1"));
  EXPECT_THAT(url.text, Not(HasSubstr("@")));
  EXPECT_THAT(url.text, Not(HasSubstr("#")));
  EXPECT_EQ(parse_url("https://h/x").value().port, "443");
  EXPECT_EQ(parse_url("file:///a/b%20c").value().path, "/a/b c");
  EXPECT_EQ(parse_url("http://h/with space").value().text, "http://h/with%20space");
}

TEST(UrlTest, Origins) {
  const auto same = [](const char* a, const char* b) {
    return same_origin(parse_url(a).value(), parse_url(b).value());
  };
  EXPECT_TRUE(same("http://h/a", "http://H:80/b?c"));
  EXPECT_FALSE(same("http://h/", "https://h/"));
  EXPECT_FALSE(same("http://h/", "http://h:81/"));
  EXPECT_FALSE(same("http://h/", "http://h.example/"));
}

TEST(UrlTest, RedirectsAreResolved) {
  const auto base = parse_url("https://h/a/b?q=1").value();
  EXPECT_EQ(follow_redirect(base, "c").value().text, "https://h/a/c");
  EXPECT_EQ(follow_redirect(base, "/c?d").value().text, "https://h/c?d");
  EXPECT_EQ(follow_redirect(base, "//other/c").value().text, "https://other/c");
  EXPECT_EQ(follow_redirect(base, "https://u:p@other/c#f").value().text, "https://other/c");
  EXPECT_EQ(follow_redirect(base, "HTTP://h/c").value().text, "http://h/c");
  for (const char* bad :
       {"ftp://h/c", "file:///etc/passwd", "javascript://x/", "https://", "https://[::1/"}) {
    const auto refused = follow_redirect(base, bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Errc::source_redirect);
  }
}

TEST(UrlTest, QueriesAreAddedTo) {
  EXPECT_EQ(with_query("https://h/token", {{"service", "a b&c"}, {"scope", "r:x/y:pull"}}).value(),
            "https://h/token?service=a+b%26c&scope=r%3ax%2fy%3apull");
  EXPECT_EQ(with_query("https://h/token?a=b", {{"c", "d"}}).value(), "https://h/token?a=b&c=d");
  EXPECT_EQ(with_query("https://h/token", {}).value(), "https://h/token");
}

TEST(UrlTest, MessagesShowNoControlCharacters) {
  const auto refused =
      follow_redirect(parse_url("https://h/").value(), "ftp://x/\x1b[2J?token=s3cr3t");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("s3cr3t")));
}

}  // namespace
}  // namespace ingot::imaging
