"""JSON Web Key Sets for tests: key pairs, tokens that they sign, and a server that counts how often it is asked."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair, the same one for the same number."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """A key pair on P-256, the same one for the same number."""
    return ec.generate_private_key(ec.SECP256R1())


def member(key: PrivateKey, **members: Any) -> dict[str, Any]:
    """The public key as a set has it, with these members too."""
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig", **members}


def key_set(**keys: PrivateKey) -> str:
    """A set of the public keys, by their kid."""
    return json.dumps({"keys": [member(key, kid=kid) for kid, key in keys.items()]})


def signed(key: PrivateKey, kid: str | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token of `demo` that gives all scopes everywhere for a minute; what is given replaces a claim."""
    every = ["publish", "history", "subscribe", "presence"]
    payload = {"app": "demo", "exp": int(time.time()) + 60, "can": {"*": every}, "sub": "alice", **claims}
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    named = {} if kid is None else {"kid": kid}
    return jwt.encode({n: v for n, v in payload.items() if v is not ...}, key, algorithm, named | (headers or {}))


class KeySource:
    """What serves a set over HTTP.

    Attributes:
        body: Of the answer; it is held back while it is None.
        status: Of the answer.
        asked: How often it was asked.
    """

    def __init__(self) -> None:
        self.body: str | None = key_set(one=rsa_key())
        self.status = 200
        self.fields: dict[str, str] = {}
        self.asked = 0
        self.ended = threading.Event()
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.asked += 1
                while source.body is None:
                    if source.ended.wait(0.01):
                        return
                body = source.body.encode()
                self.send_response(source.status if self.path == "/keys.json" else 200)
                for name, value in source.fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys.json"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def key_source() -> Iterator[KeySource]:
    source = KeySource()
    try:
        yield source
    finally:
        source.close()
