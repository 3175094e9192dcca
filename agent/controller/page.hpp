/// The page's files, which the build puts into the program (page/embed.cmake).
#pragma once

#include <string_view>
#include <vector>

namespace ingot::agent {

struct PageFile {
  std::string_view path;  ///< of its URL: "/app.js"; "/" is index.html
  std::string_view content_type;
  std::string_view content;
};

/// All of them. Defined in a file that the build makes.
const std::vector<PageFile>& page_files();

}  // namespace ingot::agent
