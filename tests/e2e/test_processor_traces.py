"""Which trace an event belongs to, as a processor sees it, whichever server took the request."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.serving import Gateway

FUNCTION = """
from polyglot_gateway.processor.base import reject

def process(events):
    return [reject(event.traceparent or "none") for event in events]
"""
GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EVENT = {"type": "message", "data": 1}
REQUESTS = {
    "channels/room:1/publish": EVENT,
    "publish": {"events": [{"channel": "room:1", **EVENT}]},
    "broadcast": {"channels": ["room:1"], **EVENT},
}


@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_the_processor_gets_the_field_if_it_is_well_formed(
    start: Callable[..., Gateway], tmp_path: Path, server: str
) -> None:
    (tmp_path / "rejects.py").write_text(FUNCTION)
    gateway = start("--server", server, PROCESSOR_FUNCTION="rejects:process")
    for path, body in REQUESTS.items():
        for given, told in (({"traceparent": GOOD}, GOOD), ({"traceparent": GOOD.upper()}, "none"), ({}, "none")):
            reply = gateway.request("POST", f"/apps/demo/{path}", json.dumps(body).encode(), given)
            assert f"The processor refused the event: {told}" in reply.body.decode(), (path, given)
