/// MetricsText: numbers in Prometheus' text format (exposition format 0.0.4), for `/metrics`.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace ingot::agent {

inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

/// Families one after the other, each with its values.
class MetricsText {
 public:
  /// `type`: "gauge" or "counter".
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  /// Of the family that was begun last; `labels`: `code="200",route="page"`.
  template <class Number>
  void value(Number number, std::string_view labels = {}) {
    text_ += labels.empty() ? fmt::format("{} {}\n", name_, number)
                            : fmt::format("{}{{{}}} {}\n", name_, labels, number);
  }
  /// A family of one value.
  template <class Number>
  void single(std::string_view name, std::string_view type, std::string_view help, Number number) {
    family(name, type, help);
    value(number);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

  /// A label's value, with its quotes.
  [[nodiscard]] static std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    return out + '"';
  }

 private:
  std::string name_, text_;
};

}  // namespace ingot::agent
