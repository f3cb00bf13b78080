"""The packages that gRPC needs, which not everybody installs: the extra `grpc`."""

from __future__ import annotations

import importlib

from polyglot_gateway.errors import SettingsError

_NEEDED = ("grpc", "grpc_health.v1.health", "grpc_reflection.v1alpha.reflection")
_GENERATED = "polyglot_gateway.processor.proto.processor_pb2_grpc"


def require_grpc(setting: str) -> None:
    """Import what gRPC needs.

    Args:
        setting: Whose value asks for gRPC.

    Raises:
        SettingsError: Something is not installed, or is older than the generated code.
    """
    for module in (*_NEEDED, _GENERATED):
        try:
            importlib.import_module(module)
        except Exception as error:  # generated code has errors of its own for packages that are too old
            raise SettingsError(
                f"{setting}: gRPC cannot be used: {str(error).splitlines()[0]}; pip install 'polyglot-gateway[grpc]'"
            ) from error
