#include "agent/kubernetes/kubeconfig.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "agent/text/base64.hpp"
#include "agent/text/text.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

constexpr const char* kSeeWhole = "`kubectl config view` shows what kubectl makes of it";
constexpr const char* kInsteadOfPlugin =
    "ingot does not run programs that a kubeconfig names; give a token with --token-file (`kubectl "
    "create token SERVICEACCOUNT`, or an access key of the platform), or a client certificate with "
    "--client-cert and --client-key";

// The fields of one entry; its messages name file, line and field.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& folder, const YamlNode& node)
      : file_(file), folder_(folder), node_(node) {}

  [[nodiscard]] tl::unexpected<Error> refuse(const YamlNode& node, std::string_view field,
                                             std::string_view why,
                                             const char* advice = kSeeWhole) const {
    return fail(Errc::usage_option,
                fmt::format("kubeconfig {}:{}: {}: {}", file_, node.line, field, why), advice);
  }

  // The member, unless it is absent, null, "" or an empty map or list, as kubectl writes them.
  [[nodiscard]] const YamlNode* find(std::string_view key) const {
    const YamlNode* const node = node_.find(key);
    if (node == nullptr || node->kind == YamlNode::Kind::null) return nullptr;
    const bool empty = node->kind == YamlNode::Kind::scalar
                           ? node->string && node->text.empty()
                           : node->members.empty() && node->items.empty();
    return empty ? nullptr : node;
  }

  // "" where it is absent. No control characters: some become part of a request.
  [[nodiscard]] Result<std::string> text(std::string_view key) const {
    const YamlNode* const node = find(key);
    if (node == nullptr) return std::string();
    if (node->kind != YamlNode::Kind::scalar || !node->string)
      return refuse(*node, key, fmt::format("a string is wanted, {} is there", node->describe()));
    for (const char c : node->text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
        return refuse(*node, key, "control characters");
    return node->text;
  }

  [[nodiscard]] Result<bool> flag(std::string_view key) const {
    const YamlNode* const node = find(key);
    if (node == nullptr) return false;
    if (node->kind == YamlNode::Kind::scalar && !node->string) {
      if (node->text == "true") return true;
      if (node->text == "false") return false;
    }
    return refuse(*node, key, "true or false is wanted");
  }

  // A path, made independent of where this process is.
  [[nodiscard]] Result<std::string> path(std::string_view key) const {
    INGOT_TRY_ASSIGN(const std::string found, text(key));
    if (found.empty()) return std::string();
    return (std::filesystem::path(folder_) / found).lexically_normal().string();
  }

  // PEM that stands in the file itself. Errors never show it.
  [[nodiscard]] Result<std::string> data(std::string_view key) const {
    const YamlNode* const node = find(key);
    if (node == nullptr) return std::string();
    if (node->kind != YamlNode::Kind::scalar)
      return refuse(*node, key, fmt::format("a string is wanted, {} is there", node->describe()));
    std::string base64 = node->text;  // may be a block of several lines
    std::erase_if(base64, [](char c) { return c == '\n' || c == '\r'; });
    auto bytes = from_base64(base64);
    if (!bytes) return refuse(*node, key, "no base64, or more than 64 KiB of it");
    if (bytes->find("-----BEGIN ") == std::string::npos)
      return refuse(*node, key, "what it encodes is no PEM");
    return std::move(*bytes);
  }

  [[nodiscard]] const YamlNode& node() const noexcept { return node_; }

 private:
  const std::string& file_;
  const std::string& folder_;
  const YamlNode& node_;
};

// Errors: errno, or EFBIG for more than parse_yaml() takes.
Result<std::string> read_file(const std::string& path, int& error) {
  const auto failed = [&](int number) {
    error = number;
    return tl::unexpected(system_error(Errc::usage_option, "reading the kubeconfig " + path, number,
                                       "name one with --kubeconfig"));
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed(errno);
  std::string text;
  std::array<char, 16 * 1024> part{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(errno);
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxYamlSize) return failed(EFBIG);
  }
}

Result<void> read_cluster(const EntryReader& in, ApiServer& into) {
  INGOT_TRY_ASSIGN(const std::string url, in.text("server"));
  if (url.empty()) return in.refuse(in.node(), "server", "missing");
  auto parsed = parse_server_url(url, "kubeconfig");
  if (!parsed) return in.refuse(*in.find("server"), "server", parsed.error().message());
  into.url = parsed->text;
  INGOT_TRY_ASSIGN(into.ca_pem, in.data("certificate-authority-data"));
  if (into.ca_pem.empty()) {
    INGOT_TRY_ASSIGN(into.ca_file, in.path("certificate-authority"));
  }
  INGOT_TRY_ASSIGN(into.tls_insecure, in.flag("insecure-skip-tls-verify"));
  if (into.tls_insecure && (!into.ca_pem.empty() || !into.ca_file.empty()))
    return in.refuse(*in.find("insecure-skip-tls-verify"), "insecure-skip-tls-verify",
                     "true beside a certificate-authority: one of them is wrong");
  INGOT_TRY_ASSIGN(into.tls_server_name, in.text("tls-server-name"));
  if (into.tls_server_name.find_first_of("/:@ ") != std::string::npos)
    return in.refuse(*in.find("tls-server-name"), "tls-server-name", "this is no host name");
  INGOT_TRY_ASSIGN(into.proxy, in.text("proxy-url"));
  if (!into.proxy.empty() && !into.proxy.starts_with("http://") &&
      !into.proxy.starts_with("https://") && !into.proxy.starts_with("socks5://"))
    return in.refuse(*in.find("proxy-url"), "proxy-url", "neither http, https nor socks5");
  return {};
}

Result<void> refuse_unsupported(const EntryReader& in) {
  if (const YamlNode* const exec = in.find("exec")) {
    const YamlNode* const command = exec->find("command");
    const std::string name =
        command != nullptr ? std::filesystem::path(command->text).filename().string() : "";
    return in.refuse(
        *exec, "exec",
        fmt::format("credential plugins ({}) are not supported", printable(utf8(name))),
        kInsteadOfPlugin);
  }
  if (const YamlNode* const provider = in.find("auth-provider"))
    return in.refuse(*provider, "auth-provider", "credential plugins are not supported",
                     kInsteadOfPlugin);
  for (const char* const key : {"username", "password"})
    if (const YamlNode* const basic = in.find(key))
      return in.refuse(*basic, key,
                       "user names with passwords are not supported, and Kubernetes has dropped "
                       "them in version 1.19",
                       kInsteadOfPlugin);
  // Left out silently they would make requests with more rights than were meant.
  for (const char* const key : {"as", "as-uid", "as-groups", "as-user-extra"})
    if (const YamlNode* const other = in.find(key))
      return in.refuse(*other, key, "asking as somebody else is not supported",
                       "use credentials of that user");
  return {};
}

Result<void> read_user(const EntryReader& in, ApiServer& into) {
  INGOT_TRY(refuse_unsupported(in));
  INGOT_TRY_ASSIGN(into.client_cert_pem, in.data("client-certificate-data"));
  if (into.client_cert_pem.empty()) {
    INGOT_TRY_ASSIGN(into.client_cert_file, in.path("client-certificate"));
  }
  INGOT_TRY_ASSIGN(into.client_key_pem, in.data("client-key-data"));
  if (into.client_key_pem.empty()) {
    INGOT_TRY_ASSIGN(into.client_key_file, in.path("client-key"));
  }
  const bool cert = !into.client_cert_pem.empty() || !into.client_cert_file.empty();
  const bool key = !into.client_key_pem.empty() || !into.client_key_file.empty();
  if (cert != key)
    return in.refuse(in.node(), cert ? "client-key" : "client-certificate",
                     fmt::format("missing beside the {}", cert ? "certificate" : "key"));
  INGOT_TRY_ASSIGN(into.token, in.text("token"));
  INGOT_TRY_ASSIGN(into.token_file, in.path("tokenFile"));
  return {};
}

}  // namespace

Result<Kubeconfig> Kubeconfig::load(const std::string& file) {
  Kubeconfig config;
  INGOT_TRY(config.add(file, false));
  return config;
}

Result<Kubeconfig> Kubeconfig::load_default() {
  Kubeconfig config;
  const char* const list = std::getenv("KUBECONFIG");
  if (list == nullptr || *list == '\0') {
    const char* const home = std::getenv("HOME");
    if (home != nullptr && *home != '\0')
      INGOT_TRY(config.add(std::string(home) + "/.kube/config", true));
    return config;
  }
  std::string_view rest(list);
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    if (end > 0) INGOT_TRY(config.add(std::string(rest.substr(0, end)), true));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return config;
}

Result<bool> Kubeconfig::add(const std::string& file, bool may_be_missing) {
  int error = 0;
  auto text = read_file(file, error);
  if (!text && may_be_missing && (error == ENOENT || error == ENOTDIR)) return false;
  if (!text) return tl::unexpected(text.error());
  files_.push_back(file);
  if (text->find_first_not_of(" \t\r\n") == std::string::npos)
    return true;  // kubectl takes it, too
  const auto root = parse_yaml(*text);
  if (!root)
    return fail(Errc::usage_option, fmt::format("kubeconfig {}: {}", file, root.error().message()),
                kSeeWhole);
  const std::string folder;
  const EntryReader in(file, folder, *root);
  if (root->kind != YamlNode::Kind::map) return in.refuse(*root, "the document", "a map is wanted");
  INGOT_TRY_ASSIGN(const std::string kind, in.text("kind"));
  if (!kind.empty() && kind != "Config")
    return in.refuse(*in.find("kind"), "kind", "this is no Config");
  INGOT_TRY_ASSIGN(const std::string version, in.text("apiVersion"));
  if (!version.empty() && version != "v1")
    return in.refuse(*in.find("apiVersion"), "apiVersion", "this is not v1");
  INGOT_TRY(add_entries(file, *root, "clusters", "cluster", clusters_));
  INGOT_TRY(add_entries(file, *root, "users", "user", users_));
  INGOT_TRY(add_entries(file, *root, "contexts", "context", contexts_));
  INGOT_TRY_ASSIGN(const std::string current, in.text("current-context"));
  if (current_.empty()) current_ = current;
  return true;
}

Result<void> Kubeconfig::add_entries(const std::string& file, const YamlNode& root,
                                     std::string_view list, std::string_view member,
                                     Entries& into) {
  std::error_code ignored;
  const std::string folder = std::filesystem::absolute(file, ignored).parent_path().string();
  const EntryReader top(file, folder, root);
  const YamlNode* const entries = top.find(list);
  if (entries == nullptr) return {};
  if (entries->kind != YamlNode::Kind::sequence)
    return top.refuse(*entries, list, "a list is wanted");
  for (const YamlNode& item : entries->items) {
    const EntryReader in(file, folder, item);
    INGOT_TRY_ASSIGN(const std::string name, in.text("name"));
    if (name.empty()) return in.refuse(item, fmt::format("{}[].name", list), "missing");
    const YamlNode* const value = item.find(member);
    Entry entry{file, folder, value != nullptr ? *value : YamlNode{}};
    if (entry.node.line == 0) entry.node.line = item.line;
    if (value != nullptr && value->kind != YamlNode::Kind::map &&
        value->kind != YamlNode::Kind::null)
      return in.refuse(*value, member, "a map is wanted");
    into.try_emplace(name, std::move(entry));
  }
  return {};
}

std::string Kubeconfig::describe() const {
  if (files_.empty()) return "no kubeconfig (neither $KUBECONFIG nor ~/.kube/config is there)";
  return fmt::format("the kubeconfig {}", fmt::join(files_, ", "));
}

std::string Kubeconfig::context_names() const {
  std::string names;
  for (const auto& [name, entry] : contexts_) {
    if (!names.empty()) names += ", ";
    names += printable(utf8(name));
  }
  return names.empty() ? "it has none" : "it has: " + names;
}

Result<const Kubeconfig::Entry*> Kubeconfig::context_entry(const std::string& name) const {
  const auto found = contexts_.find(name);
  if (found == contexts_.end())
    return fail(Errc::usage_option,
                fmt::format("{} has no context '{}'", describe(), printable(utf8(name))),
                context_names());
  return &found->second;
}

Result<const Kubeconfig::Entry*> Kubeconfig::cluster_of(const std::string& context) const {
  INGOT_TRY_ASSIGN(const Entry* entry, context_entry(context));
  const EntryReader in(entry->file, entry->folder, entry->node);
  INGOT_TRY_ASSIGN(const std::string name, in.text("cluster"));
  const auto found = clusters_.find(name);
  if (found == clusters_.end())
    return in.refuse(
        entry->node, "cluster",
        name.empty() ? "missing" : fmt::format("there is no cluster '{}'", printable(utf8(name))));
  return &found->second;
}

Result<ApiServer> Kubeconfig::of_context(const std::string& context, bool with_user) const {
  const std::string& name = context.empty() ? current_ : context;
  if (name.empty())
    return fail(Errc::usage_option,
                files_.empty() ? describe() : describe() + " has no current-context",
                files_.empty() ? "name one with --kubeconfig; in a Pod: --catalog in-cluster"
                               : "choose a context with --context; " + context_names());
  ApiServer server;
  INGOT_TRY_ASSIGN(const Entry* cluster, cluster_of(name));
  INGOT_TRY(read_cluster(EntryReader(cluster->file, cluster->folder, cluster->node), server));
  server.origin =
      fmt::format("the context {} of {}", printable(utf8(name)), fmt::join(files_, ", "));
  if (!with_user) return server;
  INGOT_TRY_ASSIGN(const Entry* entry, context_entry(name));
  const EntryReader in(entry->file, entry->folder, entry->node);
  INGOT_TRY_ASSIGN(const std::string user, in.text("user"));
  if (user.empty()) return server;
  const auto found = users_.find(user);
  if (found == users_.end())
    return in.refuse(entry->node, "user",
                     fmt::format("there is no user '{}'", printable(utf8(user))));
  INGOT_TRY(
      read_user(EntryReader(found->second.file, found->second.folder, found->second.node), server));
  return server;
}

Result<std::optional<ApiServer>> Kubeconfig::of_server(const ServerUrl& url,
                                                       const std::string& context,
                                                       bool with_user) const {
  // Other contexts may be broken, or not ours to understand: they are not the ones asked for.
  const auto is_at = [&](const std::string& name) {
    const auto found = of_context(name, false);
    return found && found->url == url.text;
  };
  if (!context.empty()) {
    INGOT_TRY_ASSIGN(const ApiServer named, of_context(context, false));
    if (named.url != url.text)
      return fail(
          Errc::usage_option,
          fmt::format("{} has the server {}, and not {}", named.origin, named.url, url.text),
          "leave --context or the URL out");
    return of_context(context, with_user);
  }
  if (!current_.empty() && is_at(current_)) return of_context(current_, with_user);
  std::vector<std::string> names;
  for (const auto& [name, entry] : contexts_)
    if (is_at(name)) names.push_back(name);
  if (names.empty()) return std::optional<ApiServer>();
  if (names.size() > 1)
    return fail(Errc::usage_option,
                fmt::format("{} has several contexts for {}: {}", describe(), url.text,
                            printable(utf8(fmt::format("{}", fmt::join(names, ", "))))),
                "choose one with --context");
  return of_context(names.front(), with_user);
}

}  // namespace ingot::agent
