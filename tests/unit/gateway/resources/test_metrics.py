import pytest
from falcon import testing


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("*/*", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
def test_the_scraper_gets_the_format_it_asks_for(stranger: testing.TestClient, accept: str, content_type: str) -> None:
    reply = stranger.simulate_get("/metrics", headers={"Accept": accept})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith(content_type)
    assert "polyglot_publishes_total" in reply.text


def test_refused_requests_are_counted(stranger: testing.TestClient) -> None:
    stranger.simulate_get("/nowhere")
    stranger.simulate_get("/nowhere")
    assert 'polyglot_refused_total{code="not_found"} 2.0' in stranger.simulate_get("/metrics").text
