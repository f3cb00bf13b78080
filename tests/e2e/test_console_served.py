"""The console as both servers give it to a browser."""

import re
from collections.abc import Callable

import pytest
from tests.serving import Gateway


@pytest.mark.parametrize("server", ["native", "wsgi"])
def test_the_page_and_its_files(start: Callable[..., Gateway], server: str) -> None:
    gateway = start("--server", server)
    page = gateway.request("GET", "/console", headers={"X-API-Key": ""})
    assert page.status == 200
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    again = gateway.request("GET", "/console", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    for name in set(re.findall(rb'"(console/[^"]+)"', page.body)):
        asset = gateway.request("GET", f"/{name.decode()}")
        assert asset.status == 200
        assert len(asset.body) == int(asset.headers["Content-Length"])
        assert "immutable" in asset.headers["Cache-Control"]


def test_in_production_there_is_none_unless_it_is_wanted(production_gateway: Gateway) -> None:
    assert production_gateway.request("GET", "/console").status == 404
