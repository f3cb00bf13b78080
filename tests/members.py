"""Members of channels, as the sockets of a gateway and its REST interface tell of them."""

import json
from typing import Any

from tests.serving import Gateway
from tests.websocket import WebSocket


def enter(socket: WebSocket, channel: str, key: str, **meta: Any) -> Any:
    """Join as a member; returns the members that the socket is told of first."""
    socket.join(channel, presence={"key": key, "meta": meta})
    return socket.next("presence_state", topic=channel).payload


def until_there(socket: WebSocket, channel: str, members: Any, keys: set[str]) -> Any:
    """Add what the socket is told of joins until these are there: other workers' news comes a little later."""
    while members.keys() != keys:
        members |= diff(socket, channel)[0]
    return members


def diff(socket: WebSocket, channel: str) -> tuple[Any, Any]:
    """Who joins and who leaves, by the next presence_diff."""
    payload = socket.next("presence_diff", topic=channel).payload
    assert set(payload) == {"joins", "leaves"}
    return payload["joins"], payload["leaves"]


def metas(members: Any) -> Any:
    """What members say of themselves: their metas without the references, which differ each time."""
    for member in members.values():
        assert set(member) == {"metas"}
        assert all(isinstance(meta["phx_ref"], str) and meta["phx_ref"] for meta in member["metas"])
    return {
        key: [{name: value for name, value in meta.items() if name != "phx_ref"} for meta in member["metas"]]
        for key, member in members.items()
    }


def listed(gateway: Gateway, channel: str) -> Any:
    """The members as whichever worker answers lists them over HTTP."""
    return json.loads(gateway.request("GET", f"/apps/demo/channels/{channel}/presence").body)["members"]
