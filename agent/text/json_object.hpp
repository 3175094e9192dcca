/// Reading JSON that a stranger wrote: what has another type than expected counts as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace ingot::agent {

/// The object that `text` is, 32 levels deep at most; nothing if it is none. Defined where
/// Boost.JSON is known.
std::optional<boost::json::object> parse_json_object(std::string_view text);

[[nodiscard]] const boost::json::object* object_in(const boost::json::object& object,
                                                   std::string_view name);
/// "" if there is none.
[[nodiscard]] std::string string_in(const boost::json::object& object, std::string_view name);
[[nodiscard]] std::optional<std::int64_t> integer_in(const boost::json::object& object,
                                                     std::string_view name);
/// True, false, or a string that says so.
[[nodiscard]] std::optional<bool> bool_in(const boost::json::object& object, std::string_view name);

}  // namespace ingot::agent
