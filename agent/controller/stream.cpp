#include "agent/controller/stream.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "agent/controller/documents.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLookEvery{250};  // a person sees no more
constexpr seconds kHeartbeat{15};        // proxies end connections that are silent for a minute
constexpr std::size_t kMostMachines = 100;

}  // namespace

EventStream::EventStream(const Fleet& fleet, const LiveSite& site, std::string process,
                         std::string_view last_event_id)
    : fleet_(fleet), site_(site), process_(std::move(process)) {
  const auto dash = last_event_id.rfind('-');
  if (dash == std::string_view::npos || last_event_id.substr(0, dash) != process_) return;
  const char* const end = last_event_id.data() + last_event_id.size();
  std::uint64_t change = 0;
  const auto [stop, error] = std::from_chars(last_event_id.data() + dash + 1, end, change);
  if (error == std::errc() && stop == end && change <= fleet_.change()) change_ = change;
}

std::string EventStream::next(Clock::time_point now) {
  if (begun_ && now - looked_ < kLookEvery) return {};
  looked_ = now;
  const LiveSite::View view = site_.view();
  // With other manifests every machine may be to become something else.
  if (begun_ && version_ != view.version) change_ = 0;
  const Fleet::Changes changes = fleet_.changes(change_, kMostMachines);
  std::string text;
  if (!begun_) text += "retry: 2000\n\n";
  if (!begun_ || members_ != changes.members || version_ != view.version) {
    json::array names;
    for (const MachineState& state : fleet_.all()) names.push_back(json::value(state.name));
    json::value problem(nullptr);
    if (!view.problem.empty()) problem = utf8(view.problem);
    text += "event: fleet\ndata: " +
            json::serialize(json::object{{"machines", names}, {"problem", problem}}) + "\n\n";
  }
  if (begun_ && version_ != view.version) text += "event: osimages\ndata: {}\n\n";
  members_ = changes.members;
  version_ = view.version;
  begun_ = true;
  for (const MachineState& state : changes.machines)
    text += fmt::format("event: machine\nid: {}-{}\ndata: {}\n\n", process_, state.change,
                        machine_document(state, *view.site));
  change_ = changes.change;
  if (text.empty() && now - sent_ >= kHeartbeat) text = ": nothing new\n\n";
  if (!text.empty()) sent_ = now;
  return text;
}

}  // namespace ingot::agent
