/// What the tests of the controller share: a directory of their own, manifests and events.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/controller/store.hpp"

namespace ingot::test {

inline const std::string kDeployment = "0b7c0b7c-0000-4000-8000-000000000001";
inline const std::string kOtherDeployment = "0b7c0b7c-0000-4000-8000-000000000002";

/// A directory that is gone with it.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "controller-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no directory";
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ / name; }
  /// A file with this content, for its owner alone; its path.
  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    std::filesystem::permissions(path_ / name, std::filesystem::perms(0600));
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// A CloudEvent; `more` are members of its data: `,"phase":"write"`.
inline std::string cloud_event(const std::string& id, std::int64_t seq, const std::string& type,
                               const std::string& more = {}) {
  return fmt::format(
      R"({{"specversion":"1.0","type":"io.ingot.deploy.{0}.v1","source":"urn:uuid:{1}","id":"{2}",)"
      R"("time":"2026-01-31T23:59:59.123Z","datacontenttype":"application/json",)"
      R"("data":{{"event":"{0}","seq":{2},"time":"2026-01-31T23:59:59.123Z","deploy_id":"{1}"{3}}}}})",
      type, id, seq, more);
}

inline std::string machine_manifest(const std::string& name, const std::string& properties) {
  return fmt::format(
      "apiVersion: management.loft.sh/v1\nkind: Machine\nmetadata: {{name: {}}}\n"
      "spec:\n  properties:\n    vcluster.com/os-image: noble\n    ingot.io/device: /dev/sda\n{}",
      name, properties);
}

inline const std::string kNoble =
    "apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata: {name: noble}\nspec:\n"
    "  owner: {user: admin}\n  access: [{verbs: [get], users: ['*']}]\n  properties:\n"
    "    metal3.vcluster.com/image-url: http://user:secret@images.example/noble.img\n"
    "    metal3.vcluster.com/image-checksum: " +
    std::string(64, 'a') + "\n";

}  // namespace ingot::test
