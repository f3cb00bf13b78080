"""Redis over TLS: a certificate of an authority that is trusted is taken, and no other."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.followers import StreamFollower
from tests.redis_server import VOLATILE, RedisServer
from tests.serving import Gateway, free_port, wait_until

from polyglot_gateway.engine.redis_feed import RedisFeed
from polyglot_gateway.engine.redis_keys import RedisKeys
from polyglot_gateway.engine.redis_link import RedisLink

Serve = Callable[..., RedisServer]


def make_authority(folder: Path) -> Path:
    """A certificate authority, and in the same folder a certificate for localhost of it."""
    folder.mkdir()
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for command in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout ca.key -out ca.pem",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=redis -keyout redis.key -out redis.csr",
        "x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out redis.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture
def serve(tmp_path: Path, authority: Path) -> Iterator[Serve]:
    """Starts a Redis that speaks TLS on the given port, and nothing else on any."""
    with contextlib.ExitStack() as stack:

        def start(port: int, *options: str) -> RedisServer:
            keys = authority.parent
            tls = ("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(authority))
            tls += ("--tls-cert-file", str(keys / "redis.pem"), "--tls-key-file", str(keys / "redis.key"))
            return stack.enter_context(contextlib.closing(RedisServer(tmp_path / "redis", *VOLATILE, *tls, *options)))

        yield start


def test_instances_behave_as_one(serve: Serve, authority: Path, spawn: Callable[..., Gateway]) -> None:
    port = free_port()
    serve(port)
    url = f"rediss://localhost:{port}?ssl_ca_certs={authority}"
    one, two = (
        spawn("--workers", "1", REDIS_URL=url, DATA_DIR=f"data-{n}", LOG_LEVEL="error").wait_until_ready()
        for n in range(2)
    )
    follower = StreamFollower(two.port, "room", since=0).follow()
    for number in range(20):
        one.publish("room", number)
    follower.wait_for(20)
    assert (follower.place.data, follower.place.gaps) == (list(range(20)), [])
    follower.stop()


def test_a_feed_reads_all_that_has_come(serve: Serve, authority: Path) -> None:
    """In whatever parts TLS brings it."""
    port = free_port()
    redis = serve(port)
    link = RedisLink(f"rediss://localhost:{port}?ssl_ca_certs={authority}")
    feed = RedisFeed(link, RedisKeys("p"))
    feed.watch("demo", "room")
    sent = [b"%d" % number * size for number, size in enumerate((1, 100_000, 1, 16_384, 20_000))]
    for payload in sent:
        redis.client.execute_command("SPUBLISH", "p:{demo:room}", payload)
    feed.check()
    assert feed.take() == ([("demo", "room", payload) for payload in sent], False)
    redis.client.client_kill_filter(_type="pubsub")
    told: list[bool] = []
    wait_until(lambda: told.append(feed.poll()[1]) or told[-1], "the subscription to be made again")
    feed.close()
    link.close()


def test_a_cluster(serve: Serve, authority: Path) -> None:
    port = free_port()
    bus = str(free_port())
    redis = serve(port, "--cluster-enabled", "yes", "--cluster-port", bus, "--tls-cluster", "yes")
    redis.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: b"cluster_state:ok" in redis.client.execute_command("CLUSTER", "INFO"), "the cluster")
    link = RedisLink(f"clusters://localhost:{port}?ssl_ca_certs={authority}")
    assert link.ask("SET", "a", 1) == b"OK"
    assert link.trouble() == ""
    link.close()


def test_who_is_not_trusted_is_not_asked(serve: Serve, tmp_path: Path) -> None:
    port = free_port()
    serve(port)
    link = RedisLink(f"rediss://localhost:{port}?ssl_ca_certs={make_authority(tmp_path / 'theirs')}")
    assert "certificate verify failed" in link.trouble()
    link.close()


def test_who_has_another_name_is_not_asked(serve: Serve, authority: Path) -> None:
    port = free_port()
    serve(port)
    link = RedisLink(f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority}")
    assert "certificate is not valid for '127.0.0.1'" in link.trouble()
    link.close()
