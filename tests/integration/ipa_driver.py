"""Does what ironic-python-agent's deploy extension does with a write_image step: asks the hardware managers.

Reads one JSON object from standard input (`image_info`, `configdrive`, `conf`: options to set) and writes one to standard
output (`result` or `error`, what get_partition_uuids would say, the managers). IPA's log goes to standard error. IPA's own
writer is replaced by one that says that it was called.
"""
import inspect
import json
import sys

from oslo_config import cfg
from oslo_log import log

from ironic_python_agent import config  # noqa: F401, for its options
from ironic_python_agent import errors
from ironic_python_agent import hardware
from ironic_python_agent.extensions import base


def main():
    wanted = json.load(sys.stdin)
    log.register_options(cfg.CONF)
    cfg.CONF([], project="ipa", default_config_files=[])
    cfg.CONF.set_override("use_stderr", True)
    log.setup(cfg.CONF, "ipa")
    for name, value in wanted.get("conf", {}).items():
        cfg.CONF.set_override(name, value)
    base.init_ext_manager(None)
    generic = hardware.GenericHardwareManager
    signature = str(inspect.signature(generic.write_image))
    generic.initialize = lambda self: None  # looks for disks and loads modules
    generic.evaluate_hardware_support = lambda self: hardware.HardwareSupport.GENERIC
    generic.write_image = lambda self, *args, **kwargs: "written by IPA"
    found = hardware.get_managers_detail()
    answer = {"result": None, "error": None,
              "managers": {manager["name"]: manager["support"] for manager in found},
              "steps": {manager["name"]: manager["manager"].get_deploy_steps({}, []) for manager in found
                        if manager["name"] == "IngotHardwareManager"},
              "signatures": [signature] + [str(inspect.signature(type(manager["manager"]).write_image)) for manager in found
                                           if manager["name"] == "IngotHardwareManager"],
              "versions": hardware.get_current_versions()}
    standby = base.get_extension("standby")
    standby.cached_image_id = "something older"
    if "image_info" in wanted:
        try:
            answer["result"] = hardware.dispatch_to_managers("write_image", {"uuid": "node"}, [], **wanted["step"],
                                                             image_info=wanted["image_info"])
        except errors.RESTError as e:
            answer["error"] = {"type": e.type, "code": e.code, "message": e.message, "details": e.details}
    answer["partition_uuids"] = standby.partition_uuids
    answer["cached_image_id"] = standby.cached_image_id
    print(json.dumps(answer))


main()
