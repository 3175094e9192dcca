"""Hardware managers: found by entry point, asked in the order of their support until one takes the call."""
import abc
from importlib import metadata

from ironic_python_agent import errors

GROUP = "ironic_python_agent.hardware_managers"
_managers = []


class HardwareSupport:
    NONE = 0
    GENERIC = 1
    MAINLINE = 2
    SERVICE_PROVIDER = 3


class HardwareManager(abc.ABC):
    @abc.abstractmethod
    def evaluate_hardware_support(self):
        """How well this manager fits the machine; 0: not at all."""

    def initialize(self):
        """Called once all managers are known."""

    def get_deploy_steps(self, node, ports):
        return []

    def get_version(self):
        return {"name": getattr(self, "HARDWARE_MANAGER_NAME", type(self).__name__),
                "version": getattr(self, "HARDWARE_MANAGER_VERSION", "1.0")}


class GenericHardwareManager(HardwareManager):
    """The last in the row. It has IPA's own writer, which there is none of here: ipa_driver.py replaces it."""

    HARDWARE_MANAGER_NAME = "generic_hardware_manager"
    HARDWARE_MANAGER_VERSION = "1.2"

    def evaluate_hardware_support(self):
        return HardwareSupport.GENERIC

    def get_deploy_steps(self, node, ports):
        return [{"step": "write_image", "priority": 0, "interface": "deploy", "reboot_requested": False}]

    def write_image(self, node, ports, image_info, configdrive=None):
        raise errors.IncompatibleHardwareMethodError()


def get_managers_detail():
    if not _managers:
        for entry in metadata.entry_points(group=GROUP):
            manager = entry.load()()
            support = manager.evaluate_hardware_support()
            if support > 0:
                _managers.append({"name": type(manager).__name__, "manager": manager, "support": support})
        _managers.sort(key=lambda found: -found["support"])
    return _managers


def dispatch_to_managers(method, *args, **kwargs):
    for found in get_managers_detail():
        call = getattr(found["manager"], method, None)
        try:
            if call is not None:
                return call(*args, **kwargs)
        except errors.IncompatibleHardwareMethodError:
            pass
    raise errors.HardwareManagerMethodNotFound(method)


def get_current_versions():
    versions = [found["manager"].get_version() for found in get_managers_detail()]
    return {version["name"]: version["version"] for version in versions}
