"""workers/broker.py: the embedded broker: iotcore in a child process, versions 3.1.1 and 5; mosquitto's configuration.

iotcore keeps nothing over a restart and sends ≤ 100 unacknowledged, never with DUP. It hangs up on a PUBACK out of
order, tells nobody that a client id was taken over, refuses client ids with / + # $, gives a subscription ≤ 100
retained messages, and none again to a resumed session: `device.sync` covers that.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import tempfile
import threading
from typing import Final, Self

from devices.kit_broker import free_port
from workers.ports import Missing

LOOPBACK: Final = "127.0.0.1"
IOTCORE_RECEIVE_MAX: Final = 100  # what a link to it may ask for
PAYLOAD_MAX: Final = 32_768
START_S: Final = 10.0
STOP_S: Final = 5.0
LISTENER: Final = """
[{version}.1]
name = "{version}"
listen = "{host}:{port}"
next_connection_delay_ms = 0
[{version}.1.connections]
connection_timeout_ms = 10000
max_payload_size = {payload_max}
max_inflight_count = {inflight}
dynamic_filters = true
"""
ROUTER: Final = """id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
"""
MOSQUITTO_TUNING: Final = """
set_tcp_nodelay true
# >= the commit batch; the default of 20 would mean 20 messages a commit
max_inflight_messages 1000
# the default of 1000 drops in silence while the core is down; two hours of a big hall are 29000 events
max_queued_messages 200000
max_queued_bytes 268435456
# larger: disconnected, loudly. Never message_size_limit: it completes the QoS flow and discards
max_packet_size 32768
persistence true
# default 1800; a power cut forgets <= 5 s of acknowledged messages, and outboxes resend
autosave_interval 5
persistent_client_expiration 14d
"""
MOSQUITTO_HALL: Final = """# Written by Jiaohao for mosquitto 2.0; a comment needs a line of its own here.
per_listener_settings false
# the dispatcher on the same box
listener 1883 127.0.0.1
# devices
listener 8883
cafile /etc/jiaohao/tls/ca.crt
certfile /etc/jiaohao/tls/server.crt
keyfile /etc/jiaohao/tls/server.key
# the lowest allowed
tls_version tlsv1.2
# with client certificates: require_certificate true, use_identity_as_username true, CN = hall/device
allow_anonymous false
password_file /etc/jiaohao/broker.passwd
acl_file /etc/jiaohao/broker.acl
# nobody throws a device off by borrowing its client id
use_username_as_clientid true
persistence_location /var/lib/mosquitto/
# this and max_inflight_messages: round trip 17 -> 0.4 ms"""


def mosquitto_conf(port: int | None = None, directory: str = "") -> str:
    """The file of deploy/mosquitto. With a port: the same queues and limits on the loopback, no TLS, names or ACL."""
    if port is None:
        return MOSQUITTO_HALL + MOSQUITTO_TUNING
    return f"listener {port} {LOOPBACK}\nallow_anonymous true\npersistence_location {directory}/" + MOSQUITTO_TUNING


def iotcore_toml(port: int, port_v5: int) -> str:
    """Keyword arguments of iotcore give a 3.1.1 listener only; a file gives both."""
    both = (("v4", port), ("v5", port_v5))
    limits = {"host": LOOPBACK, "payload_max": PAYLOAD_MAX, "inflight": IOTCORE_RECEIVE_MAX}
    return ROUTER + "".join(LISTENER.format(version=version, port=one, **limits) for version, one in both)


class EmbeddedBroker:
    """`async with EmbeddedBroker() as broker:` devices at broker.url (3.1.1), the link at broker.url_v5. In memory."""

    def __init__(self, port: int = 0, port_v5: int = 0) -> None:
        self.port = port or free_port()
        self.port_v5 = port_v5 or free_port(self.port)
        self.url = f"mqtt://{LOOPBACK}:{self.port}"
        self.url_v5 = f"mqtt://{LOOPBACK}:{self.port_v5}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Self:
        """Listening when it returns. Missing: a port is taken, or the engine does not start."""
        for port in (self.port, self.port_v5):
            require_free(port)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workers.broker",
            stdin=asyncio.subprocess.PIPE,  # the child ends when our end closes, even if we are killed
            start_new_session=True,  # Ctrl-C is for us: the broker outlives the last acks
        )
        assert self._process.stdin is not None, "asked for"
        self._process.stdin.write(iotcore_toml(self.port, self.port_v5).encode() + b"\0")
        try:
            async with asyncio.timeout(START_S):
                for port in (self.port, self.port_v5):
                    await self._listening(port)
        except TimeoutError:
            await self.stop()
            raise Missing(f"the embedded broker does not listen after {START_S:.0f} s") from None
        return self

    async def _listening(self, port: int) -> None:
        process = self._process
        while process is not None and process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(LOOPBACK, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)
        raise Missing("the embedded broker ended while starting; is the package iotcore whole?")

    async def stop(self) -> None:
        """Ends the child by its own handle. Twice is as good as once."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def running(self) -> bool:
        """Whether the child lives."""
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def require_free(port: int) -> None:
    """Missing, if somebody listens there."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((LOOPBACK, port))
        except OSError as error:
            raise Missing(
                f"port {port} of {LOOPBACK} is taken, the embedded broker cannot listen: {error.strerror}"
            ) from None


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


def child() -> None:
    """The broker itself, told by standard input or by two ports. Its log is silent: rumqttd reports every packet."""
    from iotcore import IotCoreBroker

    logging.disable(logging.CRITICAL)
    if len(sys.argv) == 3:  # two ports, for whoever starts it as a program
        config = iotcore_toml(int(sys.argv[1]), int(sys.argv[2])).encode()
    else:
        config = b"".join(iter(lambda: sys.stdin.buffer.read(1), b"\0"))
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(config)
        file.flush()
        broker = IotCoreBroker(config_path=file.name)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    broker.run_forever()


if __name__ == "__main__":
    child()
