"""docs/guide.md: what has stood in the guide that users come with works as it stood there."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.nginx import Nginx
from tests.raw_http import RawConnection
from tests.serving import Gateway, free_port, wait_until
from tests.websocket import WebSocket

PAGE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()


def test_requests_and_sockets_pass_the_guides_nginx(
    spawn: Callable[..., Gateway], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shared = {"DATA_DIR": str(tmp_path / "data")}
    gateways = [spawn("--workers", "1", **shared) for _ in range(3)]
    for gateway in gateways:
        gateway.wait_until_ready()
    configuration = re.search(r"^```nginx guide\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    for before, gateway in zip((4000, 4001, 4002), gateways, strict=True):
        configuration = configuration.replace(f"localhost:{before} ", f"localhost:{gateway.port} ")
    port = free_port()
    nginx = Nginx(tmp_path / "nginx", port, [], configuration.replace("listen 80;", f"listen {port};"))
    request.addfinalizer(nginx.close)
    assert "is successful" in nginx.check.stderr

    behind = gateways[0]
    behind.port = port
    assert behind.publish("room:test", "Hello")["offset"] == 1
    assert behind.request("GET", "/health").status == 200
    assert behind.history("room:test")["events"][0]["data"] == "Hello"
    with WebSocket(port) as socket:
        socket.join("room:test", since=0)
        assert socket.next("event").payload["data"] == "Hello"
        assert behind.publish("room:test", "again")["offset"] == 2
        assert socket.next("event").payload["data"] == "again"
    for number in range(30):
        behind.publish("room:test", number)
    wait_until(lambda: nginx.log().count("/publish") == 32, "the log of all publishes")
    assert "/health" not in nginx.log()
    with RawConnection(port) as stream:
        stream.send(b"GET /apps/demo/channels/room:test/events?since=31 HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert stream.head()[0] == 200
        received = b""
        while b'"offset":32' not in received:
            received += stream.chunk()
