#include "agent/osimage/manifest.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kAdvice =
    "docs/osimage.md and examples/ show what a manifest looks like";
constexpr std::string_view kList = "List";

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

// What an item of a list need not say itself; "" outside of lists, and in a `v1` List.
struct Defaults {
  std::string api_version, kind;
};

// Takes the objects of one file's documents apart.
class Unpacker {
 public:
  explicit Unpacker(const std::string& file) : file_(file) {}

  [[nodiscard]] Result<void> unpack(YamlNode root) { return unpack(std::move(root), "", {}); }

  std::vector<Manifest> manifests;

 private:
  [[nodiscard]] Result<void> unpack(YamlNode root, const std::string& path,
                                    const Defaults& defaults) {
    Manifest manifest{file_, defaults.api_version, defaults.kind, "", std::move(root), path};
    const ManifestReader reader(manifest);
    const YamlNode& object = manifest.root;
    if (object.kind != YamlNode::Kind::map)
      return reader.refuse(object, path.empty() ? "the document" : "",
                           fmt::format("a map is wanted, {} is there", object.describe()));
    INGOT_TRY(take(reader, object, "apiVersion", manifest.api_version));
    INGOT_TRY(take(reader, object, "kind", manifest.kind));
    if (is_list(manifest)) {
      if (!path.empty()) return reader.refuse(object, "", "a list inside a list");
      return unpack_items(std::move(manifest));
    }
    if (!defaults.kind.empty() && manifest.kind != defaults.kind)
      return reader.refuse(*object.find("kind"), "kind",
                           fmt::format("'{}' inside {}{}", manifest.kind, defaults.kind, kList));
    // Files for tools lie beside manifests and have no name: a Kustomization.
    if (object.find("metadata") == nullptr && is_for_a_tool(manifest)) return {};
    INGOT_TRY_ASSIGN(const YamlNode* metadata, reader.map(object, "metadata", "metadata"));
    INGOT_TRY_ASSIGN(const YamlNode* name, reader.text(*metadata, "name", "metadata.name"));
    manifest.name = name->text;
    manifests.push_back(std::move(manifest));
    return {};
  }

  static bool is_for_a_tool(const Manifest& manifest) {
    return manifest.api_version.starts_with("kustomize.config.k8s.io/");
  }

  // By its kind's name, as everybody tells lists. What has a name itself is an object.
  static bool is_list(const Manifest& manifest) {
    if (!manifest.kind.ends_with(kList)) return false;
    const YamlNode* metadata = manifest.root.find("metadata");
    return manifest.root.find("items") != nullptr || metadata == nullptr ||
           metadata->find("name") == nullptr;
  }

  [[nodiscard]] Result<void> unpack_items(Manifest list) {
    const ManifestReader reader(list);
    YamlNode* items = nullptr;
    for (auto& [key, value] : list.root.members)
      if (key == "items") items = &value;
    if (items == nullptr) return reader.refuse(list.root, "items", "missing");
    if (items->kind == YamlNode::Kind::null) return {};
    if (items->kind != YamlNode::Kind::sequence)
      return reader.refuse(*items, "items",
                           fmt::format("a list is wanted, {} is there", items->describe()));
    Defaults defaults;
    if (list.kind != kList)
      defaults = {list.api_version, list.kind.substr(0, list.kind.size() - kList.size())};
    for (std::size_t i = 0; i < items->items.size(); ++i)
      INGOT_TRY(unpack(std::move(items->items[i]), fmt::format("items[{}].", i), defaults));
    return {};
  }

  // A required string, or what the list around it says.
  [[nodiscard]] static Result<void> take(const ManifestReader& reader, const YamlNode& object,
                                         std::string_view key, std::string& value) {
    if (object.find(key) == nullptr && !value.empty()) return {};
    INGOT_TRY_ASSIGN(const YamlNode* node, reader.text(object, key, key));
    value = node->text;
    return {};
  }

  const std::string& file_;
};

}  // namespace

Result<std::vector<Manifest>> parse_manifests(std::string_view text, const std::string& file,
                                              EmptyList empty_list) {
  auto documents = parse_yaml_documents(text);
  if (!documents)
    return fail(Errc::usage_manifest, fmt::format("{}: {}", file, documents.error().message()),
                std::string(kAdvice));
  Unpacker unpacker(file);
  for (YamlNode& document : *documents) INGOT_TRY(unpacker.unpack(std::move(document)));
  if (unpacker.manifests.empty() && empty_list == EmptyList::refused)
    return fail(Errc::usage_manifest, file + ": a list without any item", std::string(kAdvice));
  return std::move(unpacker.manifests);
}

Result<std::vector<Manifest>> load_manifests(const std::string& path, EmptyList empty_list) {
  INGOT_TRY_ASSIGN(const std::string text, read_file(path));
  return parse_manifests(text, path == "-" ? "standard input" : path, empty_list);
}

bool is_platforms(const Manifest& manifest) noexcept {
  return manifest.api_version == "management.loft.sh/v1" ||
         manifest.api_version == "storage.loft.sh/v1";
}

std::string ManifestReader::remark(const YamlNode& node, std::string_view field,
                                   std::string_view what) const {
  std::string where = manifest_.path + std::string(field);
  if (where.ends_with('.')) where.pop_back();  // the item itself
  return fmt::format("{}:{}: {}: {}", manifest_.file, node.line, where, what);
}

tl::unexpected<Error> ManifestReader::refuse(const YamlNode& node, std::string_view field,
                                             std::string_view why) const {
  return fail(Errc::usage_manifest, remark(node, field, why), std::string(kAdvice));
}

Result<void> ManifestReader::must_be(std::string_view kind) const {
  const auto at = [&](std::string_view key) -> const YamlNode& {
    const YamlNode* node = manifest_.root.find(key);
    return node != nullptr ? *node : manifest_.root;
  };
  if (!is_platforms(manifest_))
    return refuse(at("apiVersion"), "apiVersion",
                  fmt::format("'{}' is neither management.loft.sh/v1 nor storage.loft.sh/v1",
                              manifest_.api_version));
  if (manifest_.kind != kind)
    return refuse(at("kind"), "kind", fmt::format("'{}' is not {}", manifest_.kind, kind));
  return {};
}

Result<const YamlNode*> ManifestReader::map(const YamlNode& parent, std::string_view key,
                                            std::string_view field) const {
  const YamlNode* node = parent.find(key);
  if (node == nullptr) return refuse(parent, field, "missing");
  if (node->kind != YamlNode::Kind::map)
    return refuse(*node, field, fmt::format("a map is wanted, {} is there", node->describe()));
  return node;
}

Result<const YamlNode*> ManifestReader::text(const YamlNode& parent, std::string_view key,
                                             std::string_view field) const {
  const YamlNode* node = parent.find(key);
  if (node == nullptr) return refuse(parent, field, "missing");
  INGOT_TRY(must_be_string(*node, field));
  if (node->text.empty()) return refuse(*node, field, "empty");
  return node;
}

Result<std::string> ManifestReader::optional_text(const YamlNode& parent, std::string_view key,
                                                  std::string_view field) const {
  const YamlNode* node = parent.find(key);
  if (node == nullptr || node->kind == YamlNode::Kind::null) return std::string();
  INGOT_TRY(must_be_string(*node, field));
  return node->text;
}

Result<std::vector<std::string>> ManifestReader::optional_texts(const YamlNode& parent,
                                                                std::string_view key,
                                                                std::string_view field) const {
  std::vector<std::string> texts;
  const YamlNode* node = parent.find(key);
  if (node == nullptr || node->kind == YamlNode::Kind::null) return texts;
  if (node->kind != YamlNode::Kind::sequence)
    return refuse(*node, field, fmt::format("a list is wanted, {} is there", node->describe()));
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    const YamlNode& item = node->items[i];
    const std::string at = fmt::format("{}[{}]", field, i);
    INGOT_TRY(must_be_string(item, at));
    if (item.text.empty()) return refuse(item, at, "empty");
    texts.push_back(item.text);
  }
  return texts;
}

Result<void> ManifestReader::must_be_string(const YamlNode& node, std::string_view field) const {
  if (node.kind == YamlNode::Kind::scalar && node.string) return {};
  const bool plain = node.kind == YamlNode::Kind::scalar;
  return refuse(node, field,
                fmt::format("a string is wanted, {} is there{}", node.describe(),
                            plain ? "; put it in quotes" : ""));
}

}  // namespace ingot::agent
