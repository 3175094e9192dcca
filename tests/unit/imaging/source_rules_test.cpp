// open_source()'s rules on who is talked to and what is believed: redirects, credentials, TLS,
// proxies, statuses, encodings, headers; and that no secret is in any message.
#include "tests/unit/imaging/source_rig.hpp"

namespace ingot::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kSecret = "s3cr3t";

class SourceRulesTest : public SourceTest {
 public:
  // No test here may pass by waiting: what is final is final at once.
  static imaging::TransferOptions patient() {
    auto options = fast_options();
    options.retry_deadline = 60s;
    return options;
  }
  static std::unique_ptr<Fetch> refused(const std::string& address, Errc code,
                                        const imaging::TransferOptions& options = patient()) {
    auto fetch = expect_error({address}, code, 2s, options);
    EXPECT_THAT(fetch->text(), Not(HasSubstr(kSecret)));
    EXPECT_EQ(fetch->listener.retries().size(), 0U);
    return fetch;
  }
};

TEST_F(SourceRulesTest, Statuses) {
  for (const std::string status : {"400", "401", "403", "404", "410", "204", "304", "501"}) {
    const auto fetch = refused(url("status=" + status), Errc::source_http_status);
    EXPECT_THAT(fetch->text(), HasSubstr("answered " + status));
    EXPECT_THAT(fetch->error->advice(), Not(IsEmpty()));
  }
}

TEST_F(SourceRulesTest, UnaskedEncodingIsRefused) {
  const auto fetch = refused(url("encoding=gzip"), Errc::source_protocol);
  EXPECT_THAT(fetch->text(), HasSubstr("Content-Encoding: gzip"));
  EXPECT_THAT(fetch->text(), HasSubstr("no checksum"));
  expect_whole({url("encoding=identity")});
}

// A checksum decides: the bytes are taken as they come, and said to be encoded.
TEST_F(SourceRulesTest, AnEncodingThatAChecksumAllows) {
  auto options = patient();
  options.take_encoded = true;
  const auto notes = [](const std::unique_ptr<Fetch>& fetch) { return fetch->listener.notes(); };
  const auto encoded = HasSubstr("sends the file with Content-Encoding: gzip");
  EXPECT_THAT(notes(expect_whole({url("encoding=gzip")}, options)), ElementsAre(encoded));
  EXPECT_THAT(notes(expect_whole({url()}, options)), IsEmpty());
  // Resumed, the server saying it again or leaving it out (RFC 9110, 15.3.7.1).
  for (const std::string way : {"", "&part_encoding="}) {
    const auto fetch =
        expect_whole({url("encoding=gzip&reset=1&times=1&at=3000000" + way)}, options);
    ASSERT_EQ(fetch->listener.retries().size(), 1U);
    EXPECT_EQ(fetch->listener.retries()[0].offset, 3'000'000U);
    EXPECT_THAT(notes(fetch), ElementsAre(encoded));
  }
  // A part that is encoded in another way is no part of the same bytes: started over, and proved.
  for (const std::string way :
       {"encoding=gzip&part_encoding=br", "encoding=identity&part_encoding=gzip"}) {
    const auto fetch = expect_whole({url(way + "&reset=1&times=1&at=3000000")}, options);
    EXPECT_THAT(notes(fetch), Contains(HasSubstr("answers a range request with something else")))
        << way;
  }
  // A text is never taken so: nothing tells whether it is right.
  const auto list = imaging::fetch_text(url("encoding=gzip"), options, 10 * MiB, {});
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().code(), Errc::source_protocol);
}

TEST_F(SourceRulesTest, RangesOfAnEncodedObject) {
  auto options = patient();
  options.take_encoded = true;
  for (const std::string way : {"", "&part_encoding=", "&part_encoding=br"}) {
    Fetch fetch({url("encoding=gzip" + way)}, options);
    ASSERT_FALSE(fetch.error) << fetch.text();
    ASSERT_NE(fetch.stream().ranges(), nullptr);
    Bytes part(1000);
    const auto got = fetch.stream().ranges()->read(4'000'000, part);
    EXPECT_EQ(got.has_value(), way != "&part_encoding=br");
    if (!got)
      EXPECT_EQ(got.error().code(), Errc::source_changed);
    else
      EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes().begin() + 4'000'000));
    EXPECT_TRUE(fetch.all() == bytes());
  }
}

TEST_F(SourceRulesTest, NonsenseIsRefused) {
  refused(url("garbage=1"), Errc::source_protocol);
  refused(url("length=twice"), Errc::source_protocol);
  refused(url("header=200000"), Errc::source_protocol);
  expect_whole({url("header=50000")});
}

TEST_F(SourceRulesTest, UrlsThatAreNone) {
  for (const std::string bad :
       {"", "image.qcow2", "ftp://example.org/x", "http://", "http://u:s3cr3t@host:x/",
        "gopher://u:s3cr3t@h/", "file://elsewhere/x", "http://[::1/", "http://u:s3/cr3t@host/"})
    refused(bad, Errc::usage_option);
  Fetch none({});
  EXPECT_EQ(none.error->code(), Errc::usage_option);
}

TEST_F(SourceRulesTest, RefusedConnectionsAreRetriedUntilTheDeadline) {
  auto options = fast_options();
  options.retry_deadline = 300ms;
  const auto fetch = expect_error({"http://u:s3cr3t@127.0.0.1:1/image?sig=s3cr3t"},
                                  Errc::source_deadline, 2s, options);
  EXPECT_THAT(fetch->text(), HasSubstr("Connection refused"));
  EXPECT_THAT(fetch->text(), Not(HasSubstr(kSecret)));
  EXPECT_GE(fetch->listener.retries().size(), 3U);
}

// Redirects.

TEST_F(SourceRulesTest, TenRedirectsAreFollowedNotMore) {
  expect_whole({url("redirect=10")});
  for (const std::string status : {"301", "303", "307", "308"})
    expect_whole({url("redirect=2&code=" + status)});
  EXPECT_THAT(refused(url("redirect=11"), Errc::source_redirect)->text(),
              HasSubstr("more than 10"));
  refused(url("redirect=loop"), Errc::source_redirect);
}

TEST_F(SourceRulesTest, RedirectsLeadToHttpOnly) {
  for (const std::string target :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "dict://127.0.0.1/x",
        "http://", "scp://u:s3cr3t@h/x", "https://u:s3cr3t@[::1/x"}) {
    const auto fetch = refused(url("to=" + target), Errc::source_redirect);
    EXPECT_THAT(fetch->text(), HasSubstr("redirects to"));
  }
}

TEST_F(SourceRulesTest, ABrokenTransferGoesOnWhereItWasRedirectedTo) {
  const auto fetch = expect_whole({url("to={self}/image%3freset=1%26times=1%26at=3000000")});
  ASSERT_EQ(fetch->listener.retries().size(), 1U);
  EXPECT_EQ(fetch->listener.retries()[0].offset, 3'000'000U);
  EXPECT_EQ(count_requests(), 3U) << "the redirect is not asked for again\n" << requests();
}

TEST_F(SourceRulesTest, AnExpiredRedirectTargetSendsUsBack) {
  // The first target breaks and is gone; taking the redirect again leads to the same file by its
  // new name, and the ETag (inode, size, time) is still the same.
  directory().write("first", bytes());
  const auto redirector = [](const std::string& name) {
    return url("times=1&to={self}/" + name + "%3frate=20000000%26reset=1%26times=1");
  };
  std::filesystem::create_hard_link(directory().path("first"), directory().path("second"));
  // Asked a second time, the redirector serves the object itself.
  Fetch fetch({server().url() + "/second" + redirector("first").substr(url().size())});
  ASSERT_FALSE(fetch.error) << fetch.text();
  std::filesystem::remove(directory().path("first"));
  const auto got = fetch.all();
  ASSERT_TRUE(got) << fetch.text();
  EXPECT_TRUE(*got == bytes());
  EXPECT_EQ(fetch.listener.retries().size(), 2U);
  EXPECT_GT(fetch.listener.retries()[1].offset, 0U);
}

// Credentials.

TEST_F(SourceRulesTest, CredentialsOfTheUrlAndOfTheOptions) {
  const std::string path = "/image?auth=us%20er:s3cr3t";
  const std::string host = "127.0.0.1:" + server().port();
  auto options = patient();
  expect_whole({"http://us%20er:s3cr3t@" + host + path}, options);
  options.user = "us er";
  options.password = kSecret;
  expect_whole({"http://" + host + path}, options);
  options.user = "someone else";
  expect_whole({"http://us%20er:s3cr3t@" + host + path}, options);
  const auto fetch = refused("http://" + host + path, Errc::source_http_status, options);
  EXPECT_THAT(fetch->text(), HasSubstr("auth=***"));
  options = patient();
  options.authorization = "Bearer s3cr3t";
  expect_whole({url("bearer=s3cr3t")}, options);
}

TEST_F(SourceRulesTest, CredentialsStayWithTheirHost) {
  auto options = patient();
  const std::string with_userinfo =
      "http://user:s3cr3t@127.0.0.1:" + server().port() + "/image?to=";
  // The same host: sent on.
  expect_whole({with_userinfo + "{self}/image%3fauth=user:s3cr3t"}, options);
  (void)requests(true);
  // Another name is another host: not sent, whatever kind they are of.
  expect_error({with_userinfo + "{other}/image%3fauth=user:s3cr3t"}, Errc::source_http_status, 2s,
               options);
  options.user = "user";
  options.password = kSecret;
  expect_whole({url("to={other}/image")}, options);
  options.user.clear();
  options.authorization = "Bearer s3cr3t";
  expect_whole({url("to={other}/image%3freset=1%26times=1")}, options);
  const std::string log = requests();
  std::size_t elsewhere = 0;
  for (std::size_t at = 0; at < log.size();) {
    const std::string line = log.substr(at, log.find('\n', at) - at);
    at += line.size() + 1;
    const bool other = line.find("\"host\": \"localhost") != std::string::npos;
    EXPECT_EQ(line.find("\"authorization\"") == std::string::npos, other) << line;
    elsewhere += other ? 1 : 0;
  }
  EXPECT_EQ(elsewhere, 4U);
}

// Proxies.

TEST_F(SourceRulesTest, ProxyOfTheOptions) {
  FaultServer proxy(directory(), {"--proxy-auth", "user:s3cr3t"});
  auto options = patient();
  options.proxy = "http://user:s3cr3t@127.0.0.1:" + proxy.port();
  expect_whole({"http://image.invalid/image"}, options);
  options.no_proxy = "127.0.0.1";
  expect_whole({url()}, options);
  EXPECT_THAT(requests(), HasSubstr("\"proxied\": false"));
  options.no_proxy.clear();
  options.proxy = "http://user:wr0ng@127.0.0.1:" + proxy.port();
  const auto fetch = refused("http://image.invalid/image", Errc::source_http_status, options);
  EXPECT_THAT(fetch->text(), HasSubstr("407"));
  EXPECT_THAT(fetch->text(), Not(HasSubstr("wr0ng")));
  EXPECT_THAT(fetch->error->advice(), HasSubstr("proxy"));
}

TEST_F(SourceRulesTest, ProxyOfTheEnvironment) {
  FaultServer proxy(directory());
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  ::setenv("no_proxy", "127.0.0.1", 1);
  expect_whole({"http://image.invalid/image"}, patient());
  expect_whole({url()}, patient());
  ::unsetenv("http_proxy");
  ::unsetenv("no_proxy");
}

// TLS.

class SourceTlsTest : public SourceRulesTest {
 public:
  static void SetUpTestSuite() {
    SourceRulesTest::SetUpTestSuite();
    cert_ = directory().path("cert.pem");
    const std::string key = directory().path("key.pem");
    must_run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout " +
        key + " -out " + cert_ + " 2>&1");
    tls_ =
        std::make_unique<FaultServer>(directory(), std::vector<std::string>{"--tls", cert_, key});
  }
  static void TearDownTestSuite() {
    tls_.reset();
    SourceRulesTest::TearDownTestSuite();
  }
  static std::string tls_url(const std::string& query = {}) {
    return tls_->url() + "/image" + (query.empty() ? "" : "?" + query);
  }
  static imaging::TransferOptions trusting() {
    auto options = patient();
    options.ca_file = cert_;
    return options;
  }
  static void must_run(const std::string& command) {
    ASSERT_EQ(std::system((command + " >/dev/null").c_str()), 0) << command;
  }

 protected:
  static inline std::string cert_;
  static inline std::unique_ptr<FaultServer> tls_;
};

TEST_F(SourceTlsTest, TheServerMustBeTrusted) {
  const auto fetch = refused(tls_url("sig=s3cr3t"), Errc::source_tls);
  EXPECT_THAT(fetch->text(), HasSubstr("certificate"));
  EXPECT_THAT(fetch->error->advice(), HasSubstr("--ca-cert"));
  expect_whole({tls_url("reset=1&times=1")}, trusting());
  auto insecure = patient();
  insecure.tls_insecure = true;
  expect_whole({tls_url()}, insecure);
  // The right authority, the wrong name.
  const auto named =
      refused("https://localhost:" + tls_->port() + "/image", Errc::source_tls, trusting());
  EXPECT_THAT(named->text(), HasSubstr("localhost"));
}

TEST_F(SourceTlsTest, WrongFilesAndPorts) {
  auto options = patient();
  directory().write("no.pem", bytes_of("these are no certificates\n"));
  options.ca_file = directory().path("no.pem");
  refused(tls_url(), Errc::source_tls, options);
  options.ca_file = directory().path("missing.pem");
  refused(tls_url(), Errc::source_tls, options);
  refused("https://127.0.0.1:" + server().port() + "/image", Errc::source_tls);
}

TEST_F(SourceTlsTest, NeverFromHttpsToHttp) {
  const auto fetch =
      refused(tls_url("to=" + server().url() + "/image"), Errc::source_redirect, trusting());
  EXPECT_THAT(fetch->text(), HasSubstr("leaves https for http"));
  EXPECT_EQ(count_requests(), 0U) << "the http server was asked";
  // Nor by a detour; the other way round is fine.
  refused(url("to=" + tls_->url() + "/image%3fto=" + server().url() + "/image"),
          Errc::source_redirect, trusting());
  expect_whole({url("to=" + tls_url())}, trusting());
  // Where a checksum would allow it for the image, it does not for the list.
  auto options = trusting();
  options.leave_https = true;
  const auto list =
      imaging::fetch_text(tls_url("to=" + server().url() + "/image"), options, 10 * MiB, {});
  ASSERT_FALSE(list);
  EXPECT_EQ(list.error().code(), Errc::source_redirect);
}

TEST_F(SourceTlsTest, FromHttpsToHttpWhereAChecksumAllowsIt) {
  auto options = trusting();
  options.leave_https = true;
  const std::string plain = server().url() + "/image";
  const auto left = HasSubstr("redirects from https to http at 127.0.0.1: followed");
  for (const std::string& target :
       {"to=" + plain, "to=" + plain + "%3freset=1%26times=1%26at=3000000"}) {
    const auto fetch = expect_whole({tls_url(target)}, options);
    EXPECT_THAT(fetch->listener.notes(), ElementsAre(left));
    for (const auto& retry : fetch->listener.retries()) EXPECT_EQ(retry.offset, 3'000'000U);
  }
  // Said once, however often the redirect is taken.
  const auto again = expect_whole({tls_url("to=" + plain + "%3fstatus=503%26times=2")}, options);
  EXPECT_EQ(again->listener.retries().size(), 2U);
  EXPECT_THAT(again->listener.notes(), ElementsAre(left));
  // Parts are fetched from there as well.
  Fetch fetch({tls_url("to=" + plain)}, options);
  ASSERT_FALSE(fetch.error) << fetch.text();
  Bytes part(1000);
  ASSERT_TRUE(fetch.stream().ranges()->read(4'000'000, part));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes().begin() + 4'000'000));
  EXPECT_TRUE(fetch.all() == bytes());
  EXPECT_THAT(requests(), Not(HasSubstr("\"authorization\"")));
  // A file is still nothing that a server may name.
  refused(tls_url("to=file:///etc/passwd"), Errc::source_redirect, options);
}

TEST_F(SourceTlsTest, NeverFromHttpsToHttpWithCredentials) {
  auto options = trusting();
  options.leave_https = true;
  const std::string plain = "to=" + server().url() + "/image";
  const std::string host = "127.0.0.1:" + tls_->port() + "/image?";
  const auto refuse = [&](const std::string& address, const imaging::TransferOptions& given) {
    EXPECT_THAT(refused(address, Errc::source_redirect, given)->text(),
                HasSubstr("where credentials are in use"));
    EXPECT_EQ(count_requests(), 0U) << "the http server was asked";
  };
  refuse("https://user:s3cr3t@" + host + plain, options);
  refuse("https://s3cr3t@" + host + plain, options);
  // Those that the server gives away, with a redirect within https or at its end.
  refuse(tls_url("to=http://user:s3cr3t@127.0.0.1:" + server().port() + "/image"), options);
  refuse(tls_url("to=https://user:s3cr3t@" + host + "to=" + server().url() + "/image"), options);
  options.user = "user";
  options.password = kSecret;
  refuse(tls_url(plain), options);
  options.user = options.password = "";
  options.authorization = "Bearer s3cr3t";
  refuse(tls_url(plain), options);
}

TEST_F(SourceTlsTest, ThroughAProxyByConnect) {
  auto options = trusting();
  options.proxy = server().url();
  expect_whole({tls_url()}, options);
  EXPECT_THAT(requests(), HasSubstr("CONNECT"));
  FaultServer strict(directory(), {"--proxy-auth", "user:s3cr3t"});
  options.proxy = strict.url();
  const auto fetch = refused(tls_url(), Errc::source_unreachable, options);
  EXPECT_THAT(fetch->text(), HasSubstr("407"));
}

}  // namespace
}  // namespace ingot::test
