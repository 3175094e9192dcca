/// The image's bytes from http, https or file URLs (libcurl), over every fault a network has.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/core/progress.hpp"
#include "imaging/byte_stream.hpp"
#include "imaging/config_drive/secret_bytes.hpp"
#include "imaging/digest.hpp"

namespace ingot::imaging {

class HttpLogin;

/// How to talk to servers. Holds secrets: never log one.
struct TransferOptions {
  std::string ca_file;         ///< PEM bundle; empty: the system's
  bool tls_insecure = false;   ///< do not verify the server
  std::string proxy;           ///< empty: http_proxy, https_proxy, all_proxy of the environment
  std::string no_proxy;        ///< empty: no_proxy of the environment
  std::string user, password;  ///< basic authorization; a URL's own userinfo comes first
  std::string authorization;   ///< a whole Authorization header value, instead of the above
  /// Answers servers that ask for credentials in a way of their own; before all of the above.
  std::shared_ptr<HttpLogin> login;
  std::string accept;      ///< media types to ask for; empty: any
  std::string platform;    ///< OS/ARCH, of a registry's index; empty: this machine's
  bool allow_file = true;  ///< file:// URLs (never when a controller names the URL)
  /// A checksum decides about the object: one that is sent with a Content-Encoding which nobody
  /// asked for is taken as it is served.
  bool take_encoded = false;
  /// That checksum cannot have been changed on the way: a redirect from https to http is followed,
  /// unless any credentials are in use.
  bool leave_https = false;
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds stall_timeout{
      30'000};  ///< no byte for this long; waiting on us excluded
  std::chrono::milliseconds retry_deadline{300'000};  ///< since the last new byte, over all retries
  std::chrono::milliseconds backoff_first{500};       ///< doubles with jitter up to backoff_max
  std::chrono::milliseconds backoff_max{15'000};
  /// For a name that does not exist, of a server that brought nothing yet; it may come with DHCP.
  std::chrono::milliseconds unknown_name_patience{10'000};
};

/// The digest of the first `n` bytes that the source has delivered, waiting until they have been
/// hashed. Asked when a transfer has to start over, to prove that it is the same object.
using PrefixDigest = std::function<Result<Digest>(std::uint64_t n)>;

/// Opens `urls` (mirrors of one object, in order of preference) as one stream.
///
/// Returns once the first answer's header has come, so that an unreachable or missing image is an
/// error before anything else happens. A dropped transfer is resumed with Range/If-Range where a
/// strong validator and ranges allow it; otherwise it starts over and the bytes already delivered
/// must have `prefix`'s digest before one new byte is passed on. Mirrors fail over the same way.
/// A body that is shorter or longer than announced, or encoded (Content-Encoding) unasked, is an
/// error. Redirects: http and https only, at most 10, not from https to http. `options` may allow
/// the last of each; `listener` is told when that was needed.
///
/// Threads  one for the transfer, owned by the stream and joined by its destructor.
/// Memory   `ring_blocks` blocks of kStreamBlock.
/// `counters` and `listener` outlive the stream. `prefix` is called on the transfer thread.
Result<std::unique_ptr<ByteStream>> open_source(const std::vector<std::string>& urls,
                                                const TransferOptions& options,
                                                std::size_t ring_blocks, PrefixDigest prefix,
                                                ProgressCounters& counters, JobListener& listener,
                                                std::stop_token stop);

/// Fetches a small text (a checksum file, a manifest) with the same rules, `limit` bytes at most.
/// No checksum is known of it, so `take_encoded` and `leave_https` do not count. `listener` is told
/// about retries.
Result<std::string> fetch_text(const std::string& url, const TransferOptions& options,
                               std::size_t limit, std::stop_token stop,
                               JobListener* listener = nullptr);

/// The same for bytes that are secret: a config drive.
Result<SecretBytes> fetch_secret(const std::string& url, const TransferOptions& options,
                                 std::size_t limit, std::stop_token stop);

/// Whether `url` is a good URL whose scheme is https, in any case.
bool is_https(std::string_view url);

}  // namespace ingot::imaging
