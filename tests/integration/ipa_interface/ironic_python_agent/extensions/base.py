"""The standby extension, as far as it remembers what has been written."""
_standby = None


class _Standby:
    def __init__(self):
        self.cached_image_id = None
        self.partition_uuids = None


def init_ext_manager(agent):
    global _standby
    _standby = _Standby()


def get_extension(name):
    assert name == "standby" and _standby is not None
    return _standby
