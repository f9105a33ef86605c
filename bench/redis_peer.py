"""bench/redis_peer.py: the ranking as ZSETs with a Lua script over a unix socket, one trip a call. Its PING beside it.

Keys: one ZSET a (profile, class), score T, and a hash that says in which sets a ticket stands. The script compares the
heads by tier, score, class and key, and removes the winner. Most of its time is a process boundary, not a structure.
"""

import importlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from core.ranking import ClassRule, Skills

CALL: Final = """
local best = nil
for i = 1, #KEYS do
  local head = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  if head[1] then
    local debt = tonumber(ARGV[3 * i - 1]) * (tonumber(head[2]) - tonumber(ARGV[1])) - tonumber(ARGV[3 * i])
    local rank = {-tonumber(ARGV[3 * i + 1]), debt, i, tonumber(head[2]), tonumber(head[1])}
    local less = best == nil
    if best then
      for at = 1, 5 do
        if rank[at] ~= best[at] then less = rank[at] < best[at] break end
      end
    end
    if less then best = rank end
  end
end
if not best then return false end
local member = string.format('%09d', best[5])
for key in string.gmatch(redis.call('HGET', 'stands', member), '%S+') do
  redis.call('ZREM', key, member)
end
redis.call('HDEL', 'stands', member)
return best[5]
"""
START_S: Final = 5.0


def missing() -> str:
    """Why it cannot run here; empty when it can."""
    lacking = [] if shutil.which("redis-server") else ["redis-server"]
    lacking += [] if importlib.util.find_spec("redis") else ["the redis client"]
    return f"{' and '.join(lacking)} not installed" if lacking else ""


class Server:
    """A redis-server of our own: a unix socket, no TCP, nothing on disk."""

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="jiaohao-redis-")
        socket = str(Path(self._place.name) / "redis.sock")
        command = [shutil.which("redis-server") or "redis-server", "--port", "0", "--unixsocket", socket]
        self._process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no", "--dir", self._place.name], stdout=subprocess.DEVNULL
        )
        module = importlib.import_module("redis")
        self.client: Any = module.Redis(unix_socket_path=socket)
        limit = time.monotonic() + START_S
        while True:
            try:
                self.client.ping()
                return
            except module.exceptions.ConnectionError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.02)

    def close(self) -> None:
        """Gone, with its directory."""
        self.client.close()
        self._process.terminate()
        self._process.wait(5)
        self._place.cleanup()


class RedisLua:
    """One trip a call; one a take."""

    lacks: ClassVar[tuple[str, ...]] = ("cap", "ahead")
    server: ClassVar[Server | None] = None

    def __init__(self, classes: Sequence[ClassRule], profiles: Sequence[Skills]) -> None:
        if RedisLua.server is None:
            RedisLua.server = Server()
        self._client = RedisLua.server.client
        self._mine = f"{id(self):x}"  # two rigs may live at once
        self._script = self._client.register_script(CALL.replace("'stands'", f"'{self._mine}:stands'"))
        self._views: dict[int, list[int]] = {}
        for profile, skills in enumerate(profiles):
            for service in skills.primary:
                self._views.setdefault(service, []).append(profile)
        self._rules = [value for one in classes for value in (one.rate, one.rate * one.head_start_ms, one.tier)]
        names = range(len(classes))
        self._keys = [[f"{self._mine}:{profile}:{cls}" for cls in names] for profile in range(len(profiles))]

    def add(self, serial: int, service: int, cls: int, t_eff: int) -> None:
        """One ZADD a view. The serial is padded: Redis breaks ties by the text."""
        member = f"{serial:09d}"
        keys = [self._keys[profile][cls] for profile in self._views.get(service, ())]
        with self._client.pipeline(transaction=False) as trip:
            trip.hset(f"{self._mine}:stands", member, " ".join(keys))
            for key in keys:
                trip.zadd(key, {member: t_eff})
            trip.execute()

    def call_next(self, profile: int, t: int) -> int | None:
        """The whole choice and its removal in the script."""
        found = self._script(keys=self._keys[profile], args=[t, *self._rules])
        return None if found is None else int(found)

    def ahead(self, serial: int, profile: int, t: int) -> int:
        """Not in one trip, under ageing."""
        raise NotImplementedError

    @classmethod
    def ping_s(cls, times: int = 200) -> float:
        """A round trip that does nothing: what the boundary alone costs."""
        assert cls.server is not None, "made by the first peer"
        best = float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(times):
                cls.server.client.ping()
            best = min(best, (time.perf_counter() - begin) / times)
        return best

    @classmethod
    def close(cls) -> None:
        """The server ends."""
        if cls.server is not None:
            cls.server.close()
            cls.server = None
