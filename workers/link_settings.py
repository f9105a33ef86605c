"""workers/link_settings.py: what the link is told and what it counts: settings, broker address, counters."""

from urllib.parse import unquote, urlsplit

from msgspec import Struct


class LinkSettings(Struct, frozen=True):
    """Where to connect, and every bound. No `halls` = all of them."""

    url: str
    client_id: str = "jiaohao"
    username: str | None = None
    password: str | None = None
    halls: tuple[str, ...] = ()
    keep_alive_s: int = 15
    session_expiry_s: int = 7 * 86_400
    dropped_topic: str = ""  # where the broker says how many messages it dropped; iotcore hangs up on `$` topics
    receive_max: int = 1000  # unacknowledged inputs the broker may send; iotcore knows 100
    send_max: int = 256  # unacknowledged publishes of ours, or the server's receive maximum if that is less
    batch_max: int = 1000
    inbox_max: int = 2000  # reading pauses at 80 %, goes on at 50 %; above it QoS 0 is dropped and counted
    pace_s: float = 0.001  # pause after a read: more packets a wake-up; 0 = none
    step_s: float = 5.0  # for dialing, CONNACK, SUBACK
    pong_s: float = 10.0
    probe_s: float = 15.0
    deaf_s: float = 60.0  # nothing heard for so long, not even the probe: not ready
    backoff_s: float = 0.2
    backoff_max_s: float = 10.0
    steady_s: float = 30.0  # live for so long: the next delay is the first again
    refused_s: float = 30.0  # least delay after bad credentials


class LinkStats:
    """Plain counters; read by the metrics, written here alone."""

    __slots__ = (
        "broker_dropped",
        "bytes_in",
        "bytes_out",
        "connected",
        "dropped",
        "granted",
        "last_error",
        "messages_in",
        "messages_out",
        "paused",
        "paused_s",
        "protocol_errors",
        "puback_failures",
        "redelivered",
        "refused",
        "session_lost",
        "sessions",
        "unacked",
        "unpromised",
    )

    def __init__(self) -> None:
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.sessions = self.session_lost = self.refused = self.protocol_errors = 0  # refused: by CONNACK or SUBACK
        self.broker_dropped = self.granted = 0  # as the broker says; granted: of ours unacknowledged at once
        self.redelivered = self.puback_failures = self.dropped = self.unacked = 0
        self.unpromised = 0  # at QoS 0
        self.connected = self.paused = False
        self.paused_s = 0.0
        self.last_error = ""


class Address(Struct, frozen=True):
    """A broker URL taken apart."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None


def parse_url(url: str) -> Address:
    """mqtt://[user[:password]@]host[:port], or mqtts://. ValueError says what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ValueError(f"{url!r} is no broker address: mqtt://host:port or mqtts://host:port is meant")
    tls = parts.scheme == "mqtts"
    user, secret = parts.username, parts.password
    return Address(
        parts.hostname,
        parts.port or (8883 if tls else 1883),
        tls,
        None if user is None else unquote(user),
        None if secret is None else unquote(secret),
    )
