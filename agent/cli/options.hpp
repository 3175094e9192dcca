/// What a command line asks for, parsed and checked for form.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/job/network.hpp"
#include "agent/job/request.hpp"

namespace ingot::agent {

enum class ProgressMode { automatic, bar, json, none };

/// Whom to tell how a job is going.
struct ReportingOptions {
  ProgressMode progress = ProgressMode::automatic;
  std::string report_url, report_token_file;
};

/// `ingot write`. The request's `transfer` is made of `network` when the command runs.
struct WriteOptions {
  std::string os_image;  ///< manifest that names the image, or "" (then the request does)
  WriteRequest request;
  ReportingOptions reporting;
  NetworkOptions network;
};

/// `ingot verify`; as above.
struct VerifyOptions {
  std::string os_image;
  VerifyRequest request;
  ReportingOptions reporting;
  NetworkOptions network;
};

/// `ingot erase`.
struct EraseCommandOptions {
  EraseRequest request;
  ReportingOptions reporting;
  NetworkOptions network;  ///< to whom it is reported
};

/// `ingot image-info`.
struct ImageInfoOptions {
  std::string image;  ///< a path or a URL
  bool json = false;
  NetworkOptions network;
};

/// `ingot devices`.
struct DevicesOptions {
  std::vector<std::string> devices;              ///< these alone; empty: every disk
  std::optional<std::string> root_device_hints;  ///< JSON
  bool json = false;
};

/// `--help` and `--version`: text for standard output.
struct ShowText {
  std::string text;
};

using Command = std::variant<ShowText, WriteOptions, VerifyOptions, EraseCommandOptions,
                             ImageInfoOptions, DevicesOptions>;

}  // namespace ingot::agent
