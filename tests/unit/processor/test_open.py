import contextlib
import sys

import pytest
from tests.peers import accept_all, event, http2_peer, http_peer
from tests.serving import free_port

from polyglot_gateway.errors import ProcessorUnavailable, SettingsError
from polyglot_gateway.processor.base import Verdict
from polyglot_gateway.processor.open import open_processor

URL = "http://127.0.0.1:1"


def test_nothing_is_connected_before_something_is_asked():
    with contextlib.closing(open_processor("grpc", [URL, "http://[::1]:2/p"])) as processor:
        report = processor.breaker()
    assert (report["enabled"], report["processor"], report["state"]) == (True, "grpc", "closed")
    assert [(endpoint["endpoint"], endpoint["protocol"]) for endpoint in report["endpoints"]] == [
        ("grpc://127.0.0.1:9090", "grpc"),
        ("http://127.0.0.1:1", "http"),
        ("grpc://[::1]:9090", "grpc"),
        ("http://[::1]:2", "http"),
    ]


@contextlib.contextmanager
def over_grpc(peer, port):
    with contextlib.closing(peer), contextlib.closing(open_processor("grpc", [peer.url], grpc_port=port)) as processor:
        yield processor


def test_what_grpc_does_not_reach_goes_by_http():
    with over_grpc(http_peer(accept_all), free_port()) as processor:
        assert processor.process([event()]) == [Verdict("accept")]
        assert [endpoint["failures"] for endpoint in processor.breaker()["endpoints"]] == [1, 0]


def test_what_grpc_may_have_brought_does_not_go_by_http():
    def close(*_):
        raise EOFError

    with contextlib.closing(http2_peer(close)) as broken:
        with over_grpc(peer := http_peer(accept_all), broken.port) as processor:
            with pytest.raises(ProcessorUnavailable, match=r"^The processor at grpc://"):
                processor.process([event()])
            assert [endpoint["failures"] for endpoint in processor.breaker()["endpoints"]] == [1, 0]
        assert len(broken.got) == 1
        assert peer.got == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("embedded", [URL]), "kind must be http or grpc"),
        (("http", []), "at least one URL"),
        (("http", ["somewhere"]), "the processor's URL 'somewhere' must begin with http:// or https:// and a host"),
        (("http", [URL, URL + "/"]), "two URLs of processors name the same place"),
        (("grpc", [URL, "http://127.0.0.1:2"]), "two URLs of processors name the same place"),
        (("grpc", ["https://there"]), "gRPC goes without TLS"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    with pytest.raises(ValueError, match=said):
        open_processor(*arguments)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pool_size", 0),
        ("timeout", 0),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("breaker_failures", 0),
        ("breaker_seconds", 0),
        ("grpc_port", 0),
        ("grpc_port", 65536),
    ],
)
def test_what_is_wrong_with_an_option_is_said_with_its_name(option, value):
    with pytest.raises(ValueError, match=f"^{option} must be "):
        open_processor("grpc", [URL], **{option: value})


def test_without_grpc_installed_http_works_and_grpc_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    open_processor("http", [URL]).close()
    with pytest.raises(SettingsError, match=r"pip install 'polyglot-gateway\[grpc\]'"):
        open_processor("grpc", [URL])
