#include "imaging/listed_image.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "disk/core/digest_names.hpp"
#include "disk/core/url_text.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {
namespace {

using Path = std::vector<std::string>;

// The components, without empty ones and ".", with ".." resolved as far as there is something
// before it.
Path components(std::string_view path) {
  Path out;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const std::string_view one = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (one.empty() || one == ".") continue;
    if (one == ".." && !out.empty() && out.back() != "..")
      out.pop_back();
    else
      out.emplace_back(one);
  }
  return out;
}

// Above a root there is nothing.
Path from_root(std::string_view path) {
  Path out = components(path);
  out.erase(out.begin(),
            std::find_if(out.begin(), out.end(), [](const auto& one) { return one != ".."; }));
  return out;
}

Path relative_to(const Path& folder, const Path& path) {
  const auto [left, right] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  Path out(static_cast<std::size_t>(std::distance(left, folder.end())), "..");
  out.insert(out.end(), right, path.end());
  return out;
}

bool same_server(std::string_view one, std::string_view other) {
  const auto a = parse_url(one);
  const auto b = parse_url(other);
  if (!a || !b) return false;
  if (a->scheme == "file" || b->scheme == "file") return a->scheme == b->scheme;
  if (a->host != b->host) return false;
  // http and https at their own ports serve the same files; two other ports may be anything.
  const auto usual = [](const Url& url) {
    return url.port == (url.scheme == "https" ? "443" : "80");
  };
  return a->port == b->port || (usual(*a) && usual(*b));
}

}  // namespace

ListedImage ListedImage::at_urls(std::string_view image_url, std::string_view list_url) {
  return {url_path(image_url), url_path(list_url), same_server(image_url, list_url)};
}

ListedImage::ListedImage(std::string_view image_path, std::string_view list_path,
                         bool same_server) {
  if (!image_path.ends_with('/')) path_ = from_root(image_path);
  Path folder = from_root(list_path);
  if (!folder.empty()) {
    list_name_ = std::move(folder.back());
    folder.pop_back();
  }
  if (path_.empty()) return;
  if (same_server) relative_ = relative_to(folder, path_);
  if (!list_name_.starts_with(path_.back())) return;
  list_name_.erase(0, path_.back().size());
  const auto named = algorithms_in_file_name(list_name_);
  list_is_of_image_ = list_name_.starts_with('.') && !named.empty() && named.front().begin == 1;
}

std::size_t ListedImage::match_exactly(std::string_view listed) const {
  const Path name = components(listed);
  if (path_.empty() || name.empty()) return 0;
  if (name == relative_) return std::numeric_limits<std::size_t>::max();
  const auto known =
      std::find_if(name.begin(), name.end(), [](const auto& c) { return c != ".."; });
  const auto shared = static_cast<std::size_t>(std::distance(
      name.rbegin(),
      std::mismatch(name.rbegin(), std::make_reverse_iterator(known), path_.rbegin(), path_.rend())
          .first));
  if (shared == 0) return 0;
  return 2 * shared +
         (shared == static_cast<std::size_t>(std::distance(known, name.end())) ? 1 : 0);
}

std::size_t ListedImage::match(std::string_view listed) const {
  // Blanks at a line's end are nearly never a part of the name, but they can be.
  const auto last = listed.find_last_not_of(" \t");
  const std::size_t whole = match_exactly(listed);
  if (last == std::string_view::npos || last + 1 == listed.size()) return whole;
  return std::max(whole, match_exactly(listed.substr(0, last + 1)));
}

bool ListedImage::may_alias(std::string_view listed) const {
  if (!list_is_of_image_) return false;
  listed = listed.substr(0, listed.find_last_not_of(" \t") + 1);
  if (listed == "-") return true;
  // "x.raw" beside "x.raw.xz.sha256" is what is packed in it.
  const std::string& name = path_.back();
  const auto dot = name.rfind('.');
  return dot == std::string::npos || listed.ends_with(std::string_view(name).substr(dot));
}

std::string ListedImage::shown() const {
  if (path_.empty()) return {};
  if (relative_.empty() || relative_.front() == "..") return path_.back();
  return fmt::format("{}", fmt::join(relative_, "/"));
}

}  // namespace ingot::imaging
