#include "agent/provision/provision.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "agent/http/url_reference.hpp"
#include "agent/job/next_kernel.hpp"
#include "agent/machine/host_identity.hpp"
#include "agent/machine/kexec.hpp"
#include "agent/process/secrets.hpp"
#include "agent/process/waiting.hpp"
#include "agent/provision/deployment.hpp"
#include "agent/provision/request_source.hpp"
#include "agent/provision/write_order.hpp"
#include "agent/report/http_report.hpp"
#include "agent/report/result_spool.hpp"
#include "agent/report/result_text.hpp"
#include "agent/text/quantity.hpp"
#include "agent/text/text.hpp"
#include "disk/core/jitter.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{1'000}, kMostPause{60'000};
constexpr milliseconds kDefaultLimit{300'000}, kDefaultRecheck{60'000};
// For results of earlier runs, before anything else is done: they are kept if that is too short.
constexpr milliseconds kEarlierPatience{5'000};
// The same order that failed is done again less and less often: each time costs a download.
constexpr int kMostRecheckFactor = 16;

// Whether asking or fetching again may help although nobody changes anything.
bool may_pass(const Error& error) {
  return error.cls() == ErrorClass::source || error.code() == Errc::controller_unreachable;
}

// What an attempt came to.
struct Attempt {
  std::optional<Error> error{};        // nothing: there is nothing left to do
  bool passing = false;                // it may pass by itself
  std::optional<milliseconds> wait{};  // the server's wish
};

class Provisioner {
 public:
  Provisioner(const ProvisionOptions& options, ProvisionStop& stop)
      : options_(options),
        stop_(stop),
        spool_(options.run_dir),
        power_(make_power(options.power, options.allow_power || options.ram_disk, [] {})) {}

  Result<void> run() {
    if (auto ready = prepare(); !ready) return give_up(ready.error());
    const auto begin = Clock::now();
    const auto policy =
        options_.retry.value_or(options_.ram_disk ? RetryPolicy{} : RetryPolicy{kDefaultLimit});
    const auto in_time = [&] { return !policy.limit || Clock::now() - begin < *policy.limit; };
    milliseconds pause_time = kFirstPause;
    for (;;) {
      deliver_earlier(kEarlierPatience);
      status(options_.from.empty()
                 ? "Reading the request"
                 : "Asking " + redacted(options_.from) + " what this machine is to become");
      const Attempt attempt = this->attempt();
      if (!attempt.error) return {};
      const Error& error = *attempt.error;
      if (stop_.token().stop_requested()) return give_up(cancelled());
      if (options_.dry_run || (!attempt.passing && policy.limit) || !in_time())
        return give_up(error);
      milliseconds wait = recheck_;
      if (attempt.passing) {
        wait = std::max(jittered(pause_time), attempt.wait.value_or(milliseconds(0)));
        pause_time = std::min(pause_time * 2, kMostPause);
      } else {
        pause_time = kFirstPause;
      }
      say_waiting(error, wait, attempt.passing);
      status(fmt::format("Trying again in {}: {}", format_duration(wait), error.message()));
      if (!pause(stop_.token(), wait)) return give_up(cancelled());
    }
  }

 private:
  // What can only be wrong in a way that no waiting helps.
  Result<void> prepare() {
    INGOT_TRY(check(options_));
    token_ = options_.token;
    if (!options_.token_file.empty()) {
      INGOT_TRY_ASSIGN(token_, read_secret(options_.token_file, "--token-file"));
    }
    report_token_ = options_.report_token;
    if (!options_.report_token_file.empty()) {
      INGOT_TRY_ASSIGN(report_token_,
                       read_secret(options_.report_token_file, "--report-token-file"));
    }
    INGOT_TRY_ASSIGN(const auto transfer, transfer_options(options_.network));
    static_cast<void>(transfer);
    if (options_.order && !options_.report_url.empty()) {
      auto whole = resolve_reference(options_.report_url, options_.report_url);
      if (!whole)
        return fail(Errc::usage_option,
                    fmt::format("the report URL: '{}' is no http or https URL",
                                redacted(options_.report_url)),
                    "give a whole URL (--report-url, ingot.report-url=): without ingot.from= there "
                    "is no server that a path could be on");
      report_url_ = *std::move(whole);
    }
    return {};
  }

  // Each time anew: what drivers find late, such as NICs, is part of who this machine is.
  Result<void> find_source() {
    HostIdentity identity = read_host_identity(options_.sysfs, options_.kernel_command_line);
    if (!options_.macs.empty()) identity.macs = options_.macs;
    identity_ = identity.describe();
    INGOT_TRY_ASSIGN(std::string url, fill_in(options_.from, identity));
    if (source_ && source_->url() == url) return {};
    HttpClientOptions http;
    http.ca_file = options_.network.ca_file;
    http.tls_insecure = options_.network.tls_insecure;
    http.proxy = options_.network.proxy;
    http.no_proxy = options_.network.no_proxy;
    auto source = std::make_unique<RequestSource>(std::move(url), token_, http);
    if (!options_.report_url.empty()) {
      INGOT_TRY_ASSIGN(report_url_, source->resolve(options_.report_url));
    }
    source_ = std::move(source);  // only now: what is wrong must be so the next time as well
    return {};
  }

  Attempt attempt() {
    if (options_.order) return attempt(*options_.order);
    if (auto found = find_source(); !found) {
      tell(found.error(), to(report_url_, ""));
      return {found.error()};
    }
    auto answer = source_->ask(stop_.token());
    if (!answer) {
      const bool passing = may_pass(answer.error());
      if (!passing) tell(answer.error(), to(report_url_, ""));
      return {answer.error(), passing, source_->retry_after()};
    }
    switch (answer->kind) {
      case SourceAnswer::Kind::request:
        return attempt(answer->request);
      case SourceAnswer::Kind::nothing_to_do:
        return nothing_to_do();
      case SourceAnswer::Kind::not_known:
        break;
    }
    return {Error(Errc::controller_refused,
                  fmt::format("asking {}: the server has nothing for this machine ({})",
                              redacted(source_->url()), identity_),
                  "add this machine to what the server knows"),
            true, source_->retry_after()};
  }

  // A success that the server knows of, but that was not acted on, is one all the same.
  Attempt nothing_to_do() {
    if (!options_.dry_run)
      for (const auto& kept : spool_.kept())
        if (kept.succeeded)
          return finish_kept(kept,
                             options_.on_success.value_or(
                                 parse_on_success(kept.on_success).value_or(OnSuccess::none)));
    say("nothing is to be done for this machine");
    status("Nothing is to be done for this machine");
    return {};
  }

  Attempt attempt(const DeployRequest& request) {
    const std::string id = fingerprint(request, options_);
    const OnSuccess then = options_.on_success.value_or(
        request.on_success.value_or(options_.ram_disk ? OnSuccess::reboot : OnSuccess::none));
    if (!options_.dry_run) {
      for (const auto& kept : spool_.kept()) {
        if (!kept.succeeded) continue;
        if (kept.request == id) return finish_kept(kept, then);
        supersede(kept);  // another request is to be done now
      }
    }
    // The order is the same that failed for good: perhaps the image is another one by now.
    if (id == failed_ && Clock::now() < not_before_) return {failure_, false};

    ReportTarget report = report_url_.empty() ? to(request.report_url, request.report_token)
                                              : to(report_url_, report_token_);
    report.request = id;
    report.on_success = then;
    Deployment deployment(options_, stop_, spool_, std::move(report));
    const auto order = order_of(request, then);
    if (!order) {
      tell(order.error(), deployment);
      return failed(id, order.error());
    }
    const bool acts = options_.power == PowerMode::real && then != OnSuccess::none;
    const JobResult result = deployment.run(*order, acts && is_disk(order->target.device));
    told_ = result.error ? result.error->message() : std::string();
    if (result.error) return failed(id, *result.error);
    if (options_.dry_run) return {};
    return act(then, deployment.id(), result.device);
  }

  Result<WriteRequest> order_of(const DeployRequest& request, OnSuccess then) const {
    // Said before the disk is overwritten, and not when it is too late.
    if (options_.power == PowerMode::real && then != OnSuccess::none && !options_.ram_disk &&
        !options_.allow_power && !options_.dry_run)
      return fail(
          Errc::usage_option,
          fmt::format("on success: {}: this is no RAM disk, so far as is known, and may not "
                      "be switched off",
                      name(then)),
          "give --on-success none, or --allow-power (ingot.allow-power=1)");
    const bool local = !source_ || source_->is_file();
    auto order = write_request(request, options_, local);
    if (order && !request.dns_servers.empty() && request.network_data.empty())
      say("the request's dnsServers are for network data, and it has none: they are not used");
    return order;
  }

  static bool is_disk(const std::string& device) {
    struct stat status {};
    // Hints choose disks only.
    return device.empty() || (::stat(device.c_str(), &status) == 0 && S_ISBLK(status.st_mode));
  }

  Attempt failed(const std::string& id, const Error& error) {
    const bool passing = may_pass(error);
    if (!passing) {
      repeated_ = id == failed_ ? std::min(repeated_ * 2, kMostRecheckFactor) : 1;
      failed_ = id;
      failure_ = error;
      not_before_ = Clock::now() + recheck_ * repeated_;
    }
    return {error, passing};
  }

  // The disk was written by a process that ended before the machine acted.
  Attempt finish_kept(const KeptResult& kept, OnSuccess then) {
    say(fmt::format("{} was written already, by an earlier run of this request", kept.device));
    deliver(kept, options_.report_patience);
    return act(then, kept.deploy_id, kept.device);
  }

  // The new system's kernel is loaded; nothing: the machine has to be rebooted instead.
  bool load_next_kernel(const std::string& device) {
    const auto ready = [&]() -> Result<void> {
      INGOT_TRY_ASSIGN(const auto kernel, find_next_kernel(device, options_.sysfs, stop_.token()));
      say("on success: kexec: " + describe(kernel));
      if (options_.power != PowerMode::real) return {};
      return load_kernel(kernel.kernel.get(), kernel.initrd ? kernel.initrd.get() : -1,
                         kernel.command_line);
    }();
    if (!ready)
      say(fmt::format("on success: kexec: the new system is rebooted into instead: {}",
                      printable(ready.error().message())));
    return ready.has_value();
  }

  Result<void> end_this_system(OnSuccess then) {
    if (then == OnSuccess::poweroff) return power_->off();
    if (then == OnSuccess::kexec) {
      auto done = power_->kexec();
      if (done) return done;
      say(done.error());
    }
    return power_->reboot();
  }

  Attempt act(OnSuccess then, const std::string& deployment, const std::string& device) {
    if (then == OnSuccess::kexec && !stop_.token().stop_requested() && !load_next_kernel(device))
      then = OnSuccess::reboot;
    if (stop_.token().stop_requested()) {
      if (then == OnSuccess::kexec && options_.power == PowerMode::real) unload_kernel();
      say("the image is on the disk; the machine is left as it is");
      told_ = cancelled().message();
      return {cancelled()};
    }
    // Forgotten before that: where the directory outlives the machine, it would be taken for the
    // end of the next request. A process that only ends may still be killed before it does.
    const bool real = options_.power == PowerMode::real && then != OnSuccess::none;
    std::optional<KeptResult> settled;
    if (real) settled = settle(deployment);
    if (then != OnSuccess::none) {
      status(fmt::format("Done; {}", then == OnSuccess::poweroff ? "switching off"
                                     : then == OnSuccess::kexec  ? "starting the new system"
                                                                 : "rebooting"));
      if (auto done = end_this_system(then); !done) {
        if (settled) static_cast<void>(spool_.keep(*settled));
        return {done.error()};
      }
    }
    if (!real)
      for (const auto& kept : spool_.kept())
        if (kept.deploy_id == deployment) supersede(kept);
    return {};
  }

  // A success that no later run is to take for its own. What nobody was told of is still told.
  void supersede(KeptResult kept) const {
    kept.succeeded = false;
    if (kept.cloud_event.empty())
      spool_.forget(kept.deploy_id);
    else if (auto done = spool_.keep(kept); !done)
      say("warning: " + done.error().message());
  }

  // Forgets a success that is acted on, unless the controller has yet to be told of it.
  std::optional<KeptResult> settle(const std::string& deployment) const {
    for (const auto& kept : spool_.kept())
      if (kept.deploy_id == deployment && kept.cloud_event.empty()) {
        spool_.forget(deployment);
        return kept;
      }
    return std::nullopt;
  }

  void deliver_earlier(milliseconds patience) {
    for (const auto& kept : spool_.kept())
      if (!kept.cloud_event.empty() && !deliver(kept, patience)) return;  // the others can wait
  }

  bool deliver(KeptResult kept, milliseconds patience) {
    if (kept.cloud_event.empty()) return true;
    ReportOptions report = report_options(options_, patience, stop_.token());
    report.url = kept.report_url;
    report.token = kept.report_token;
    const auto delivered = deliver_kept(kept.cloud_event, report);
    if (!delivered) {
      say("warning: " + delivered.error().message());
      return false;
    }
    say(*delivered ? "an earlier result was delivered to " + redacted(kept.report_url)
                   : fmt::format("warning: {} refused an earlier result for good",
                                 redacted(kept.report_url)));
    kept.cloud_event.clear();
    if (!kept.succeeded)
      spool_.forget(kept.deploy_id);
    else if (auto done = spool_.keep(kept); !done)
      say("warning: " + done.error().message());
    return true;
  }

  // Whom to tell. The token for the request is the machine's: it is for the server that was asked.
  [[nodiscard]] ReportTarget to(const std::string& url, const std::string& token) const {
    ReportTarget target;
    target.url = url;
    if (url.empty()) return target;
    target.token = !token.empty()                                ? token
                   : !report_token_.empty()                      ? report_token_
                   : source_ && same_origin(source_->url(), url) ? token_
                                                                 : std::string();
    return target;
  }

  // Once, until something else happens.
  void tell(const Error& error, ReportTarget target) {
    Deployment deployment(options_, stop_, spool_, std::move(target));
    tell(error, deployment);
  }
  void tell(const Error& error, Deployment& deployment) {
    if (told_ == error.message()) return;
    told_ = error.message();
    deployment.fail_with(error);
  }

  void say_waiting(const Error& error, milliseconds wait, bool passing) {
    const std::string message = error.message();
    if (message != waited_for_ && (passing || message != told_)) say(error);
    if (message != waited_for_)
      say(fmt::format("trying again in {}{}", format_duration(std::max(wait, milliseconds(1'000))),
                      passing ? ", and so on" : ": only another order, or another image, helps"));
    waited_for_ = message;
  }

  void status(const std::string& what) const {
    if (options_.status) options_.status(what);
  }

  // The end: whoever reads events gets a result in any case.
  Result<void> give_up(const Error& error) {
    tell(error, ReportTarget{});
    return tl::unexpected(error);
  }

  static Error cancelled() {
    return {Errc::cancelled, "cancelled: ingot provision was told to stop"};
  }

  const ProvisionOptions& options_;
  ProvisionStop& stop_;
  const milliseconds recheck_ = options_.recheck.value_or(kDefaultRecheck);
  const ResultSpool spool_;
  const std::unique_ptr<Power> power_;
  std::unique_ptr<RequestSource> source_;  // null: the order is known
  std::string token_, report_token_;       // secrets
  std::string report_url_;                 // of the options, absolute; ""
  std::string identity_;                   // in words

  std::string failed_;  // the request that failed for good
  std::optional<Error> failure_;
  Clock::time_point not_before_;
  int repeated_ = 1;
  std::string told_, waited_for_;  // the last error that was reported, and that was waited for
};

}  // namespace

Result<void> provision(const ProvisionOptions& options, ProvisionStop& stop) {
  return Provisioner(options, stop).run();
}

}  // namespace ingot::agent
