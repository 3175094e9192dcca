/// Cleaning: the erase steps, over all disks of the node, with `ingot erase`'s own jobs.
#pragma once

#include <vector>

#include "agent/ironic/node_state.hpp"
#include "agent/ironic/parameters.hpp"
#include "agent/ironic/steps.hpp"

namespace ingot::agent {

/// erase_devices_metadata, erase_devices, erase_devices_express, erase_pstore, with the priorities
/// that Ironic's agent has. Both arguments outlive the steps.
///
/// Which    every disk of the machine (or those that AgentOptions::only_disks names), the last by
///          name first; not those that the node's skip_block_devices names, read-only ones, members
///          of md arrays (the array is a disk of its own), nor the media that brought the agent.
/// Guard    a disk with a file system that several machines share (GPFS, VMFS, GFS2) is not touched
///          and fails the step, unless parameters or node say otherwise. One that cannot be looked
///          at is not erased.
/// Errors   BlockDeviceEraseError that names every disk that failed; the others are erased.
///          ProtectedDeviceError of the guard, before anything is touched.
std::vector<Step> cleaning_steps(const AgentOptions& options, NodeState& node);

}  // namespace ingot::agent
