/// From what the conductor orders to be written (image_info, or OSImage properties) to the request
/// of a job.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "agent/ironic/agent_error.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/parameters.hpp"
#include "agent/job/request.hpp"

namespace boost::json {
class object;
}  // namespace boost::json

namespace ingot::agent {

/// What decides about an order besides the order itself.
struct OrderContext {
  const AgentOptions& options;
  const ImagePolicy& policy;
  const boost::json::object& node;  ///< the node's record: root device hints
};

/// The request that an `image_info` (ironic-python-agent's extensions/standby.py) stands for.
/// `config_drive`: base64 text or a URL; "": the one in `image_info`, if any. Secrets go into the
/// request's transfer options and config drive, and into no error.
/// Errors: InvalidCommandParamsError for what the protocol forbids, InvalidImage for partition
/// images and for formats that ingot does not know, DeviceNotFound for malformed hints.
tl::expected<WriteRequest, AgentError> write_request(const boost::json::object& image_info,
                                                     const std::string& config_drive,
                                                     const OrderContext& context);

/// The same of an OSImage's properties (`metal3.vcluster.com/image-url`, …).
tl::expected<WriteRequest, AgentError> write_request_of_properties(
    const boost::json::object& properties, const std::string& config_drive,
    const OrderContext& context);

/// What is wrong with an `image_info` before anything is begun: no `id`, no URL, no usable
/// checksum.
std::optional<AgentError> check_image_info(const boost::json::object& image_info,
                                           const ImagePolicy& policy);

/// The root device hints of a node's record as JSON: `instance_info.root_device`, else
/// `properties.root_device`; "" without any.
[[nodiscard]] std::string root_device_hints_of(const boost::json::object& node);

/// The disks that a node's record says to leave alone (`properties.skip_block_devices`, a list of
/// hints): none is erased, and none is chosen for an image. Entries with `volume_name` are about
/// software RAID, and left out. Errors: usage.hints, since a disk that is to stay could not be
/// told.
Result<std::vector<disk::RootDeviceHints>> skipped_disks_of(const boost::json::object& node);

}  // namespace ingot::agent
