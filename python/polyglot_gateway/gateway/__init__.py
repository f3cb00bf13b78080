"""The REST interface: a Falcon application over an engine."""

from polyglot_gateway.gateway.create_app import create_app

__all__ = ["create_app"]
