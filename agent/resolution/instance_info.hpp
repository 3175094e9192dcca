/// Ironic: a deploy request as what its API takes for a node.
#pragma once

#include "agent/resolution/deploy_request.hpp"
#include "agent/text/yaml_document.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// A map of:
///   - instance_info: image_source and what goes with it, for PATCH /v1/nodes/NODE;
///   - properties: root_device, where hints choose the disk, for the same PATCH;
///   - configdrive: {meta_data, network_data, user_data}, as PUT /v1/nodes/NODE/states/provision
///     takes it (microversion 1.56), where there is anything for it.
///
/// A device becomes the hint of its name. Errors: usage.manifest: network data that is no map.
/// Source: Ironic's API reference and its "deploy" documentation (instance_info fields).
Result<YamlNode> instance_info(const DeployRequest& request);

}  // namespace ingot::agent
