"""The options of ironic-python-agent that concern the writing of images, with its defaults."""
from oslo_config import cfg

cfg.CONF.register_cli_opts([
    cfg.BoolOpt("insecure", default=False),
    cfg.StrOpt("cafile"),
    cfg.StrOpt("certfile"),
    cfg.StrOpt("keyfile"),
    cfg.StrOpt("image_server_user"),
    cfg.StrOpt("image_server_password"),
    cfg.StrOpt("image_server_auth_strategy"),
    cfg.IntOpt("image_download_connection_timeout", default=60),
    cfg.IntOpt("image_download_max_duration", default=0),
    cfg.BoolOpt("md5_enabled", default=True),
    cfg.BoolOpt("config_drive_rebuild", default=False),
    cfg.BoolOpt("disable_deep_image_inspection", default=False),
    cfg.ListOpt("permitted_image_formats", default=["raw", "gpt", "qcow2"]),
])
