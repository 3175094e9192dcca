#include "agent/ironic/deploying.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "agent/ironic/masking.hpp"
#include "agent/job/job.hpp"
#include "agent/report/event.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

// What the conductor takes for "none": a GPT's disk has no identifier in its MBR.
constexpr const char* kNoIdentifier = "0x00000000";

CommandOutcome write(const WriteRequest& request, const std::string& image, const std::string& step,
                     NodeState& state, const std::stop_token& stop) {
  state.set_written({});  // whatever was on the disk is gone as of now
  const auto watch = std::make_shared<JobWatch>(step);
  state.set_job(watch);
  const LogScope scope(random_uuid());
  FirstError first;
  const std::stop_callback stopped(
      stop, [&first] { first.report(Error(Errc::cancelled, "the agent was stopped")); });
  const JobResult result = run_job(request, {watch->counters(), *watch, first});
  state.set_job(nullptr);
  if (result.error) {
    AgentError error = agent_error(*result.error);
    if (error.type == "InvalidCommandParamsError")
      error = failure("DeploymentError", error.details);
    return tl::unexpected(std::move(error));
  }
  NodeState::WrittenDisk written{result.device, kNoIdentifier};
  if (result.finished && result.finished->kind == "dos" && !result.finished->identifier.empty())
    written.root_uuid = result.finished->identifier;
  state.set_written(written);
  const std::string text = fmt::format("image ({}) written to device {} root_uuid={}", image,
                                       written.device, written.root_uuid);
  say(fmt::format("{}: {}", step, text));
  return json::serialize(json::object{{"result", "prepare_image: " + utf8(text)}});
}

CommandOutcome write_image(const json::object& params, const json::object& node,
                           const AgentOptions& options, NodeState& state, const std::string& step,
                           const std::stop_token& stop) {
  const json::object* image_info = object_in(params, "image_info");
  if (image_info == nullptr)
    return tl::unexpected(invalid_parameters(step + " needs image_info, an object"));
  const auto policy = state.policy();
  const auto request =
      write_request(*image_info, string_in(params, "configdrive"), {options, policy, node});
  if (!request) return tl::unexpected(request.error());
  return write(*request, image_name(*image_info), step, state, stop);
}

CommandOutcome write_osimage(const StepCall& call, const AgentOptions& options, NodeState& state) {
  // The map may be the arguments themselves.
  const json::object* properties = object_in(call.args, "properties");
  const auto policy = state.policy();
  const auto request = write_request_of_properties(properties != nullptr ? *properties : call.args,
                                                   string_in(call.args, "configdrive"),
                                                   {options, policy, call.node});
  if (!request) return tl::unexpected(request.error());
  return write(*request, redacted(request->image.urls.front()), "write_osimage", state, call.stop);
}

}  // namespace

std::vector<Step> deploy_steps(const AgentOptions& options, NodeState& node) {
  std::vector<Step> steps;
  steps.push_back(
      {.name = "write_image",
       .deploy = 0,
       .service = 0,
       .arguments =
           R"({"image_info":{"description":"What to write, as Ironic describes an image","required":true},)"
           R"("configdrive":{"description":"Config drive: base64 text or a URL","required":false}})",
       .run = [&options, &node](const StepCall& call) {
         return write_image(call.args, call.node, options, node, "write_image", call.stop);
       }});
  steps.push_back(
      {.name = "write_osimage",
       .deploy = 0,
       .arguments =
           R"({"properties":{"description":"Properties of an OSImage: metal3.vcluster.com/image-url,)"
           R"( image-checksum, image-checksum-type","required":true},)"
           R"("configdrive":{"description":"Config drive: base64 text or a URL","required":false}})",
       .run = [&options, &node](const StepCall& call) {
         return write_osimage(call, options, node);
       }});
  return steps;
}

void add_deploy_commands(CommandTable& table, const AgentOptions& options, NodeState& node) {
  table.add("standby.prepare_image",
            {.kind = Command::Kind::asynchronous,
             .run =
                 [&options, &node](const json::object& params, const std::stop_token& stop) {
                   const auto record = parse_json_object(node.node()).value_or(json::object());
                   return write_image(params, record, options, node, "prepare_image", stop);
                 },
             .check = [&node](const json::object& params) -> std::optional<AgentError> {
               const json::object* image_info = object_in(params, "image_info");
               if (image_info == nullptr)
                 return invalid_parameters("image_info is missing, or no object");
               return check_image_info(*image_info, node.policy());
             }});
  table.add("standby.get_partition_uuids",
            {.run = [&node](const json::object&, const std::stop_token&) -> CommandOutcome {
              const auto written = node.written();
              if (!written || written->device.empty()) return "{}";
              return json::serialize(json::object{{"root uuid", written->root_uuid}});
            }});
}

}  // namespace ingot::agent
