"""A real Redis for tests, on a Unix socket in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import redis
from redis.crc import key_slot
from tests.serving import free_port, wait_until

PATIENCE = 10.0
_LOADED_AT_ONCE = 1024  # bytes, the least; then it answers
VOLATILE = ("--save", "", "--appendonly", "no")


def wait_for_answer(client: redis.Redis, process: subprocess.Popen[bytes]) -> None:
    """Return when it answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(redis.RedisError):
            client.ping()
            return
        assert process.poll() is None, "redis-server ended"
        assert time.monotonic() < deadline, f"redis-server did not answer within {PATIENCE} s"
        time.sleep(0.01)


class RedisServer:
    """Starts, kills, pauses and starts again the same Redis.

    Attributes:
        url: Where it listens.
        port: On which it listens too, unless that is 0.
        client: Asks it, for tests alone.
    """

    def __init__(self, folder: Path, *options: str, port: int = 0, host: str = "127.0.0.1") -> None:
        """Start it; `options` are arguments of redis-server. With a port, its URL is that of `host`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        # The address of a Unix socket has 108 bytes at most, and folders of tests have long names.
        self._socket = Path(f"/tmp/polyglot-redis-{os.getpid()}-{time.monotonic_ns()}.sock")
        self.port = port
        self._host = host
        self.url = f"redis://{host}:{port}" if port else f"unix://{self._socket}"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        wait_for_answer(self.client, self._run())
        return self

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """It ends and is started again, and loads what it has until the end of the block."""
        self.client.config_set("rdbcompression", "no")
        self.client.mset({f"filler-{number}": "x" * _LOADED_AT_ONCE for number in range(2000)})
        self.client.save()
        self.kill()
        self._run("--key-load-delay", "10000", "--loading-process-events-interval-bytes", str(_LOADED_AT_ONCE))
        wait_until(self._is_loading, "it to load")
        try:
            yield
            assert self._is_loading(), "it should have loaded all the time"
        finally:
            self.client.config_set("key-load-delay", 0)
            wait_until(lambda: not self._is_loading(), "it to have loaded")

    def follow(self, port: int) -> None:
        """It becomes the replica of whoever is there, maybe nobody; its data stays meanwhile."""
        self.client.replicaof("127.0.0.1", port)

    def lead(self) -> None:
        """It is a master again."""
        self.client.replicaof("no", "one")

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """It takes connections and answers nobody."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its socket."""
        self.client.close()
        self.kill()
        self._socket.unlink(missing_ok=True)

    def _run(self, *more: str) -> subprocess.Popen[bytes]:
        command = ["redis-server", "--port", str(self.port), "--bind", self._host, "--dir", str(self._folder)]
        if self._host != "127.0.0.1":
            command += ["--protected-mode", "no"]
        command += ["--loglevel", "warning", "--unixsocket", str(self._socket), *self._options, *more]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        return self._process

    def _is_loading(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.info("persistence")["loading"])
        return False  # nor does it listen yet


class Sentinel:
    """One Sentinel, which alone decides that a master is gone.

    Attributes:
        url: Where a gateway finds the master by it.
        client: Asks it, for tests alone.
    """

    def __init__(self, folder: Path, port: int, master: int) -> None:
        """Watch the Redis on port `master`."""
        folder.mkdir(parents=True)
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor mymaster 127.0.0.1 {master} 1\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n"
        )
        self.url = f"sentinel://127.0.0.1:{port}/mymaster"
        self.client = redis.Redis(port=port)
        command = ["redis-server", str(configuration), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_answer(self.client, self._process)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._process.kill()
        self._process.wait()


class RedisCluster:
    """Three masters that share the slots, each with `replicas` replicas.

    Attributes:
        url: Where a gateway finds it.
        masters: Those that had slots in the beginning.
        replicas: Of the masters, one after the other.
    """

    def __init__(self, folder: Path, *options: str, replicas: int = 0) -> None:
        """Start it, and wait until all take commands; `options` are arguments of each redis-server."""
        self.masters: list[RedisServer] = []
        self.replicas: list[RedisServer] = []
        self._buses: dict[RedisServer, int] = {}
        try:
            self._form(folder, options or VOLATILE, replicas)
        except BaseException:
            self.close()
            raise
        self.url = "cluster://" + ",".join(f"127.0.0.1:{master.port}" for master in self.masters)

    @property
    def nodes(self) -> list[RedisServer]:
        """Masters, then replicas."""
        return [*self.masters, *self.replicas]

    def wait_until_ready(self) -> None:
        """Return when no node misses another."""
        wait_until(lambda: all(self._is_ready(node) for node in self.nodes), "the cluster")

    def master_of(self, key: str) -> RedisServer:
        """The master that has the key, as the nodes that are alive see it."""
        for node in self.nodes:
            with contextlib.suppress(redis.RedisError):
                for first, last, (_, port, *_), *_ in node.client.execute_command("CLUSTER", "SLOTS"):
                    if first <= key_slot(key.encode()) <= last:
                        return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has {key}")

    @staticmethod
    def id_of(node: RedisServer) -> bytes:
        """What the cluster calls it."""
        return node.client.execute_command("CLUSTER", "MYID")

    @contextlib.contextmanager
    def moving(self, key: str, target: RedisServer) -> Iterator[None]:
        """Moves the slot of the key: in the block the target has its keys, and afterwards the slot."""
        source, slot = self.master_of(key), key_slot(key.encode())
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))
        self.move_keys(key, source, target)
        try:
            yield
        finally:
            self.move_keys(key, source, target)
            for node in (target, source):
                node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    @staticmethod
    def move_keys(key: str, source: RedisServer, target: RedisServer) -> None:
        """Move what is in the slot of the key."""
        while keys := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", key_slot(key.encode()), 100):
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

    def close(self) -> None:
        """End all of them."""
        for node in self.nodes:
            node.close()

    def _form(self, folder: Path, options: tuple[str, ...], replicas: int) -> None:
        bounds = [0, 5461, 10923, 16384]
        for number in range(3):
            master = self._start(folder / f"master-{number}", *options)
            self.masters.append(master)
            master.client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            master.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number in range(3 * replicas):
            self.replicas.append(self._start(folder / f"replica-{number}", *options, "--repl-diskless-sync-delay", "0"))
        for node in self.nodes:
            for other in self.nodes:
                node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, self._buses[other])
        wait_until(lambda: all(self._knows_all(node) for node in self.nodes), "the nodes to know each other")
        for number, replica in enumerate(self.replicas):
            replica.client.execute_command("CLUSTER", "REPLICATE", self.id_of(self.masters[number // replicas]))
        wait_until(lambda: all(self._follows(replica) for replica in self.replicas), "the replicas")
        self.wait_until_ready()

    def _start(self, folder: Path, *options: str) -> RedisServer:
        bus = free_port()
        settings = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1000")
        settings += ("--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0")
        node = RedisServer(folder, *settings, *options, port=free_port())
        self._buses[node] = bus
        return node

    def _knows_all(self, node: RedisServer) -> bool:
        lines = node.client.execute_command("CLUSTER", "NODES").splitlines()
        return len(lines) == len(self.nodes) and not any(b"handshake" in line for line in lines)

    @staticmethod
    def _follows(replica: RedisServer) -> bool:
        return replica.client.info("replication").get("master_link_status") == "up"

    @staticmethod
    def _is_ready(node: RedisServer) -> bool:
        lines = node.client.execute_command("CLUSTER", "INFO").splitlines()
        return {b"cluster_state:ok", b"cluster_slots_ok:16384"} <= set(lines)
