"""A hardware manager that says which disk the image is for: a loop device, which IPA itself takes for no disk."""
import os

from ironic_python_agent import hardware


class TestDisk(hardware.HardwareManager):
    def evaluate_hardware_support(self):
        return 100

    def initialize(self):
        pass

    def get_os_install_device(self, permit_refresh=False):
        return os.environ["TEST_DISK"]
