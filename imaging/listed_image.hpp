/// ListedImage: what a checksum file may call an image.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ingot::imaging {

class ListedImage {
 public:
  /// For an image and a list of checksums at these URLs; queries and fragments do not count.
  static ListedImage at_urls(std::string_view image_url, std::string_view list_url);

  /// The same for paths, decoded. `same_server`: both are below one root.
  ListedImage(std::string_view image_path, std::string_view list_path, bool same_server);

  /// How well `listed` names the image; 0: not at all. Names are compared literally, "./" and ".."
  /// resolved. Best is the image's path as seen from the list's folder, then the name that shares
  /// the most components at its end with the image's path, of these one that lies in it entirely.
  [[nodiscard]] std::size_t match(std::string_view listed) const;

  /// Whether a list that names nothing else may be about the image by that name: the list's own
  /// name is the image's and an algorithm ("x.raw.sha256"), and `listed` is "-" or ends with the
  /// image's extension, as the build's name does that the image is an alias of.
  [[nodiscard]] bool may_alias(std::string_view listed) const;

  /// For messages: the path from the list's folder if it leads down from there, or the file name.
  [[nodiscard]] std::string shown() const;
  /// The list's file name, without the image's where it begins with that ("x.raw.sha256").
  [[nodiscard]] const std::string& list_name() const { return list_name_; }

 private:
  using Path = std::vector<std::string>;

  [[nodiscard]] std::size_t match_exactly(std::string_view listed) const;

  Path path_;      // of the image, from the root; empty: it has no file name
  Path relative_;  // from the list's folder; empty: the list is elsewhere
  std::string list_name_;
  bool list_is_of_image_ = false;  // by its name
};

}  // namespace ingot::imaging
