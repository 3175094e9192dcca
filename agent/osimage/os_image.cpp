#include "agent/osimage/os_image.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "agent/text/yaml_document.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kApiVersion = "management.loft.sh/v1";
constexpr std::string_view kKind = "OSImage";
constexpr std::string_view kUrl = "metal3.vcluster.com/image-url";
constexpr std::string_view kChecksum = "metal3.vcluster.com/image-checksum";
constexpr std::string_view kChecksumType = "metal3.vcluster.com/image-checksum-type";
constexpr std::string_view kAdvice = "docs/errors.md and examples/ show what a manifest looks like";

bool is_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("file://");
}

bool has_space(std::string_view text) {
  return text.find_first_of(" \t\r\n") != std::string_view::npos;
}

// The reading of one document, for its messages: each names file, line and field.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  [[nodiscard]] tl::unexpected<Error> refuse(const YamlNode& node, std::string_view field,
                                             std::string_view why) const {
    return fail(Errc::usage_manifest, fmt::format("{}:{}: {}: {}", file_, node.line, field, why),
                std::string(kAdvice));
  }

  // A required map inside `parent`.
  Result<const YamlNode*> map(const YamlNode& parent, std::string_view key,
                              std::string_view field) const {
    const YamlNode* node = parent.find(key);
    if (node == nullptr) return refuse(parent, field, "missing");
    if (node->kind != YamlNode::Kind::map)
      return refuse(*node, field, fmt::format("a map is wanted, {} is there", node->describe()));
    return node;
  }

  // A required, non-empty string inside `parent`.
  Result<const YamlNode*> text(const YamlNode& parent, std::string_view key,
                               std::string_view field) const {
    const YamlNode* node = parent.find(key);
    if (node == nullptr) return refuse(parent, field, "missing");
    INGOT_TRY(must_be_string(*node, field));
    if (node->text.empty()) return refuse(*node, field, "empty");
    return node;
  }

  [[nodiscard]] Result<void> must_be_string(const YamlNode& node, std::string_view field) const {
    if (node.kind == YamlNode::Kind::scalar && node.string) return {};
    const bool plain = node.kind == YamlNode::Kind::scalar;
    return refuse(node, field,
                  fmt::format("a string is wanted, {} is there{}", node.describe(),
                              plain ? "; put it in quotes" : ""));
  }

 private:
  std::string_view file_;
};

std::string property(std::string_view key) {
  return fmt::format("spec.properties[{}]", key);
}

Result<ChecksumRequest> read_checksum(const Reader& reader, const YamlNode& properties) {
  ChecksumRequest request;
  const YamlNode* const type = properties.find(kChecksumType);
  if (type != nullptr) {
    const auto parsed = parse_digest_type(type->text);
    if (type->text.empty() || !parsed)
      return reader.refuse(*type, property(kChecksumType),
                           fmt::format("'{}' is none of md5, sha256, sha512, auto", type->text));
    request.type = *parsed;
  }
  const YamlNode* const value = properties.find(kChecksum);
  if (value == nullptr) {
    if (type != nullptr)
      return reader.refuse(*type, property(kChecksumType), "given without a checksum");
    return request;
  }
  if (value->text.empty()) return reader.refuse(*value, property(kChecksum), "empty");
  if (!is_checksum_url(value->text)) {
    if (const auto digest = parse_checksum(value->text, request.type); !digest)
      return reader.refuse(*value, property(kChecksum), digest.error().message());
  } else if (has_space(value->text)) {
    return reader.refuse(*value, property(kChecksum), "white space in a URL");
  }
  request.value_or_url = value->text;
  return request;
}

Result<std::string> read_file(const std::string& path) {
  const auto what = "reading the manifest " + path;
  UniqueFd opened;
  int fd = STDIN_FILENO;
  if (path != "-") {
    opened = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened)
      return tl::unexpected(system_error(Errc::usage_manifest, what, errno, std::string(kAdvice)));
    fd = opened.get();
  }
  std::string text;
  std::array<char, 16 * 1024> part{};
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return tl::unexpected(system_error(Errc::usage_manifest, what, errno, std::string(kAdvice)));
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
    if (text.size() > kMaxYamlSize)
      return fail(Errc::usage_manifest, what + ": it has more than 1 MiB", std::string(kAdvice));
  }
}

}  // namespace

Result<OsImage> parse_os_image(std::string_view text, std::string_view file) {
  auto parsed = parse_yaml(text);
  if (!parsed)
    return fail(Errc::usage_manifest, fmt::format("{}: {}", file, parsed.error().message()),
                std::string(kAdvice));
  const Reader reader(file);
  const YamlNode& root = *parsed;
  if (root.kind != YamlNode::Kind::map)
    return reader.refuse(root, "the document",
                         fmt::format("a map is wanted, {} is there", root.describe()));

  INGOT_TRY_ASSIGN(const YamlNode* version, reader.text(root, "apiVersion", "apiVersion"));
  if (version->text != kApiVersion)
    return reader.refuse(*version, "apiVersion",
                         fmt::format("'{}' is not {}", version->text, kApiVersion));
  INGOT_TRY_ASSIGN(const YamlNode* kind, reader.text(root, "kind", "kind"));
  if (kind->text != kKind)
    return reader.refuse(*kind, "kind", fmt::format("'{}' is not {}", kind->text, kKind));

  OsImage image;
  INGOT_TRY_ASSIGN(const YamlNode* metadata, reader.map(root, "metadata", "metadata"));
  INGOT_TRY_ASSIGN(const YamlNode* name, reader.text(*metadata, "name", "metadata.name"));
  image.name = name->text;

  INGOT_TRY_ASSIGN(const YamlNode* spec, reader.map(root, "spec", "spec"));
  INGOT_TRY_ASSIGN(const YamlNode* properties, reader.map(*spec, "properties", "spec.properties"));
  for (const auto& [key, value] : properties->members)
    INGOT_TRY(reader.must_be_string(value, property(key)));
  INGOT_TRY_ASSIGN(const YamlNode* url, reader.text(*properties, kUrl, property(kUrl)));
  if (!is_url(url->text) || has_space(url->text))
    return reader.refuse(*url, property(kUrl), "not an http, https or file URL");
  image.url = url->text;
  INGOT_TRY_ASSIGN(image.checksum, read_checksum(reader, *properties));
  return image;
}

Result<OsImage> load_os_image(const std::string& path) {
  INGOT_TRY_ASSIGN(const std::string text, read_file(path));
  return parse_os_image(text, path == "-" ? "standard input" : path);
}

}  // namespace ingot::agent
