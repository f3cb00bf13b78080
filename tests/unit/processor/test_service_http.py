import json

import pytest
from falcon import testing

from polyglot_gateway.processor import service_http
from polyglot_gateway.processor.problems import MEDIA_TYPE


def sent(data, number=1):
    members = b'{"id":"evt_%d","app_id":"demo","channel":"room:1","type":"message","data":%s}'
    return members % (number, data)


@pytest.fixture
def client(service):
    return testing.TestClient(service_http.create_app(service))


def test_one_event_gets_one_verdict(client):
    answer = client.simulate_post("/process", body=sent(b'"replace"'))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == b'{"id":"evt_1","verdict":"replace","data":{"n":1.10}}'


def test_a_batch_gets_a_verdict_for_each_event_in_order(client):
    events = [sent(data, number) for number, data in enumerate([b'"accept"', b'"reject"', b'"replace"'])]
    answer = client.simulate_post("/process-batch", body=b'{"events":[%s]}' % b",".join(events))
    assert answer.json["verdicts"] == [
        {"id": "evt_0", "verdict": "accept"},
        {"id": "evt_1", "verdict": "reject", "reason": "because of “it”"},
        {"id": "evt_2", "verdict": "replace", "data": {"n": 1.10}},
    ]


def problem(answer):
    assert answer.headers["content-type"] == MEDIA_TYPE
    found = json.loads(answer.content)
    assert found["status"] == answer.status_code
    return found


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/process", b"", 400, "invalid_json"),
        ("/process", b"\xff\x00", 400, "invalid_json"),
        ("/process", b"[]", 400, "invalid_event"),
        ("/process", sent(b'"\\ud800"'), 400, "invalid_json"),
        ("/process-batch", sent(b"1"), 400, "invalid_event"),
        ("/process-batch", b'{"events":[%s]}' % b",".join([sent(b"1")] * 1001), 413, "payload_too_large"),
        ("/process", sent(b'"raise"'), 500, "processor_failed"),
        ("/nowhere", b"", 404, "not_found"),
        ("/health", b"", 405, "method_not_allowed"),
    ],
)
def test_what_goes_wrong_is_a_problem_and_counted(client, path, body, status, code):
    found = problem(client.simulate_post(path, body=body))
    assert (found["status"], found["code"]) == (status, code)
    assert f'failures_total{{code="{code}"}} 1.0' in client.simulate_get("/metrics").text


def test_invalid_json_has_its_place(client):
    assert problem(client.simulate_post("/process", body=b'{"id":}'))["position"] == 6


def test_a_large_body_is_refused(client, monkeypatch):
    monkeypatch.setattr(service_http, "MOST_BYTES", 200)
    assert client.simulate_post("/process", body=sent(b"1")).status_code == 200
    found = problem(client.simulate_post("/process", body=sent(b"1" * 200)))
    assert found["code"] == "payload_too_large"
    assert "at most 200" in found["error"]


def test_a_large_body_in_chunks_is_refused(service, monkeypatch):
    monkeypatch.setattr(service_http, "MOST_BYTES", 200)
    environ = testing.create_environ("/process", method="POST", body=sent(b"1" * 200))
    del environ["CONTENT_LENGTH"]
    answered = testing.StartResponseMock()
    (body,) = service_http.create_app(service)(environ, answered)
    assert answered.status.startswith("413 ")
    assert json.loads(body)["code"] == "payload_too_large"


def test_what_was_not_foreseen_is_a_problem_too(client, service, monkeypatch):
    monkeypatch.setattr(service.rollups, "report", lambda: 1 / 0)
    assert problem(client.simulate_get("/stats"))["code"] == "internal_error"


def test_health_says_when_it_drains(client, service):
    assert client.simulate_get("/health").json == {"status": "ok"}
    service.draining = True
    answer = client.simulate_get("/health")
    assert (answer.status_code, answer.json) == (503, {"status": "draining"})


def test_stats_are_the_rollups(client, service):
    client.simulate_post("/process", body=sent(b"1"))
    before = service.rollups.report()
    # Rates change with each second.
    assert client.simulate_get("/stats").json in (before, service.rollups.report())
