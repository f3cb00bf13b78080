import json

import grpc
import pytest

from polyglot_gateway import _core
from polyglot_gateway.processor.problems import PROBLEMS, problem_json


@pytest.mark.parametrize("code", sorted(set(PROBLEMS) & set(_core.CODES)))
@pytest.mark.parametrize("position", [None, 8])
def test_it_has_the_form_of_the_gateways(code, position):
    ours = json.loads(problem_json(code, "What is wrong.", position))
    gateways = json.loads(_core.problem_json(code, "What is wrong.", position))
    differs = {"detail", "title"}
    assert {name: ours[name] for name in ours if name not in differs} == {
        name: gateways[name] for name in gateways if name not in differs
    }


def test_each_has_a_status_that_grpc_knows():
    assert all(problem.grpc_status in grpc.StatusCode.__members__ for problem in PROBLEMS.values())
