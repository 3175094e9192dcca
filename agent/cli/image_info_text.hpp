/// What `ingot image-info` prints.
#pragma once

#include <string>

#include "agent/job/image_info.hpp"

namespace ingot::agent {

[[nodiscard]] std::string to_text(const ImageInfo& info);
/// Without a line end.
[[nodiscard]] std::string to_json(const ImageInfo& info);

}  // namespace ingot::agent
