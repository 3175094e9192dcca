#include "agent/osimage/directory_catalog.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

bool is_manifest_name(std::string_view name) {
  return !name.starts_with('.') &&
         (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

// Names of the directory's manifests, sorted. What is no regular file (a FIFO would block for ever)
// is none; links to one are, and links to nothing, so that reading them says so.
std::vector<std::string> manifest_names(const std::string& directory, std::error_code& error) {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    std::error_code gone;  // since it was listed
    const auto type = it->status(gone).type();
    const bool leads_nowhere = type == fs::file_type::not_found && it->is_symlink(gone);
    if (is_manifest_name(name) && (type == fs::file_type::regular || leads_nowhere))
      names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

class DirectoryCatalog final : public Catalog {
 public:
  explicit DirectoryCatalog(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] Result<void> read(const OnWarning& on_warning) {
    std::error_code error;
    const auto names = manifest_names(directory_, error);
    if (error)
      return fail(Errc::usage_manifest, fmt::format("reading {}: {}", describe(), error.message()),
                  "name a directory that holds manifests (*.yaml, *.yml, *.json)");
    for (const std::string& name : names) {
      INGOT_TRY_ASSIGN(
          const auto manifests,
          load_manifests((std::filesystem::path(directory_) / name).string(), EmptyList::allowed));
      for (const Manifest& manifest : manifests) INGOT_TRY(take(manifest, on_warning));
    }
    return {};
  }

  Result<std::optional<OsImage>> find_image(const std::string& name) override {
    return find(images_, name);
  }
  Result<std::optional<SshKey>> find_ssh_key(const std::string& name) override {
    return find(keys_, name);
  }
  Result<std::vector<OsImage>> list_images() override { return list(images_); }
  Result<std::vector<SshKey>> list_ssh_keys() override { return list(keys_); }
  [[nodiscard]] std::string describe() const override { return "the catalog " + directory_; }

 private:
  template <class Object>
  using ByName = std::map<std::string, Object, std::less<>>;

  template <class Object>
  static Result<std::optional<Object>> find(const ByName<Object>& all, const std::string& name) {
    const auto found = all.find(name);
    if (found == all.end()) return std::optional<Object>();
    return std::optional<Object>(found->second);
  }

  template <class Object>
  static Result<std::vector<Object>> list(const ByName<Object>& all) {
    std::vector<Object> objects;
    for (const auto& [name, object] : all) objects.push_back(object);
    return objects;
  }

  template <class Object>
  [[nodiscard]] static Result<void> add(ByName<Object>& all, const Manifest& manifest,
                                        Object object) {
    const auto [there, added] = all.try_emplace(manifest.name, object);
    if (added) return {};
    return ManifestReader(manifest).refuse(
        *manifest.root.find("metadata")->find("name"), "metadata.name",
        fmt::format("there is another {} called '{}' in {}:{}", manifest.kind, manifest.name,
                    there->second.file, there->second.line));
  }

  // Kinds of these names that others made are passed over as well.
  [[nodiscard]] Result<void> take(const Manifest& manifest, const OnWarning& on_warning) {
    if (!is_platforms(manifest)) return {};
    if (manifest.kind == "OSImage") {
      INGOT_TRY_ASSIGN(OsImage image, read_os_image(manifest, on_warning));
      return add(images_, manifest, std::move(image));
    }
    if (manifest.kind == "SSHKey") {
      INGOT_TRY_ASSIGN(SshKey key, read_ssh_key(manifest, on_warning));
      return add(keys_, manifest, std::move(key));
    }
    return {};
  }

  std::string directory_;
  ByName<OsImage> images_;
  ByName<SshKey> keys_;
};

// The directory as it was looked at: all that comparing goes by.
struct Look {
  using File = std::tuple<std::string, ino_t, off_t, time_t, long>;
  bool there = false;
  std::vector<File> files;
  bool operator==(const Look&) const = default;
};

Look look_at(const std::string& directory) {
  Look look;
  std::error_code error;
  for (std::string& name : manifest_names(directory, error)) {
    struct stat now {};
    const auto path = std::filesystem::path(directory) / name;
    if (::stat(path.c_str(), &now) != 0) now = {};
    look.files.emplace_back(std::move(name), now.st_ino, now.st_size, now.st_mtim.tv_sec,
                            now.st_mtim.tv_nsec);
  }
  look.there = !error;
  return look;
}

class Watch final : public DirectoryWatch {
 public:
  Watch(std::string directory, WatchBy by) : directory_(std::move(directory)), by_(by) {
    watch();
    look_ = look_at(directory_);
  }

  bool changed() override {
    drain();
    const bool told = std::exchange(told_, false);
    if (watched_ < 0) watch();
    Look now = look_at(directory_);
    const bool differs = now != look_;
    look_ = std::move(now);
    return told || differs;
  }

  bool being_written() override {
    drain();
    return !open_.empty();
  }

 private:
  // A file that somebody still writes to is told of when it is closed; links come into being whole.
  static constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |
                                           IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_MODIFY |
                                           IN_ONLYDIR;

  // Watches the directory that has the name now.
  void watch() {
    if (by_ == WatchBy::comparison) return;
    if (!inotify_) inotify_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (inotify_) watched_ = ::inotify_add_watch(inotify_.get(), directory_.c_str(), kEvents);
  }

  void drain() {
    if (!inotify_) return;
    alignas(inotify_event) std::array<char, 16 * 1024> part;
    for (;;) {
      const ssize_t got = ::read(inotify_.get(), part.data(), part.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return;
      for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
        inotify_event event;
        std::memcpy(&event, part.data() + at, sizeof event);
        const char* name = event.len > 0 ? part.data() + at + sizeof event : "";
        at += sizeof event + event.len;
        told_ = hear(event, name) || told_;
      }
    }
  }

  bool hear(const inotify_event& event, std::string_view name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      open_.clear();  // its end may be among what was lost
      return true;
    }
    if (event.wd != watched_) return false;  // of a directory that had the name before
    if ((event.mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED)) != 0) {
      ::inotify_rm_watch(inotify_.get(), watched_);
      watched_ = -1;
      open_.clear();
      return true;
    }
    if ((event.mask & IN_MODIFY) != 0) {
      // As many as anybody writes to at a time; more would be somebody's who never closes any.
      constexpr std::size_t kMostOpen = 1024;
      if (is_manifest_name(name) && open_.size() < kMostOpen) open_.emplace(name);
      return false;
    }
    open_.erase(std::string(name));
    // "..data": how a kubelet exchanges all files of a mounted ConfigMap at once.
    return is_manifest_name(name) || name == "..data";
  }

  std::string directory_;
  WatchBy by_;
  UniqueFd inotify_;
  int watched_ = -1;
  bool told_ = false;           // of a change, since changed() said so last
  std::set<std::string> open_;  // written to, and not closed since
  Look look_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> open_directory_catalog(const std::string& directory,
                                                        const OnWarning& on_warning) {
  auto catalog = std::make_unique<DirectoryCatalog>(directory);
  INGOT_TRY(catalog->read(on_warning));
  return catalog;
}

std::unique_ptr<DirectoryWatch> watch_directory(const std::string& directory, WatchBy by) {
  return std::make_unique<Watch>(directory, by);
}

}  // namespace ingot::agent
