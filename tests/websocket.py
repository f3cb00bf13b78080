"""WebSocket as bytes, and Phoenix Channels over it: a client that may break rules, and lets the server break none."""

import base64
import hashlib
import itertools
import json
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.raw_http import PATIENCE, Closed, RawConnection

_SALT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Refused(Exception):
    """The server does not open the socket: `args[0]` is its answer to the handshake."""


class Ended(Exception):
    """The server sent a close frame: `args` are its code and its reason."""

    @property
    def code(self) -> int:
        return self.args[0]


class Message(NamedTuple):
    """One message of Phoenix Channels v2."""

    join_ref: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bytes | None = b"\x37\xfa\x21\x3d"
) -> bytes:
    """A client's frame; with `mask` None it is not masked, as only a server's may be."""
    head = frame_head(opcode, len(payload), fin=fin, reserved=reserved, masked=mask is not None)
    if mask is None:
        return head + payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return head + mask + masked.to_bytes(len(payload), "little")


def frame_head(opcode: int, size: int, *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """What stands before the mask and the `size` bytes of payload."""
    first, bit = (0x80 if fin else 0) | reserved << 4 | opcode, 0x80 if masked else 0
    if size < 126:
        return bytes([first, bit | size])
    if size < 1 << 16:
        return bytes([first, bit | 126]) + size.to_bytes(2, "big")
    return bytes([first, bit | 127]) + size.to_bytes(8, "big")


def handshake_request(app: str = "demo", headers: Mapping[str, str] | None = None, **query: str) -> bytes:
    """A request for a socket of `app`, with the key of RFC 6455 §1.3 and the app's key unless told otherwise."""
    fields = {
        "Host": "gateway",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **(headers or {}),
    }
    said = urlencode({"vsn": "2.0.0", "app_id": app, "token": f"valid_key_{app}", **query})
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /socket/websocket?{said} HTTP/1.1\r\n{head}\r\n".encode()


class WebSocket(RawConnection):
    """An open socket of one app. What no call waited for is kept, in its order, until somebody asks for it.

    `headers` and `query` are for the handshake, in addition to what it needs or in place of it. `receive_buffer`
    bounds, in bytes, what the kernel takes for this client while it does not read.

    Raises:
        Refused: The server does not open it.
    """

    def __init__(
        self,
        port: int,
        app: str = "demo",
        headers: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
        receive_buffer: int | None = None,
        **query: str,
    ) -> None:
        super().__init__(port, patience)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._refs = itertools.count(1)
        self._kept: deque[Message] = deque()
        self._join_refs: dict[str, str] = {}
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.send(handshake_request(app, {"Sec-WebSocket-Key": nonce, **(headers or {})}, **query))
        self.handshake = self.answer(to="CONNECT")
        if self.handshake.status != 101:
            self.close()
            raise Refused(self.handshake)
        accept = base64.b64encode(hashlib.sha1((nonce + _SALT).encode()).digest()).decode()
        assert self.handshake.field("sec-websocket-accept") == accept
        assert (self.handshake.field("upgrade") or "").lower() == "websocket"

    def send_frame(self, opcode: int, payload: bytes = b"", **how: Any) -> None:
        """Send one frame, as `frame` makes it."""
        self.send(frame(opcode, payload, **how))

    def push(self, topic: str, event: str, payload: Any, join_ref: str | None = None) -> str:
        """Send one message; returns its ref."""
        ref = str(next(self._refs))
        message = [join_ref or self._join_refs.get(topic), ref, topic, event, payload]
        self.send_frame(Opcode.TEXT, json.dumps(message).encode())
        return ref

    def ask_to_join(self, channel: str, **parameters: Any) -> str:
        """Send a join without waiting; returns its ref."""
        ref = str(next(self._refs))
        self._join_refs[channel] = ref
        self.send_frame(Opcode.TEXT, json.dumps([ref, ref, channel, "phx_join", parameters]).encode())
        return ref

    def join(self, channel: str, **parameters: Any) -> Any:
        """Join; returns {"epoch","offset","recovered"}."""
        status, response = self.reply(self.ask_to_join(channel, **parameters))
        assert status == "ok", response
        return response

    def leave(self, channel: str) -> None:
        status, response = self.reply(self.push(channel, "phx_leave", {}))
        assert status == "ok", response

    def publish(self, channel: str, data: Any) -> Any:
        """Publish by this socket; returns the acknowledgement."""
        status, response = self.reply(self.push(channel, "publish", {"type": "message", "data": data}))
        assert status == "ok", response
        return response

    def reply(self, ref: str) -> tuple[str, Any]:
        """Wait for the reply to a message: its status, "ok" or "error", and its response."""

        def wanted(message: Message) -> bool:
            return message.event == "phx_reply" and message.ref == ref

        payload = self._wait_for(wanted).payload
        assert set(payload) == {"status", "response"}, payload
        return payload["status"], payload["response"]

    def refusal(self, ref: str) -> tuple[str, str]:
        """Wait for the reply to a message, which has to refuse it: its code and its error."""
        status, response = self.reply(ref)
        assert status == "error", response
        assert set(response) == {"code", "error"}, response
        return response["code"], response["error"]

    def next(self, *events: str, topic: str | None = None) -> Message:
        """The next message of one of these events ("event", "gap", …), of one topic or of any; others are kept."""
        return self._wait_for(lambda message: message.event in events and topic in (None, message.topic))

    def message(self) -> Message:
        """The next message, whatever it is.

        Raises:
            Ended: The server sent a close frame in place of it.
            Closed: The server closed the connection without one.
        """
        return self._kept.popleft() if self._kept else self._read_message()

    def skip(self) -> None:
        """Drop the messages that came while others were waited for."""
        self._kept.clear()

    def text(self) -> str:
        """The next frame, a text, as it was sent; what was kept is left alone."""
        opcode, payload = self.frame()
        assert opcode == Opcode.TEXT, (opcode, payload)
        return payload.decode()

    def has_nothing_more(self) -> bool:
        """Whether nothing was sent before the answer to a heartbeat, and nothing is kept."""
        waits = not self._kept
        self.reply(self.push("phoenix", "heartbeat", {}))
        return waits and not self._kept

    def end(self) -> tuple[int, str]:
        """Wait for the server's close frame, and that it closes the connection; returns its code and its reason."""
        try:
            while True:
                self._read_message()
        except Ended as ended:
            assert self.rest() == b"", "nothing may follow a close frame"
            return ended.args[0], ended.args[1]

    def frame(self) -> tuple[Opcode, bytes]:
        """The next frame; holds the server to RFC 6455 §5."""
        first, second = self._take(2)
        assert first & 0x70 == 0, "a reserved bit is set"
        assert first & 0x80, "the gateway fragments nothing"
        assert second & 0x80 == 0, "a server's frame must not be masked"
        opcode, size = Opcode(first & 0x0F), second & 0x7F
        if size > 125:
            assert opcode < Opcode.CLOSE, "a control frame is longer than 125 bytes"
            extended = 2 if size == 126 else 8
            size = int.from_bytes(self._take(extended), "big")
            assert size > (125 if extended == 2 else 0xFFFF), "a length is not in its shortest form"
        return opcode, self._take(size)

    def frame_of(self, opcode: Opcode) -> bytes:
        """The payload of the next frame of this kind; messages that come before are kept."""
        while (got := self.frame())[0] != opcode:
            assert got[0] == Opcode.TEXT, got
            self._kept.append(self._parse(got[1]))
        return got[1]

    def _wait_for(self, is_wanted: Callable[[Message], bool]) -> Message:
        for index, message in enumerate(self._kept):
            if is_wanted(message):
                del self._kept[index]
                return message
        while not is_wanted(message := self._read_message()):
            self._kept.append(message)
        return message

    def _read_message(self) -> Message:
        while True:
            opcode, payload = self.frame()
            if opcode == Opcode.TEXT:
                return self._parse(payload)
            if opcode == Opcode.CLOSE:
                raise Ended(int.from_bytes(payload[:2], "big") if payload else 1005, payload[2:].decode())
            if opcode == Opcode.PING:
                self.send_frame(Opcode.PONG, payload)
            else:
                assert opcode == Opcode.PONG, f"{opcode.name} is nothing that the gateway sends"

    @staticmethod
    def _parse(payload: bytes) -> Message:
        message = Message(*json.loads(payload.decode()))
        assert isinstance(message.topic, str)
        assert isinstance(message.event, str)
        return message


__all__ = ["Closed", "Ended", "Message", "Opcode", "Refused", "WebSocket", "frame", "frame_head", "handshake_request"]
