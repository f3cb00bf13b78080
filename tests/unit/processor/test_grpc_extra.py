import sys

import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.processor.grpc_extra import require_grpc


def test_what_is_installed_is_enough():
    require_grpc("processor")


@pytest.mark.parametrize("module", ["grpc", "grpc_health.v1.health", "grpc_reflection.v1alpha.reflection"])
def test_what_is_missing_is_a_wrong_setting_that_says_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=r"^processor: gRPC .*pip install 'polyglot-gateway\[grpc\]'$"):
        require_grpc("processor")


def test_packages_older_than_the_generated_code_are_told(monkeypatch):
    monkeypatch.setattr("grpc.__version__", "1.0.0")
    monkeypatch.delitem(sys.modules, "polyglot_gateway.processor.proto.processor_pb2_grpc", raising=False)
    with pytest.raises(SettingsError, match=r"^processor: .*pip install"):
        require_grpc("processor")
