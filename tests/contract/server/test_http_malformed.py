"""What is no HTTP is refused with a word, and the connection closed, before anybody can read it in two ways."""

import http.client
import json

import pytest
from tests.contract.server.malformed import MALFORMED, Malformed
from tests.raw_http import RawConnection
from tests.serving import Gateway

# What gunicorn answers to some of them, and why that is no harm.
GUNICORN = {
    "a length beyond 64 bits": (413, "it has no largest number; for the gateway any such body is too large"),
    "a chunk size beyond 64 bits": (413, "the same for chunks"),
    "an unknown coding": (501, "the status that RFC 9112, section 6.1, advises"),
    "an empty coding": (501, "the same"),
    "chunked with a tab in it": (501, "the same"),
    "chunked in quotes": (501, "the same"),
    "a coding before chunked": (200, "it takes the chunks apart and leaves the coding to the application"),
    "no Host": (200, "it does not ask for one; the gateway has no use for it either"),
    "fields that are too large together": (200, "it limits fields one by one"),
}


def last_offset(server: Gateway) -> int:
    answer = server.request("GET", "/apps/demo/channels/malformed", headers={"X-API-Key": "full-key"})
    return json.loads(answer.body)["last_offset"]


def test_the_list_of_what_gunicorn_does_names_only_what_is_tested() -> None:
    assert set(GUNICORN) <= {malformed.name for malformed in MALFORMED}


@pytest.mark.parametrize("malformed", MALFORMED, ids=str)
def test_it_is_refused_and_the_connection_closed(
    server: Gateway, server_name: str, raw: RawConnection, malformed: Malformed
) -> None:
    before = last_offset(server)
    answer = raw.send(malformed.sent).answer()
    if server_name.startswith("wsgi") and malformed.name in GUNICORN:
        assert answer.status == GUNICORN[malformed.name][0]
        return
    status, code = malformed.answer
    assert answer.status == status, answer
    assert raw.is_closed()
    assert last_offset(server) == before
    if server_name == "native":
        problem = answer.json()
        assert answer.field("content-type") == "application/problem+json"
        assert answer.field("connection") == "close"
        assert (problem["status"], problem["code"]) == (status, code)
        assert problem["error"]
        assert problem["request_id"] == answer.field("x-request-id")


@pytest.mark.parametrize("malformed", [each for each in MALFORMED if len(each.sent) < 300], ids=str)
def test_it_is_refused_byte_by_byte_too(server_name: str, raw: RawConnection, malformed: Malformed) -> None:
    for byte in malformed.sent:
        raw.send(bytes([byte]))
    ours = not server_name.startswith("wsgi")
    status = malformed.answer[0] if ours else GUNICORN.get(malformed.name, malformed.answer)[0]
    assert raw.answer().status == status


def test_what_follows_a_malformed_request_is_not_read(server: Gateway, raw: RawConnection) -> None:
    event = b'{"type":"message","data":"smuggled"}'
    smuggled = (
        b"POST /apps/demo/channels/smuggled/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: full-key\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(event), event)
    )
    raw.send(b"GET /alive HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n" + smuggled)
    assert raw.answer().status == http.client.BAD_REQUEST
    assert raw.is_closed()
    answer = server.request("GET", "/apps/demo/channels/smuggled", headers={"X-API-Key": "full-key"})
    assert json.loads(answer.body)["last_offset"] == 0
