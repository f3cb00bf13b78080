import json


def levels(result) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in json.loads(result.stdout)}


def test_all_is_well_where_nothing_is_in_the_way(polyglot, monkeypatch, free_bind):
    monkeypatch.setenv("BIND", free_bind)
    result = polyglot("doctor", "--json")
    assert result.exit_code == 0, result.stdout
    assert {"python", "core", "settings", "data folder", "address", "redis", "processor", "open files"} == set(
        levels(result)
    )
    assert "fail" not in levels(result).values()
    assert polyglot("doctor").exit_code == 0


def test_a_failure_is_shown_with_its_cure_and_ends_with_status_1(polyglot, monkeypatch):
    monkeypatch.setenv("WORKERS", "none")
    result = polyglot("doctor")
    assert result.exit_code == 1
    assert "workers" in result.stdout
    assert "docs/configuration.md" in result.stdout
    assert levels(polyglot("doctor", "--json"))["settings"] == "fail"
