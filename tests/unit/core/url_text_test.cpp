// What may be shown of a URL, and its path.
#include "disk/core/url_text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ingot {
namespace {

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
}  // namespace ingot
