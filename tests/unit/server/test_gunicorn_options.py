from gunicorn.config import Config

from polyglot_gateway.server.gunicorn_options import gunicorn_options
from polyglot_gateway.server.worker import NativeWorker
from polyglot_gateway.server.wsgi_worker import WsgiWorker
from polyglot_gateway.settings import load_settings


def configured(**overrides) -> Config:
    config = Config()
    for name, value in gunicorn_options(load_settings(**overrides)).items():
        config.set(name, value)
    config.validate()
    return config


def test_the_settings_reach_gunicorn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configured(bind="127.0.0.1:4567", workers=3, graceful_timeout=7, log_level="warning")
    assert config.address == [("127.0.0.1", 4567)]
    assert (config.workers, config.graceful_timeout, config.loglevel) == (3, 7, "warning")


def test_each_server_has_its_worker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configured().worker_class is NativeWorker
    assert configured(server="native").worker_connections == 100_000
    wsgi = configured(server="wsgi")
    assert (wsgi.worker_class, wsgi.worker_connections) == (WsgiWorker, 10_000)


def test_proxies_are_those_that_are_trusted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configured(trusted_proxies="10.0.0.0/8,::1").forwarded_allow_ips == ["10.0.0.0/8", "::1"]


def test_what_must_not_be_shared_between_instances_or_across_the_fork_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configured()
    assert config.control_socket_disable
    assert not config.preload_app
    assert not config.reuse_port


def test_a_request_line_holds_the_longest_channel_name():
    channel = "%7E" * 200
    line = f"GET /apps/{'a' * 64}/channels/{channel}/history?limit=1000&since={2**63}&until={2**63} HTTP/1.1"
    assert len(line) < configured().limit_request_line
