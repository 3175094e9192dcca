/// What of JSON may be shown: secrets masked.
#pragma once

#include <string>

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace ingot::agent {

/// How an image_info's image may be called in logs and results: its `id` where that stands in the
/// part of its first URL that is no secret, else that part. The conductor takes the id from behind
/// the last '/' of the image's source, which may be in the middle of a signature.
[[nodiscard]] std::string image_name(const boost::json::object& image_info);

/// `value` with every secret in it replaced by "***": config drives, passwords, tokens,
/// authorization, logs, an image's id that may be part of one, the userinfo and query values of
/// URLs, and that of proxies without a scheme.
[[nodiscard]] boost::json::value masked(const boost::json::value& value);

}  // namespace ingot::agent
