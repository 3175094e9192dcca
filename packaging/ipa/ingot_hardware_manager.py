# Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
"""A hardware manager for ironic-python-agent (IPA) that writes whole-disk images with ingot.

IPA dispatches the deploy step `write_image` to the hardware manager with the highest support that takes it. This one does,
runs `ingot write`, logs its progress, and hands its errors back as IPA's own. What ingot does not do as IPA does (partition
images, exotic checksums, ...) it declines, and IPA's generic manager writes as it always has. README.md says what changes.

Python 3.8 and later; IPA from 9.4 (2023.1) on. Nothing secret is put into arguments or logs.
"""
import base64
import binascii
import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import threading
import time

from oslo_config import cfg
from oslo_log import log

from ironic_python_agent import errors
from ironic_python_agent.extensions import base as extension_base
from ironic_python_agent import hardware

CONF = cfg.CONF
LOG = log.getLogger(__name__)

# What ingot verifies, with the number of hexadecimal digits.
DIGITS = {'md5': 32, 'sha256': 64, 'sha512': 128}
FORMATS = ('raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi')
# Classes of errors by exit code, for a run that could not report a result.
CLASSES = {2: 'usage', 3: 'source', 4: 'checksum', 5: 'image', 6: 'device', 7: 'write', 130: 'cancelled'}

# A line of progress in IPA's log after so much more, or so long.
LOG_PERCENT = 10
LOG_SECONDS = 10
# Bounds on what is kept of a program's output, in bytes: an event, an answer of image-info, the end of standard error.
MAX_EVENT = 1 << 20
MAX_ERROR_TEXT = 8192


class LeftToIPA(Exception):
    """Why an image is not ours to write."""


class IngotHardwareManager(hardware.HardwareManager):
    """Takes over `write_image`, and nothing else."""

    HARDWARE_MANAGER_NAME = 'ingot_hardware_manager'
    # Ironic starts a deployment over when this changes in the middle of it. It is to change with the list of steps only.
    HARDWARE_MANAGER_VERSION = '1'

    def evaluate_hardware_support(self):
        """Above IPA's own managers, which go up to MAINLINE; NONE where ingot does not run."""
        program = find_ingot()
        try:
            done = subprocess.run([program, '--version'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError) as e:
            said = (getattr(e, 'output', None) or b'').decode(errors='replace').strip()
            LOG.warning('ingot does not run, images are written by ironic-python-agent itself: %(error)s %(said)s',
                        {'error': e, 'said': said})
            return hardware.HardwareSupport.NONE
        LOG.info('Whole-disk images are written by %(program)s, %(version)s',
                 {'program': program, 'version': done.stdout.decode(errors='replace').strip()})
        return hardware.HardwareSupport.SERVICE_PROVIDER

    def get_deploy_steps(self, node, ports):
        # The conductor's own step of this name proxies to ours, whatever its priority.
        return [{'step': 'write_image', 'priority': 0, 'interface': 'deploy', 'reboot_requested': False}]

    def write_image(self, node, ports, image_info, configdrive=None):
        """Writes a whole-disk image, and the config drive, onto the root device.

        :param node: the node's record; IPA has it cached, for the root device hints
        :param ports: the node's ports; not used
        :param image_info: what the conductor says of the image
        :param configdrive: http(s) URL, or base64 of gzip of the config drive; None: image_info's, or none
        :returns: a sentence for the log
        :raises: IncompatibleHardwareMethodError where IPA's generic manager is to write; ImageDownloadError,
                 ImageDownloadTimeoutError, ImageChecksumError, InvalidImage, ImageWriteError, InvalidCommandParamsError,
                 DeploymentError as IPA's own writer would, with what ingot says as their details
        """
        try:
            request = Request(image_info, configdrive)
        except LeftToIPA as e:
            LOG.warning('This image is not written by ingot but by the next hardware manager: %s', e)
            raise errors.IncompatibleHardwareMethodError(str(e))

        device = hardware.dispatch_to_managers('get_os_install_device', permit_refresh=True)
        standby = extension_base.get_extension('standby')
        # Whatever IPA remembers to have written is about to be overwritten.
        standby.cached_image_id = None
        standby.partition_uuids = {}
        LOG.info('Writing image %(image)s onto %(device)s with ingot', {'image': request.image_id, 'device': device})
        result = Write(request, device).run()
        if result.get('partition_table') is None:
            raise errors.DeploymentError('No partitions found on the device %s after writing the image.' % device)
        # install_bootloader and the conductor ask for this (get_partition_uuids).
        root_uuid = disk_identifier(device)
        standby.partition_uuids = {'root uuid': root_uuid}
        return {'result': 'write_image: image (%s) written to device %s root_uuid=%s'
                          % (request.image_id, device, root_uuid)}


def find_ingot():
    """The program's path; a bare name, whose execution will fail, when there is none."""
    return shutil.which('ingot') or shutil.which('ingot', path='/usr/local/bin:/usr/bin:/bin') or 'ingot'


def disk_identifier(device):
    """The MBR's disk identifier, which IPA calls the root UUID of a whole-disk image; 0x00000000 with most GPTs."""
    with open(device, 'rb') as disk:
        disk.seek(440)
        return '0x%08x' % struct.unpack('<I', disk.read(4))


def option(name, default=None):
    """An option of IPA's configuration, where this release of IPA has it."""
    return getattr(CONF, name, default)


def is_http(text):
    return isinstance(text, str) and text.lower().startswith(('http://', 'https://'))


class Request:
    """What the conductor asks for, understood; LeftToIPA is raised for what is IPA's to write, or to refuse."""

    def __init__(self, image_info, configdrive):
        if not isinstance(image_info, dict):
            raise LeftToIPA('image_info is no object')
        if image_info.get('image_type') == 'partition':
            raise LeftToIPA('it is a partition image')
        self.image_id = image_info.get('id')
        self.urls = image_info.get('urls')
        if not self.image_id or not isinstance(self.urls, list) or not self.urls or not all(map(is_http, self.urls)):
            raise LeftToIPA('it has no id, or no http or https URL')
        if option('certfile') and option('keyfile') and any(url.lower().startswith('https') for url in self.urls):
            raise LeftToIPA('the agent has a client certificate for https')
        self.format = self._format(image_info.get('disk_format'))
        self.checksums = self._checksums(image_info)
        self.credentials = self._credentials(image_info)
        self.proxies = {scheme + '_proxy': (image_info.get('proxies') or {}).get(scheme) for scheme in ('http', 'https')}
        self.proxies['no_proxy'] = image_info.get('no_proxy')
        self.configdrive = image_info.get('configdrive') if configdrive is None else configdrive
        if self.configdrive is not None and not isinstance(self.configdrive, str):
            raise LeftToIPA('the config drive is no text')
        if self.configdrive is not None and option('config_drive_rebuild', False):
            raise LeftToIPA('config_drive_rebuild is set')

    @staticmethod
    def _format(declared):
        """The declared format, or None when it is to be found out."""
        if not declared or declared == 'unknown':
            return None
        if declared not in FORMATS:
            raise LeftToIPA('its format is %s' % declared)
        return declared

    @staticmethod
    def _checksums(info):
        """Pairs (value or URL, type). More than one: whichever of them the checksum file has, in this order."""
        algorithm = info.get('os_hash_algo')
        value = info.get('os_hash_value') if algorithm else info.get('checksum')
        if algorithm and algorithm not in DIGITS:
            raise LeftToIPA('its checksum is a %s' % algorithm)
        if not isinstance(value, str) or not value:
            raise LeftToIPA('it has no checksum')
        if is_http(value):
            if algorithm:
                return [(value, algorithm)]
            # The file may list any of ours. Where md5 is not permitted, it is not to be taken from there either.
            return [(value, 'auto')] if option('md5_enabled', True) else [(value, 'sha256'), (value, 'sha512')]
        if not re.match('[0-9a-fA-F]+$', value) or len(value) not in DIGITS.values():
            raise LeftToIPA('its checksum is neither a URL nor an md5, sha256 or sha512')
        if not algorithm and len(value) == DIGITS['md5'] and not option('md5_enabled', True):
            raise LeftToIPA('its checksum is an md5, which is not permitted')
        return [(value, algorithm or 'auto')]

    @staticmethod
    def _credentials(info):
        """(user, password), or None. In IPA's order: the request's authorization, its user, the configuration's."""
        authorization = info.get('image_request_authorization')
        if authorization:
            try:
                scheme, _, rest = base64.b64decode(authorization).decode().strip().partition(' ')
                if scheme.lower() != 'basic':
                    raise LeftToIPA('its server wants an authorization that is not basic')
                user, _, password = base64.b64decode(rest).decode().partition(':')
            except (TypeError, binascii.Error, UnicodeDecodeError):
                raise LeftToIPA('its authorization is not readable')
        elif info.get('image_server_auth_strategy') == 'http_basic':
            user, password = info.get('image_server_user'), info.get('image_server_password')
        elif option('image_server_auth_strategy') == 'http_basic':
            user, password = option('image_server_user'), option('image_server_password')
        else:
            return None
        if not user or not password:
            raise LeftToIPA('its user or password is missing')
        # Others would have to be encoded the way that python-requests does.
        if not all(text.isascii() and text.isprintable() for text in (user, password)) or ':' in user:
            raise LeftToIPA('its user or password has unusual characters')
        return user, password


class Command(contextlib.ExitStack):
    """A call of ingot in the making. What is secret goes into files in memory, which only that process is given."""

    def __init__(self, name):
        super().__init__()
        self.arguments = [name]
        self._files = []

    def add(self, name, value=None):
        # In one word, so that no value can be taken for an option.
        self.arguments.append(name if value is None else '%s=%s' % (name, value))

    def add_private(self, name, value):
        self.add(name, '/proc/self/fd/%d' % self._memory_file(value.encode()))

    def add_network(self, request):
        """TLS, credentials and time-outs as IPA would have them for this image."""
        if option('insecure', False):
            self.add('--tls-insecure')
        elif option('cafile'):
            self.add('--ca-cert', option('cafile'))
        if request.credentials:
            user, password = request.credentials
            self.add('--user', user)
            self.add_private('--password-file', password + '\n')
        timeout = option('image_download_connection_timeout')
        if timeout:
            self.add('--connect-timeout', '%ds' % timeout)
            self.add('--stall-timeout', '%ds' % timeout)
        self._environment = dict(os.environ, **{name: value for name, value in request.proxies.items() if value})

    def start(self):
        self._stderr = self._memory_file(b'')
        return subprocess.Popen([find_ingot()] + self.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=self._stderr, pass_fds=self._files, env=self._environment)

    def error_text(self):
        """The end of what the process said on standard error."""
        size = os.fstat(self._stderr).st_size
        return os.pread(self._stderr, MAX_ERROR_TEXT, max(0, size - MAX_ERROR_TEXT)).decode(errors='replace').strip()

    def _memory_file(self, content):
        fd = os.memfd_create('ingot')
        self.callback(os.close, fd)
        self._files.append(fd)
        while content:
            content = content[os.write(fd, content):]
        return fd


class Write:
    """The image of a request on its way onto a device."""

    def __init__(self, request, device):
        self._request = request
        self._device = device

    def run(self):
        """Returns ingot's `result` event, of a success; raises IPA's errors."""
        if self._request.format is None:
            self._request.format = self._detect_format()
        self._check_format_permitted()
        for checksum, kind in self._request.checksums:
            error, result = self._attempt(checksum, kind)
            # A checksum file without a sum of this type is found out before the disk is touched.
            if error is None or (result.get('error') or {}).get('code') != 'checksum.list':
                break
        if error is not None:
            raise error
        return result

    def _attempt(self, checksum, kind):
        """One run of `ingot write`: (None, result) or (error, result)."""
        with Command('write') as command:
            for url in self._request.urls:
                command.add('--image-url', url)
            command.add('--image-checksum', checksum)
            command.add('--image-checksum-type', kind)
            command.add('--image-format', self._request.format)
            command.add('--device', self._device)
            command.add('--yes')
            command.add('--progress', 'json')
            if is_http(self._request.configdrive):
                command.add('--config-drive', self._request.configdrive)
            elif self._request.configdrive is not None:
                command.add_private('--config-drive', self._request.configdrive)
            command.add_network(self._request)
            process = command.start()
            progress = ProgressLog(self._request.image_id, self._device)
            try:
                with TimeLimit(process, option('image_download_max_duration')) as limit:
                    for line in iter(lambda: process.stdout.readline(MAX_EVENT), b''):
                        progress.take(line)
                    code = process.wait()
            finally:
                # Only if this thread failed: then the disk stays unbootable.
                stop(process)
            result = progress.result or {'error': {'code': 'none', 'class': CLASSES.get(code, 'internal'),
                                                   'message': command.error_text() or 'no message'}}
        if code == 0 and result.get('status') == 'succeeded':
            return None, result
        return self._error(code, result, limit.passed), result

    def _error(self, code, result, timed_out):
        """IPA's error for a failed run."""
        request = self._request
        failure = result.get('error') or {'code': 'none', 'class': 'internal', 'message': 'no message'}
        text = 'ingot [%s]: %s' % (failure.get('code'), failure.get('message'))
        if failure.get('advice'):
            text += ' (%s)' % failure['advice']
        if result.get('disk_state'):
            text += '. The disk %s is %s.' % (self._device, result['disk_state'])
        kind = failure.get('class')
        if timed_out and kind == 'cancelled':
            timeout_error = getattr(errors, 'ImageDownloadTimeoutError', errors.ImageDownloadError)
            return timeout_error(request.image_id, 'image_download_max_duration is over. ' + text)
        if kind == 'source':
            return errors.ImageDownloadError(request.image_id, text)
        if kind == 'checksum':
            error = errors.ImageChecksumError(request.image_id, self._device, '', '')
            error.details = text
            return error
        if kind == 'image':
            return errors.InvalidImage(text)
        if kind in ('device', 'write'):
            return errors.ImageWriteError(self._device, code, '', text)
        if kind == 'usage' and failure.get('code') != 'usage.config-drive':
            return errors.InvalidCommandParamsError(text)
        return errors.DeploymentError('%s (exit code %d)' % (text, code))

    def _detect_format(self):
        """The format of an image of which the conductor does not say it, from its first bytes."""
        with Command('image-info') as command:
            command.add('--output', 'json')
            command.add(self._request.urls[0])
            command.add_network(self._request)
            process = command.start()
            try:
                answer = process.stdout.read(MAX_EVENT)
                process.stdout.close()
                code = process.wait()
            finally:
                stop(process)
            text = 'ingot image-info: ' + command.error_text()
        try:
            found = json.loads(answer)['format']
        except (ValueError, KeyError, TypeError):
            found = None
        if found in FORMATS:
            return found
        raise (errors.ImageDownloadError(self._request.image_id, text) if CLASSES.get(code) == 'source' else
               errors.InvalidImage(text))

    def _check_format_permitted(self):
        """IPA's policy. What is written as it is was never subject to it."""
        permitted = option('permitted_image_formats')
        if self._request.format == 'raw' or not permitted or option('disable_deep_image_inspection', False):
            return
        if self._request.format not in permitted:
            raise errors.InvalidImage('The image format is %s, and only %s are permitted'
                                      % (self._request.format, ', '.join(permitted)))


def stop(process):
    """Ends a process that still runs, and waits for it."""
    process.stdout.close()
    if process.poll() is None:
        process.terminate()
        process.wait()


class TimeLimit:
    """Ends a process after so many seconds (0 or None: never)."""

    def __init__(self, process, seconds):
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._end) if seconds else None

    def _end(self):
        self.passed = True
        self._process.terminate()

    def __enter__(self):
        if self._timer:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_):
        if self._timer:
            self._timer.cancel()


class ProgressLog:
    """Tells IPA's log what ingot's events say, and keeps the result."""

    def __init__(self, image_id, device):
        self.result = None
        self._image_id = image_id
        self._device = device
        self._percent = 0
        self._time = time.monotonic()

    def take(self, line):
        try:
            event = json.loads(line)
            kind = event['event']
        except (ValueError, KeyError, TypeError):
            LOG.warning('ingot said what is no event: %.200r', line)
            return
        if kind == 'progress':
            self._progress(event)
        elif kind == 'phase':
            LOG.debug('ingot: phase %s', event.get('phase'))
        elif kind == 'retry':
            LOG.warning('ingot: the transfer goes on at byte %(offset)s, attempt %(attempt)s: %(reason)s',
                        {'offset': event.get('resume_offset'), 'attempt': event.get('attempt'),
                         'reason': event.get('reason')})
        elif kind == 'note':
            LOG.info('ingot: %s', event.get('text'))
        elif kind == 'result':
            self.result = event
            LOG.info('ingot: image %(image)s on %(device)s: %(status)s after %(seconds)s s; %(received)s bytes received, '
                     '%(written)s written, %(zeroed)s zeroed',
                     {'image': self._image_id, 'device': self._device, 'status': event.get('status'),
                      'seconds': event.get('seconds'), 'received': event.get('bytes_received'),
                      'written': event.get('bytes_written'), 'zeroed': event.get('bytes_zeroed')})

    def _progress(self, event):
        percent = event.get('percent')
        now = time.monotonic()
        if (percent or 0) - self._percent < LOG_PERCENT and now - self._time < LOG_SECONDS:
            return
        self._percent, self._time = percent or 0, now
        LOG.info('ingot: image %(image)s onto %(device)s: %(phase)s, %(percent)s; %(received)s bytes received at '
                 '%(rate).1f MB/s, %(written)s written',
                 {'image': self._image_id, 'device': self._device, 'phase': event.get('phase'),
                  'percent': 'size not known' if percent is None else '%d %%' % percent,
                  'received': event.get('bytes_received'), 'rate': (event.get('receive_rate') or 0) / 1e6,
                  'written': event.get('bytes_written')})
