// URLs from another one's place.
#include "agent/http/url_reference.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace ingot::agent {
namespace {

TEST(UrlReference, IsResolvedAsRfc3986Has) {
  const std::string base = "http://10.0.0.1.example:8080/v1/provision?mac=1";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/v1/machines/a/events", "http://10.0.0.1.example:8080/v1/machines/a/events"},
      {"events?x=1", "http://10.0.0.1.example:8080/v1/events?x=1"},
      {"../e", "http://10.0.0.1.example:8080/e"},
      {"//other.example/x", "http://other.example/x"},
      {"https://c.example/r?k=v", "https://c.example/r?k=v"},
  };
  for (const auto& [reference, whole] : cases)
    EXPECT_EQ(resolve_reference(base, reference).value(), whole) << reference;
  EXPECT_EQ(resolve_reference("http://c.example/r", "http://c.example/r").value(),
            "http://c.example/r");
}

TEST(UrlReference, LeadsToNoOtherScheme) {
  for (const auto& [base, reference] :
       std::vector<std::pair<std::string, std::string>>{{"http://u:pw@s/x", "file:///etc/passwd"},
                                                        {"http://s/x", "ftp://s/x"},
                                                        {"http://s/x", ""},
                                                        {"file:///etc/order.yaml", "/v1/events"},
                                                        {"no url", "/x"},
                                                        {"/x", "/x"}}) {
    const auto whole = resolve_reference(base, reference);
    ASSERT_FALSE(whole) << base << " " << reference << " " << *whole;
    EXPECT_EQ(whole.error().code(), Errc::usage_option);
    EXPECT_EQ(whole.error().message().find("pw"), std::string::npos);
  }
}

TEST(UrlReference, OriginsAreSchemeHostAndPort) {
  EXPECT_TRUE(same_origin("http://S.example/a", "http://s.example:80/b?c"));
  EXPECT_TRUE(same_origin("https://[::1]/a", "https://[::1]:443/"));
  for (const auto& [one, other] : std::vector<std::pair<std::string, std::string>>{
           {"http://s/", "https://s/"},
           {"http://s/", "http://s:8080/"},
           {"http://10.0.0.1/", "http://10.0.0.1.example/"},
           {"http://s/", "http://s@t/"},
           {"file:///x", "file:///x"},
           {"", ""}})
    EXPECT_FALSE(same_origin(one, other)) << one << " " << other;
}

TEST(UrlParts, HostAndPortAreThoseThatAreAsked) {
  const auto server = [](const std::string& url) {
    const auto found = url_parts(url);
    return found ? found->host + " " + found->port : "none";
  };
  EXPECT_EQ(server("http://10.0.0.1.example:6385/v1"), "10.0.0.1.example 6385");
  EXPECT_EQ(server("https://u:p@api.example/x"), "api.example 443");
  EXPECT_EQ(server("http://[2001:db8::1]/"), "2001:db8::1 80");
  EXPECT_EQ(percent_encoded("a/b=+&c~ é"), "a%2Fb%3D%2B%26c~%20%C3%A9");
  EXPECT_EQ(percent_encoded(""), "");
  for (const auto* none :
       {"", "http://", "http:///x", "ftp://h/", "h:80", "http://h:70000/", "http://h:0/"})
    EXPECT_EQ(server(none), "none") << none;
}

}  // namespace
}  // namespace ingot::agent
