"""The same request gives the same answer from both servers: status, fields and body, byte for byte."""

import pytest
from tests.contract.server import cases_publish, cases_read, cases_rest
from tests.contract.server.exchange import Case, run
from tests.serving import Gateway

CASES: list[Case] = [*cases_publish.CASES, *cases_read.CASES, *cases_rest.CASES]


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in CASES]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_servers_answer_the_same(server: Gateway, reference: Gateway, case: Case) -> None:
    assert run(case, server.port) == run(case, reference.port)
