"""`polyglot processor` as a user runs it."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polyglot_gateway.processor.proto.processor_pb2 import Event, Events, Verdict
from polyglot_gateway.processor.proto.processor_pb2_grpc import ProcessorStub
from tests.processor_service import ProcessorService
from tests.serving import PATIENCE, POLYGLOT, free_port

ROOT = Path(__file__).parents[2]

# Waits, in each call with data, until the file of that name is there.
WAITING = """
import os, time
from polyglot_gateway.processor.base import ACCEPT
def process(events):
    for event in events:
        open(event.id, "w").close()
        while event.json() and not os.path.exists(event.json()):
            time.sleep(0.01)
    return [ACCEPT] * len(events)
"""


@pytest.fixture
def start(tmp_path):
    """Starts a processor, by the source of its function or the name of one, and returns it once it is ready."""
    started = []

    def start(source=None, name="function_of_tests:process", **options):
        if source is not None:
            (tmp_path / "function_of_tests.py").write_text(source)
        started.append(ProcessorService(tmp_path, name, **options))
        return started[-1].wait_until_ready()

    yield start
    for service in started:
        service.kill_everything()


@pytest.fixture
def stub():
    """Makes a client of a processor; each has a connection of its own."""
    with contextlib.ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]

        def make(service, kind=ProcessorStub):
            return kind(stack.enter_context(grpc.insecure_channel(service.grpc_target, options)))

        yield make


def event(data="null", number=1):
    return {"id": f"evt_{number}", "app_id": "demo", "channel": "room:1", "type": "message", "data": data}


def message(data=b"null", number=1):
    return Event(id=f"evt_{number}", app_id="demo", channel="room:1", type="message", data=data)


def test_all_is_accepted_by_default_and_all_workers_count_together(start, stub):
    service = start(name=None, workers=3)
    for number in range(20):
        assert service.post("/process", event(number=number)) == {"id": f"evt_{number}", "verdict": "accept"}
        answer = stub(service).ProcessBatch(Events(events=[message(number=number)] * 2))
        assert [verdict.kind for verdict in answer.verdicts] == [Verdict.ACCEPT] * 2
    for _ in range(5):
        (channel,) = json.loads(service.request("GET", "/stats").body)["channels"]
        assert (channel["channel"], channel["events"], channel["accepted"]) == ("room:1", 60, 60)
        assert b"polyglot_processor_events_total 60.0" in service.request("GET", "/metrics").body


def test_every_worker_takes_calls_over_grpc(start, stub):
    source = "import os\nfrom polyglot_gateway.processor.base import reject\n"
    service = start(source + "def process(events): return [reject(str(os.getpid()))] * len(events)\n", workers=2)
    seen = {stub(service).Process(message()).reason for _ in range(64)}
    assert seen == set(map(str, service.workers()))


def test_data_goes_byte_for_byte_both_ways(start, stub):
    source = "from polyglot_gateway.processor.base import replace\n"
    service = start(source + "def process(events): return [replace(event.data) for event in events]\n")
    data = b'{"n": 1.10 ,"large":%s,"huge":1e999,"text":"\\u00e9\xc3\xa9"}' % (b"9" * 5000)
    sent = json.dumps(event()).encode().replace(b'"null"', data)
    answer = service.request("POST", "/process", sent)
    assert answer.body == b'{"id":"evt_1","verdict":"replace","data":%s}' % data
    assert stub(service).Process(message(data)).data == data


def test_an_exception_is_in_the_log_and_the_processor_goes_on(start, stub):
    service = start("def process(events):\n    raise KeyError('what the log alone is told')\n")
    for _ in range(2):
        answer = service.request("POST", "/process", json.dumps(event()).encode())
        assert (answer.status, json.loads(answer.body)["code"]) == (500, "processor_failed")
        assert b"the log alone" not in answer.body
        with pytest.raises(grpc.RpcError, match="processor_failed") as caught:
            stub(service).Process(message())
        assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert service.log.read_text().count("what the log alone is told") >= 4


def test_a_worker_that_is_killed_is_started_again_and_its_figures_stay(start, stub, wait_until):
    service = start(name=None, workers=1)
    service.post("/process", event())
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(re.findall(r"is ready", service.log.read_text())) == 2, "the new worker")
    assert worker not in service.workers()
    service.post("/process", event())
    assert stub(service).Process(message()).kind == Verdict.ACCEPT
    (channel,) = json.loads(service.request("GET", "/stats").body)["channels"]
    assert channel["events"] == 3


def test_what_is_under_way_at_sigterm_is_answered(start, stub, wait_until):
    service = start(WAITING)
    watch = stub(service, health_pb2_grpc.HealthStub).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    stream = stub(service).ProcessStream(iter([Events(events=[message(b'"go on"', 3)])]))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        by_http = pool.submit(service.post, "/process", event("go", 1))
        by_grpc = stub(service).Process.future(message(b'"go on"', 2))
        for number in (1, 2, 3):
            wait_until((service.folder / f"evt_{number}").exists, "the calls to be under way")
        service.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert service.process.poll() is None
        (service.folder / "go").touch()
        assert by_http.result(PATIENCE) == {"id": "evt_1", "verdict": "accept"}
        wait_until(lambda: "Worker exiting" in service.log.read_text(), "the end of HTTP")
        (service.folder / "go on").touch()
        assert by_grpc.result(PATIENCE).kind == Verdict.ACCEPT
        assert [verdict.id for verdict in next(stream).verdicts] == ["evt_3"]
    assert service.process.wait(PATIENCE) == 0
    assert "Traceback" not in service.log.read_text()


def test_sigterm_ends_it_although_streams_and_connections_are_idle(start, stub):
    service = start(name=None, workers=2)
    connection = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=PATIENCE)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b'{"status":"ok"}'
    requests = concurrent.futures.Future()
    stream = stub(service).ProcessStream(iter(requests.result, None))
    assert service.stop() == 0
    with pytest.raises((grpc.RpcError, StopIteration)):
        next(stream)
    requests.set_result(None)
    connection.close()


def test_sighup_takes_the_function_anew(start, stub, wait_until):
    source = "from polyglot_gateway.processor.base import reject\ndef process(events): return [reject('%s')]\n"
    service = start(source % "old")
    assert service.post("/process", event())["reason"] == "old"
    (service.folder / "function_of_tests.py").write_text(source % "the new one")
    service.process.send_signal(signal.SIGHUP)

    def reasons():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return {service.post("/process", event())["reason"] for _ in range(5)}

    wait_until(lambda: reasons() == {"the new one"}, "the new function")
    wait_until(lambda: len(service.workers()) == 1, "the old worker's end")
    assert stub(service).Process(message()).reason == "the new one"


@pytest.mark.parametrize("off", ["http", "grpc"])
def test_one_of_the_protocols_can_be_off(start, stub, off):
    service = start(name=None, **{f"{off}_port": 0})
    if off == "http":
        assert stub(service).Process(message()).kind == Verdict.ACCEPT
    else:
        assert service.post("/process", event())["verdict"] == "accept"
    assert service.stop() == 0


def test_reflection_and_health_are_there(start, stub):
    service = start(name=None)
    with grpc.insecure_channel(service.grpc_target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) == {
            "polyglot.processor.v1.Processor",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        found = DescriptorPool(database).FindServiceByName("polyglot.processor.v1.Processor")
        assert {method.name for method in found.methods} == {"Process", "ProcessBatch", "ProcessStream"}
    health = stub(service, health_pb2_grpc.HealthStub)
    request = health_pb2.HealthCheckRequest(service="polyglot.processor.v1.Processor")
    assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING


# Bodies


def test_a_body_may_come_in_chunks(start):
    service = start(name=None)
    body = json.dumps(event()).encode()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=PATIENCE)) as client:
        client.request("POST", "/process", iter([body[:10], body[10:]]), encode_chunked=True)
        assert client.getresponse().read() == b'{"id":"evt_1","verdict":"accept"}'


def half_sent(service, head, body):
    """The answer to a request that ends before it should."""
    with socket.create_connection(("127.0.0.1", service.http_port), PATIENCE) as connection:
        connection.sendall(b"POST /process HTTP/1.1\r\nHost: processor\r\n" + head + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())["code"]


def test_bodies_that_end_early_or_are_too_large_are_refused(start):
    service = start(name=None)
    body = json.dumps(event()).encode()
    assert half_sent(service, b"Content-Length: %d" % (len(body) + 1), body) == (400, "invalid_json")
    assert half_sent(service, b"Transfer-Encoding: chunked", b'6\r\n{"id":\r\n') == (400, "invalid_json")
    assert half_sent(service, b"Content-Length: %d" % (1 << 40), b"") == (413, "payload_too_large")
    assert service.post("/process", event())["verdict"] == "accept"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    service = ProcessorService(tmp_path_factory.mktemp("shared"))
    yield service.wait_until_ready()
    service.kill_everything()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    st.sampled_from(["/process", "/process-batch"]),
    st.binary() | st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"events"', b":", b",", b"1"])).map(b"".join),
)
def test_garbage_is_answered(shared, path, body):
    answer = shared.request("POST", path, body)
    assert answer.status == 400
    assert json.loads(answer.body)["code"] in ("invalid_json", "invalid_event")


# Starts that fail


def said(folder, *arguments, **environment):
    """The one line that a processor says which does not start."""
    answer = subprocess.run(
        [*POLYGLOT, "processor", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        timeout=PATIENCE,
        check=False,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1, answer
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    return line


def test_a_function_that_cannot_be_imported_is_told_in_one_line(tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    (tmp_path / "dying.py").write_text("import os\nos._exit(3)\n")
    ports = ("--http", str(free_port()), "--grpc", "0")
    line = said(tmp_path, *ports, "--function", "broken:process")
    assert line == "polyglot: function: 'broken:process': cannot import broken: No module named 'no_such_module'"
    line = said(tmp_path, *ports, "--function", "dying:process")
    assert line == "polyglot: function: 'dying:process': importing it ended the process"


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path, shared):
    line = said(tmp_path, "--http", str(free_port()), "--grpc", str(shared.grpc_port))
    assert line.startswith(f"polyglot: grpc: cannot listen on 127.0.0.1:{shared.grpc_port}: it is in use")


def test_without_the_extra_grpc_it_says_what_to_install(tmp_path):
    (tmp_path / "grpc.py").write_text("raise ImportError('No module named grpc')\n")
    line = said(tmp_path, "--http", str(free_port()), "--grpc", str(free_port()), PYTHONPATH=str(tmp_path))
    assert line.startswith("polyglot: grpc: ")
    assert line.endswith("pip install 'polyglot-gateway[grpc]'")


def test_without_the_extra_otel_it_says_what_to_install(tmp_path):
    # A package of this name that has nothing in it goes before the real one.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    line = said(tmp_path, "--traces", "otlp", PYTHONPATH=str(tmp_path))
    assert line.startswith("polyglot: traces: OpenTelemetry cannot be used")
    assert line.endswith("pip install 'polyglot-gateway[otel]'")


def test_another_kind_of_traces_is_told_in_one_line(tmp_path):
    assert said(tmp_path, "--traces", "jaeger") == "polyglot: traces: 'jaeger': must be off or otlp"


# Documents and examples


def test_the_examples_work(start, tmp_path):
    for name in ("enrich", "veto"):
        (tmp_path / f"{name}.py").write_text((ROOT / "examples" / f"{name}.py").read_text())
    enrich = start(name="enrich:process")
    assert enrich.post("/process", event({"text": "to be or not"}))["data"] == {"text": "to be or not", "words": 4}
    assert enrich.post("/process", event(1))["verdict"] == "accept"
    veto = start(name="veto:process")
    assert veto.post("/process", event("Nothing"))["verdict"] == "accept"
    assert veto.post("/process", event("My Password"))["reason"] == "Nobody may say 'password' here."


def test_the_document_says_what_happens(start, tmp_path):
    text = (ROOT / "docs" / "processor.md").read_text()
    name, source = re.search(r"^```python (\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL).groups()
    (tmp_path / name).write_text(source)
    service = start(name=re.search(r"--function (\S+)", text)[1])
    shown = re.findall(r"^```(\w+) processor\n(.*?)^```\n\n```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert {language for language, _, _ in shown} == {"bash", "python"}
    for language, code, output in shown:
        here = code.replace("localhost:8080", f"localhost:{service.http_port}")
        here = here.replace("localhost:9090", f"localhost:{service.grpc_port}")
        command = [sys.executable, "-c", here] if language == "python" else ["bash", "-euo", "pipefail", "-c", here]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        assert answer.stdout.strip() == output.strip()
