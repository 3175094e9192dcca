// URLs taken apart, redirects resolved, and what may be shown of them.
#include "imaging/url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "disk/core/url_text.hpp"
#include "imaging/source.hpp"

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

TEST(UrlTest, MessagesShowNoControlCharacters) {
  const auto refused =
      follow_redirect(parse_url("https://h/").value(), "ftp://x/\x1b[2J?token=s3cr3t");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("s3cr3t")));
}

TEST(RedactedTest, CredentialsAndQueryValues) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"http://host/path", "http://host/path"},
      {"http://user:pass@host/path", "http://***@host/path"},
      {"https://token@host:1/path", "https://***@host:1/path"},
      {"http://h/p?a=1&b=secret&c", "http://h/p?a=***&b=***&***"},
      {"http://h/p?secret", "http://h/p?***"},
      {"http://h/p?a=x=y#secret", "http://h/p?a=***#***"},
      {"http://h/p?", "http://h/p?"},
      {"http://h?s=1", "http://h?s=***"},
      {"http://u@p@host/x", "http://***@host/x"},
      {"http://h/path@1/x", "http://h/path@1/x"},
      {"http://user:pa/ss@host/x", "http://***@host/x"},
      {"http://user:pa?ss@host/x", "http://***@host/x"},
      {"http://user:pa#ss@host/x", "http://***@host/x"},
      {"http://[::1]:80/x", "http://[::1]:80/x"},
      {"http://[::1]/x@y", "http://[::1]/x@y"},
      {"HTTPS://u:p@h/", "HTTPS://***@h/"},
      {"file:///a/b", "file:///a/b"},
      {"/a/b?c=d", "/a/b?c=d"},
      {"no url: user@host", "no url: user@host"},
      {"", ""},
  };
  for (const auto& [url, shown] : cases) EXPECT_EQ(redacted(url), shown) << url;
}

TEST(UrlPathTest, DecodedWithoutQuery) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"http://host/a/disk.qcow2", "/a/disk.qcow2"},
      {"http://host/a%2fb/disk%201.img?x=/y#/z", "/a/b/disk 1.img"},
      {"http://u:p@host/disk.img", "/disk.img"},
      {"http://u:p/q@host/disk.img", "/disk.img"},
      {"http://host/a%2zb%", "/a%2zb%"},
      {"http://host/a+b", "/a+b"},
      {"http://host/dir/", "/dir/"},
      {"http://host", ""},
      {"http://host?file=/x", ""},
      {"file:///x/y%c3%a9", "/x/y\xc3\xa9"},
      {"/plain/pa%20th", "/plain/pa%20th"},
      {"name", "name"},
  };
  for (const auto& [url, path] : cases) EXPECT_EQ(url_path(url), path) << url;
}

}  // namespace
}  // namespace ingot::imaging
