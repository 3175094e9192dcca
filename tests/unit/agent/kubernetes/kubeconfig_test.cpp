// Kubeconfigs and the choice of a server: what is merged, whose credentials go where, and what is
// refused in which words.
#include "agent/kubernetes/kubeconfig.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/kubernetes/api_server.hpp"
#include "agent/text/base64.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kPem =
    "-----BEGIN CERTIFICATE-----\nS3CR3T\n-----END CERTIFICATE-----\n";

std::string config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "clusters:\n- name: one\n  cluster: {" +
         cluster + "}\nusers:\n- name: me\n  user: {" + user +
         "}\ncontexts:\n- name: here\n  context: {cluster: one, user: me, namespace: x}\n";
}

const std::string kServer = "server: 'https://10.0.0.1:6443'";
const std::string kToken = "token: S3CR3T-token";

class KubeconfigTest : public ::testing::Test {
 protected:
  KubeconfigTest() {
    std::filesystem::create_directories(dir_ + "/.kube");
    for (const char* name : {"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"})
      ::unsetenv(name);
    ::setenv("HOME", dir_.c_str(), 1);
  }
  ~KubeconfigTest() override { std::filesystem::remove_all(dir_); }

  std::string file(const std::string& name, const std::string& text) {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  Result<ApiServer> read(const std::string& cluster, const std::string& user) {
    KubernetesOptions options;
    options.kubeconfig = file("config", config(cluster, user));
    return choose_api_server(options);
  }

  // What is said of a refusal, with its advice. Secrets are never part of it.
  static std::string said(const Result<ApiServer>& got) {
    if (got) return "accepted: " + got->url;
    EXPECT_EQ(got.error().code(), Errc::usage_option);
    const std::string words = got.error().message() + " / " + got.error().advice();
    EXPECT_EQ(words.find("S3CR3T"), std::string::npos) << words;
    return words;
  }

  const std::string dir_ =
      std::filesystem::temp_directory_path() / ("ingot-kubeconfig-" + std::to_string(::getpid()));
};

#define EXPECT_SAYS(words, part) EXPECT_NE((words).find(part), std::string::npos) << (words)

TEST_F(KubeconfigTest, ReadsWhatKubectlWrites) {
  const std::string pem = to_base64(kPem);
  const auto got =
      read(kServer + ", certificate-authority-data: " + pem +
               ", proxy-url: 'http://proxy.example:3128', "
               "tls-server-name: kube.example, extensions: [{name: x, extension: {a: 1}}]",
           "client-certificate-data: " + pem + ", client-key-data: " + pem + ", " + kToken);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->url, "https://10.0.0.1:6443");
  EXPECT_EQ(got->ca_pem, kPem);
  EXPECT_EQ(got->client_cert_pem, kPem);
  EXPECT_EQ(got->client_key_pem, kPem);
  EXPECT_EQ(got->token, "S3CR3T-token");
  EXPECT_EQ(got->proxy, "http://proxy.example:3128");
  EXPECT_EQ(got->tls_server_name, "kube.example");
  EXPECT_FALSE(got->tls_insecure);
  EXPECT_SAYS(got->origin, "the context here of " + dir_);
}

TEST_F(KubeconfigTest, PathsAreRelativeToTheFileAndDataWins) {
  auto got = read(kServer + ", certificate-authority: pki/ca.crt",
                  "client-certificate: ../me.crt, client-key: /etc/me.key, tokenFile: token");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->ca_file, dir_ + "/pki/ca.crt");
  EXPECT_EQ(got->client_cert_file, std::filesystem::path(dir_).parent_path() / "me.crt");
  EXPECT_EQ(got->client_key_file, "/etc/me.key");
  EXPECT_EQ(got->token_file, dir_ + "/token");
  got = read(
      kServer + ", certificate-authority: a.crt, certificate-authority-data: " + to_base64(kPem),
      kToken);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ca_file, "");
  EXPECT_EQ(got->ca_pem, kPem);
}

TEST_F(KubeconfigTest, RefusesWithFileLineAndField) {
  const struct {
    std::string cluster, user, part;
  } kCases[] = {
      {"x: y", kToken, "config:6: server: missing"},
      {"server: 'ftp://h'", kToken, "no http or https URL"},
      {"server: '10.0.0.1:6443'", kToken, "10.0.0.1"},
      {"server: 'https://u:S3CR3T@h'", kToken, "credentials do not belong in it"},
      {"server: 'https://h/?a=S3CR3T'", kToken, "a query"},
      {"server: 7", kToken, "config:6: server: a string is wanted"},
      {kServer + ", insecure-skip-tls-verify: 'yes'", kToken, "true or false is wanted"},
      {kServer + ", insecure-skip-tls-verify: true, certificate-authority: a", kToken,
       "one of them is wrong"},
      {kServer + ", certificate-authority-data: '!S3CR3T'", kToken, "no base64"},
      {kServer + ", certificate-authority-data: " + to_base64("S3CR3T"), kToken, "no PEM"},
      {kServer + ", proxy-url: 'ftp://p'", kToken, "proxy-url: neither"},
      {kServer + ", tls-server-name: 'a:b'", kToken, "no host name"},
      {kServer, "token: 12345", "config:9: token: a string is wanted"},
      {kServer, "token: \"S3CR3T\\nX: y\"", "control characters"},
      {kServer, "client-certificate: a", "client-key: missing"},
      {kServer, "client-key: a", "client-certificate: missing"},
      {kServer, "exec: {command: /opt/bin/login, args: [S3CR3T]}",
       "credential plugins (login) are not supported / "},
      {kServer, "auth-provider: {name: oidc, config: {id-token: S3CR3T}}", "--token-file"},
      {kServer, "username: me, password: S3CR3T", "1.19"},
      {kServer, "as: admin", "asking as somebody else"},
      {kServer, "as-groups: [admins]", "asking as somebody else"},
      {"server: 'http://10.0.0.1:8080'", kToken, "not sent without TLS"},
  };
  for (const auto& [cluster, user, part] : kCases) EXPECT_SAYS(said(read(cluster, user)), part);
  EXPECT_TRUE(read("server: 'http://127.0.0.1:8001'", kToken)) << "it stays on this machine";
  EXPECT_TRUE(read("server: 'http://10.0.0.1:8080'", "exec: null")) << "nothing to give away";

  KubernetesOptions options;
  options.kubeconfig = dir_ + "/none";
  EXPECT_SAYS(said(choose_api_server(options)), "No such file");
  for (const auto* text : {"a: [", "kind: Pod", "apiVersion: v2", "- a", "contexts: 7",
                           "users: [{user: {}}]", "clusters: [{name: a, cluster: 7}]", "a: &x b"}) {
    options.kubeconfig = file("bad", text);
    EXPECT_SAYS(said(choose_api_server(options)), "bad");
  }
}

TEST_F(KubeconfigTest, FilesAreMergedAndTheFirstCounts) {
  const auto first = file("first",
                          "current-context: ''\nclusters:\n- {name: one, cluster: {server: "
                          "'https://first'}}\nusers: null\n");
  const auto second =
      file("second", config("server: 'https://second', proxy-url: 'http://p'", kToken));
  const std::string list = first + "::" + dir_ + "/missing:" + second;
  ::setenv("KUBECONFIG", list.c_str(), 1);
  const auto got = choose_api_server({});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->url, "https://first:443");
  EXPECT_EQ(got->proxy, "") << "an entry counts whole";
  EXPECT_EQ(got->token, "S3CR3T-token");

  ::setenv("KUBECONFIG", (dir_ + "/missing").c_str(), 1);
  file(".kube/config", config(kServer, kToken));
  EXPECT_SAYS(said(choose_api_server({})), "no kubeconfig");
  ::unsetenv("KUBECONFIG");
  EXPECT_TRUE(choose_api_server({}));
}

TEST_F(KubeconfigTest, ContextsAreChosenByNameOrByServer) {
  KubernetesOptions options;
  options.kubeconfig = file("config", R"(
current-context: a
clusters:
- {name: one, cluster: {server: 'https://One.example:443/'}}
- {name: two, cluster: {server: 'https://two.example/k8s/'}}
users:
- {name: a, user: {token: token-a}}
- {name: b, user: {token: token-b}}
- {name: plugin, user: {exec: {command: login}}}
contexts:
- {name: a, context: {cluster: one, user: a}}
- {name: b, context: {cluster: one, user: b}}
- {name: c, context: {cluster: two, user: b}}
- {name: plugged, context: {cluster: two, user: plugin}}
- {name: broken, context: {cluster: three, user: b}}
- {name: nobody, context: {cluster: one, user: c}}
)");
  const auto token = [&](const std::string& server, const std::string& context) {
    options.server = server;
    options.context = context;
    const auto got = choose_api_server(options);
    return got ? got->url + " " + got->token : said(got);
  };
  EXPECT_EQ(token("", ""), "https://one.example:443 token-a");
  EXPECT_EQ(token("", "b"), "https://one.example:443 token-b");
  EXPECT_SAYS(token("", "x"), "has no context 'x' / it has: a, b, broken, c, nobody, plugged");
  EXPECT_SAYS(token("", "broken"), "there is no cluster 'three'");
  EXPECT_SAYS(token("", "nobody"), "there is no user 'c'");
  EXPECT_EQ(token("https://one.example", ""), "https://one.example:443 token-a");
  EXPECT_EQ(token("https://one.example", "b"), "https://one.example:443 token-b");
  EXPECT_SAYS(token("https://one.example", "c"), "and not https://one.example:443");
  EXPECT_SAYS(token("https://two.example/k8s", ""), "several contexts");
  EXPECT_SAYS(token("https://two.example", ""), "has no context for it");
  EXPECT_SAYS(token("https://two.example/k8s", "plugged"), "credential plugins");

  options.token_file = "/run/token";
  options.ca_file = "/run/ca.crt";
  options.server.clear();
  options.context = "plugged";
  const auto got = choose_api_server(options);
  ASSERT_TRUE(got) << "its user is not looked at";
  EXPECT_EQ(got->token + got->token_file + got->ca_file, "/run/token/run/ca.crt");
  options.client_cert_file = "/run/me.crt";
  EXPECT_SAYS(said(choose_api_server(options)), "one without the other");
}

TEST_F(KubeconfigTest, CredentialsGoToTheirServerAlone) {
  file(".kube/config", config(kServer, kToken));
  KubernetesOptions options;
  options.server = "https://other.example";
  EXPECT_SAYS(said(choose_api_server(options)), "no credentials for https://other.example:443");
  options.ca_file = "/ca.crt";
  auto got = choose_api_server(options);
  ASSERT_TRUE(got) << "asked as nobody in particular";
  EXPECT_FALSE(got->has_credentials());
  options.token_file = "/run/token";
  file(".kube/config", "broken: [");
  EXPECT_TRUE(choose_api_server(options)) << "no kubeconfig is looked at";
}

TEST_F(KubeconfigTest, InCluster) {
  KubernetesOptions options;
  options.in_cluster = true;
  EXPECT_SAYS(said(choose_api_server(options)), "this is no Pod");
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  options.service_account_dir = "/sa";
  auto got = choose_api_server(options);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->url, "https://[fd00::1]:443");
  EXPECT_EQ(got->token_file + " " + got->ca_file, "/sa/token /sa/ca.crt");
  options.in_cluster = false;
  for (const auto* own : {"https://kubernetes.default.svc", "https://[fd00:0::1]/"}) {
    options.server = own;
    got = choose_api_server(options);
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->token_file, "/sa/token");
  }
  options.server = "https://kubernetes.default.svc.example";
  EXPECT_SAYS(said(choose_api_server(options)), "no credentials");
}

TEST(CatalogOption, SaysWhichServer) {
  const auto read = [](const std::string& text, const std::string& context = "") {
    KubernetesOptions options;
    options.context = context;
    const auto got = read_catalog_option(text, options);
    if (!got) return std::string("refused");
    return (*got ? "api " : "directory ") + options.server + options.context +
           (options.in_cluster ? "in" : "");
  };
  EXPECT_EQ(read("kubeconfig:"), "api ");
  EXPECT_EQ(read("kubeconfig:", "b"), "api b");
  EXPECT_EQ(read("kubeconfig:a:b"), "api a:b");
  EXPECT_EQ(read("kubeconfig:a", "b"), "refused");
  EXPECT_EQ(read("in-cluster"), "api in");
  EXPECT_EQ(read("https://h/x"), "api https://h/x");
  EXPECT_EQ(read("ftp://h"), "refused");
  for (const auto* directory : {"images", "/etc/kubeconfig", "./in-cluster", "kubeconfig", ""})
    EXPECT_EQ(read(directory), "directory ") << directory;
}

TEST(ServerUrl, TwoThatNameOneServerAreEqual) {
  const auto text = [](std::string_view url) {
    const auto parsed = parse_server_url(url, "x");
    return parsed ? parsed->text : "refused";
  };
  EXPECT_EQ(text("HTTPS://Kube.Example"), "https://kube.example:443");
  EXPECT_EQ(text("https://kube.example:443/"), "https://kube.example:443");
  EXPECT_EQ(text("https://10.0.0.1.nip.io:6443/x"), "https://10.0.0.1.nip.io:6443/x");
  EXPECT_EQ(text("http://[::1]/a/b//"), "http://[::1]:80/a/b");
  EXPECT_EQ(text("https://h:"), "https://h:443");  // RFC 3986 section 3.2.3
  EXPECT_EQ(text("https://[2001:DB8:0:0::1]"), "https://[2001:db8::1]:443");
  for (const auto* bad :
       {"", "kube.example", "https://", "https:///a", "https://h:0", "https://h:99999",
        "https://h:4294967339", "https://h:8x", "https://h#f", "https://h h", "https://h/a b",
        "https://h\\@x", "https://h/\\x", "https://[::1", "https://[h]", "https://[::1]x",
        "https://a%2fb", "file:///etc/passwd"})
    EXPECT_EQ(text(bad), "refused") << bad;
  EXPECT_TRUE(parse_server_url("http://127.9.9.9", "x")->loopback);
  EXPECT_TRUE(parse_server_url("http://[::1]", "x")->loopback);
  EXPECT_FALSE(parse_server_url("http://127.0.0.1.example", "x")->loopback);
}

}  // namespace
}  // namespace ingot::agent
