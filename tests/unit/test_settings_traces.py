import sys
from collections.abc import Callable

import pytest

from polyglot_gateway.errors import SettingsError
from polyglot_gateway.settings import Settings
from polyglot_gateway.settings_traces import missing_otel


def test_there_are_none_unless_asked_for(load: Callable[..., Settings]) -> None:
    assert load().traces == "off"
    assert load(env={"TRACES": "otlp"}).traces == "otlp"


def test_where_they_are_asked_for_they_can_be_left_out(load: Callable[..., Settings]) -> None:
    assert load(traces="otlp").without_traces().traces == "off"


def test_there_is_no_other_kind(load: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"^traces: 'jaeger': "):
        load(traces="jaeger")


def test_what_is_installed_is_enough() -> None:
    assert missing_otel("traces") == []


@pytest.mark.parametrize("module", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_what_is_missing_is_a_wrong_setting_that_says_what_to_install(
    load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=rf"^traces: .* no {module}; pip install 'polyglot-gateway\[otel\]'$"):
        load(traces="otlp")
    assert load().traces == "off"


def test_no_parent_of_what_is_missing_is_needed_to_say_so(
    load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingsError, match=r"^traces: .*pip install"):
        load(traces="otlp")
