"""ironic-python-agent's errors of image writing: the arguments they take, and what a conductor gets to see of them."""


class RESTError(Exception):
    message = "An error occurred"
    details = "An unexpected error occurred. Please try back later."
    status_code = 500

    def __init__(self, details=None):
        super().__init__()
        self.type = type(self).__name__
        self.code = self.status_code
        if details:
            self.details = details

    def __str__(self):
        return f"{self.message}: {self.details}"


class InvalidCommandParamsError(RESTError):
    message = "Invalid command parameters"
    status_code = 400


class IncompatibleHardwareMethodError(RESTError):
    message = "HardwareManager method is not compatible with hardware"


class HardwareManagerMethodNotFound(RESTError):
    message = "No HardwareManager found to handle method"


class DeploymentError(RESTError):
    message = "Deploy step failed"


class InvalidImage(DeploymentError):
    message = "The provided image is not valid for use"


class ImageDownloadError(RESTError):
    message = "Error downloading image"

    def __init__(self, image_id, msg):
        self.secondary_message = msg
        super().__init__(f"Download of image {image_id} failed: {msg}")


class ImageDownloadTimeoutError(RESTError):
    message = "Image download timeout"
    status_code = 408

    def __init__(self, image_id, msg):
        self.secondary_message = msg
        super().__init__(f"Download of image {image_id} failed: {msg}")


class ImageChecksumError(RESTError):
    message = "Error verifying image checksum"

    def __init__(self, image_id, image_location, checksum, calculated_checksum):
        super().__init__(f"Image {image_id} at {image_location} has {calculated_checksum}, not {checksum}")


class ImageWriteError(RESTError):
    message = "Error writing image to device"

    def __init__(self, device, exit_code, stdout, stderr):
        super().__init__(f"Writing image to device {device} failed with exit code {exit_code}. "
                         f"stdout: {stdout}. stderr: {stderr}")
