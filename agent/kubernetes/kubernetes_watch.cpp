#include "agent/kubernetes/kubernetes_watch.hpp"

#include <algorithm>
#include <utility>

#include "agent/kubernetes/decoding.hpp"
#include "agent/process/waiting.hpp"
#include "disk/core/jitter.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

}  // namespace

Result<std::unique_ptr<KubernetesWatch>> KubernetesWatch::start(const KubernetesOptions& options,
                                                                OnWarning on_warning) {
  return start(options, std::move(on_warning), Delays());
}

Result<std::unique_ptr<KubernetesWatch>> KubernetesWatch::start(const KubernetesOptions& options,
                                                                OnWarning on_warning,
                                                                Delays delays) {
  INGOT_TRY_ASSIGN(ApiServer server, choose_api_server(options));
  INGOT_TRY_ASSIGN(auto client, ApiClient::make(std::move(server)));
  return std::unique_ptr<KubernetesWatch>(
      new KubernetesWatch(std::move(client), std::move(on_warning), delays));
}

KubernetesWatch::KubernetesWatch(std::unique_ptr<ApiClient> client, OnWarning on_warning,
                                 Delays delays)
    : client_(std::move(client)),
      on_warning_(on_warning ? std::move(on_warning) : [](const std::string&) {}),
      delays_(delays),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

std::vector<OsImage> KubernetesWatch::images() const {
  const std::lock_guard lock(mutex_);
  std::vector<OsImage> images;
  for (const auto& [name, object] : objects_)
    if (object.image) images.push_back(*object.image);
  return images;
}

std::optional<Error> KubernetesWatch::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void KubernetesWatch::set_problem(std::optional<Error> problem) {
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
}

void KubernetesWatch::report(const Error& error) {
  set_problem(error);
  const std::string words = error.message();
  if (words != reported_) on_warning_(words);
  reported_ = words;
}

void KubernetesWatch::run(const std::stop_token& stop) {
  milliseconds delay = delays_.first;
  for (;;) {
    const auto begun = Clock::now();
    const auto version = list(stop);
    auto done = version ? follow(*version, stop) : tl::unexpected(version.error());
    if (stop.stop_requested()) return;
    if (!done) report(done.error());
    // What held for a while was a success: the next failure is a new one.
    if (version && Clock::now() - begun > delays_.longest) delay = delays_.first;
    if (!pause(stop, jittered(delay))) return;
    delay = std::min(delay * 2, delays_.longest);
  }
}

KubernetesWatch::Known KubernetesWatch::known(const ApiObject& object) const {
  auto image = decode_os_image(object, client_->server().url, on_warning_);
  if (image) return {object.version, std::move(*image)};
  on_warning_("left out: " + image.error().message());
  return {object.version, std::nullopt};
}

// The version from which to watch.
Result<std::string> KubernetesWatch::list(const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(ApiList all, client_->list(std::string(kOsImageResource), stop));
  std::map<std::string, Known> now;
  for (const ApiObject& object : all.objects) {
    // Only this thread writes, so it may read without the lock.
    const auto before = objects_.find(object.name);
    const bool same = before != objects_.end() && !object.version.empty() &&
                      before->second.version == object.version;
    now.insert_or_assign(object.name, same ? before->second : known(object));
  }
  const bool differs = !std::ranges::equal(now, objects_, [](const auto& a, const auto& b) {
    return a.first == b.first && !a.second.version.empty() && a.second.version == b.second.version;
  });
  {
    const std::lock_guard lock(mutex_);
    objects_ = std::move(now);
    problem_.reset();
  }
  reported_.clear();
  if (differs || !listed_) changed_ = true;
  listed_ = true;
  return std::move(all.version);
}

// Watches until the server has forgotten `version`, or something fails.
Result<void> KubernetesWatch::follow(std::string version, const std::stop_token& stop) {
  constexpr auto kShort = std::chrono::seconds(1);
  milliseconds delay = delays_.first;
  while (!stop.stop_requested()) {
    const auto begun = Clock::now();
    const std::string before = version;
    bool expired = false;
    INGOT_TRY(client_->watch(
        std::string(kOsImageResource), version,
        [&](ApiEvent event) { return take(std::move(event), version); }, expired, stop));
    if (expired) return {};
    if (overfull_)
      return fail(Errc::controller_refused, "watching osimages: more than can be kept");
    // The server ends every watch now and then. One that ends each at once must not be asked in a
    // hot loop.
    if (version != before || Clock::now() - begun > kShort) {
      delay = delays_.first;
      continue;
    }
    if (!pause(stop, jittered(delay))) break;
    delay = std::min(delay * 2, delays_.longest);
  }
  return {};
}

bool KubernetesWatch::take(ApiEvent event, std::string& version) {
  if (!event.object.version.empty()) version = event.object.version;
  if (event.type == ApiEvent::Type::bookmark || event.object.name.empty()) return true;
  constexpr std::size_t kMaxObjects = 10'000;
  if (event.type == ApiEvent::Type::deleted) {
    const std::lock_guard lock(mutex_);
    if (objects_.erase(event.object.name) > 0) changed_ = true;
    return true;
  }
  Known now = known(event.object);
  const std::lock_guard lock(mutex_);
  overfull_ = objects_.size() >= kMaxObjects && !objects_.contains(event.object.name);
  if (overfull_) return false;
  objects_.insert_or_assign(event.object.name, std::move(now));
  changed_ = true;
  return true;
}

}  // namespace ingot::agent
