#include "agent/controller/site.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/controller/requests.hpp"
#include "agent/controller/tokens.hpp"
#include "agent/osimage/directory_catalog.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

// Enough to never be the same for two requests by chance, and short in a URL.
constexpr std::size_t kTagSize = 32;

// Whether a machine is without a request because the catalog's server could not be asked.
bool lacks_the_catalog(const Site& site) {
  return std::ranges::any_of(site.plans, [](const auto& plan) {
    return !plan.second.request && plan.second.request.error().cls() == ErrorClass::controller;
  });
}

}  // namespace

const Machine* Site::find(const std::string& name) const {
  const auto found = std::ranges::lower_bound(manifests.machines, name, {}, &Machine::name);
  return found != manifests.machines.end() && found->name == name ? &*found : nullptr;
}

Result<std::shared_ptr<const Site>> load_site(const SiteOptions& options) {
  auto site = std::make_shared<Site>();
  std::set<std::string> warned;
  const OnWarning on_warning = [&](const std::string& text) {
    if (warned.insert(text).second) site->warnings.push_back(text);
  };
  INGOT_TRY_ASSIGN(const auto catalog, options.catalog->open(on_warning));
  INGOT_TRY_ASSIGN(site->images, catalog->list_images());
  INGOT_TRY_ASSIGN(site->manifests, load_machines(options.machines, on_warning));
  RequestMaker maker(site->manifests, *catalog, on_warning);
  for (const Machine& machine : site->manifests.machines) {
    Plan plan{maker.make(machine), {}};
    if (plan.request) plan.tag = sha256_hex(to_json(*plan.request)).substr(0, kTagSize);
    site->plans.emplace(machine.name, std::move(plan));
  }
  return std::shared_ptr<const Site>(std::move(site));
}

class LiveSite::Watch {
 public:
  explicit Watch(const SiteOptions& options)
      : catalog_(options.catalog), machines_(watch_directory(options.machines)) {}
  bool changed() {
    // Both are asked: each answers for the time since it was asked last.
    const bool catalog = catalog_->changed();
    return machines_->changed() || catalog;
  }
  bool being_written() { return catalog_->being_written() || machines_->being_written(); }

 private:
  const std::shared_ptr<LiveCatalog> catalog_;
  const std::unique_ptr<DirectoryWatch> machines_;
};

LiveSite::LiveSite(SiteOptions options, OnChange on_change)
    : options_(std::move(options)),
      on_change_(std::move(on_change)),
      watch_(std::make_unique<Watch>(options_)) {}

LiveSite::~LiveSite() = default;

Result<std::unique_ptr<LiveSite>> LiveSite::open(SiteOptions options, OnChange on_change) {
  std::unique_ptr<LiveSite> live(new LiveSite(std::move(options), std::move(on_change)));
  INGOT_TRY(live->reload());
  live->thread_ =
      std::jthread([site = live.get()](const std::stop_token& stop) { site->run(stop); });
  return live;
}

LiveSite::View LiveSite::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

Result<void> LiveSite::reload() {
  INGOT_TRY_ASSIGN(auto site, load_site(options_));
  INGOT_TRY(on_change_(*site));
  std::vector<std::string> known;
  if (const auto before = view().site) known = before->warnings;
  for (const std::string& warning : site->warnings)
    if (std::ranges::count(known, warning) == 0) say("warning: " + warning);
  const std::lock_guard lock(mutex_);
  view_.site = std::move(site);
  view_.problem.clear();
  ++view_.version;
  return {};
}

void LiveSite::run(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  bool pending = false;  // what is there differs from what was looked at
  bool lacking = false;  // a machine is without a request for want of the catalog's server
  std::string wrong;     // why what there is now is not taken
  Clock::time_point since, tried;
  while (pause(stop, options_.look_every)) {
    const auto now = Clock::now();
    const bool changed = watch_->changed();
    if (changed && !pending) since = now;
    pending = pending || changed;
    // What could not be read may be readable later without any change to it: no descriptor was
    // left, its owner was another one, its disk or a server was away.
    const bool again = (lacking || !wrong.empty()) && now - tried >= options_.retry_every;
    // Half of what somebody writes may be good manifests, of fewer machines or other ones.
    const bool half = pending && watch_->being_written() && now - since < options_.longest_write;
    if ((pending || again) && !half) {
      const bool news = std::exchange(pending, false);
      tried = now;
      const auto reloaded = reload();
      lacking = reloaded && lacks_the_catalog(*view().site);
      const std::string before = std::exchange(wrong, reloaded ? "" : reloaded.error().message());
      if (reloaded && (news || !before.empty()))
        say("the manifests changed and are taken");
      else if (!reloaded && wrong != before)
        say("the manifests changed and are not taken: " + wrong);
    }
    const std::string problem = wrong.empty() ? options_.catalog->problem() : wrong;
    const std::lock_guard lock(mutex_);
    if (view_.problem == problem) continue;
    view_.problem = problem;
    ++view_.version;
  }
}

}  // namespace ingot::agent
