import base64

import pytest

from polyglot_gateway.processor.address import parse_address


@pytest.mark.parametrize(
    ("url", "name", "path"),
    [
        ("http://go-processor:8080", "http://go-processor:8080", ""),
        ("http://go-processor:8080/", "http://go-processor:8080", ""),
        ("http://Host/a/b/", "http://host:80", "/a/b"),
        ("https://host", "https://host:443", ""),
        ("http://[::1]:8080", "http://[::1]:8080", ""),
    ],
)
def test_a_url_is_taken_apart(url, name, path):
    address = parse_address(url)
    assert (address.name, address.path, address.authorization) == (name, path, "")


def test_user_and_password_are_kept_apart_from_the_name():
    address = parse_address("http://me:s%40cr%C3%A9t@host:1/p")
    assert base64.b64decode(address.authorization.removeprefix("Basic ")).decode() == "me:s@crét"
    assert address.name == "http://host:1"


def test_another_port_of_the_same_host():
    assert parse_address("http://[::1]:8080").with_port(9090) == "[::1]:9090"
    assert parse_address("http://host").with_port(9090) == "host:9090"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:8080",
        "ftp://me:secret@host",
        "http://",
        "http://me:secret@",
        "http://me:secret@host:port",
        "http://me:secret@host:0",
        "http://me:secret@host:65536",
        "http://me:se/cret@host",
        "http://me:secret@[::1",
        "http://me:secret@host?x=1",
        "http://me:secret@host#x",
        "http://me:secret@ho st",
        "http://me:secret@host/\r\nX: y",
        "http://me:secret@höst",
        "me:secret@host",
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url):
    with pytest.raises(ValueError, match=r"the processor's URL '.*' (must|cannot)") as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert "me:" not in str(caught.value)
