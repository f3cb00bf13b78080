"""Turns what was measured into lines for people and into JSON."""

from __future__ import annotations

from statistics import median
from typing import Any

from .figures import Figure, Limit
from .load import Measured

Rounds = dict[str, list[Measured]]
"""What each side measured, round by round."""


def lines(name: str, figure: Figure, rounds: Rounds) -> list[str]:
    """The figure for people: min / median / max of each side, then the ratios of the medians."""
    said = [
        f"{name}: {figure.title}",
        f"  {figure.unit}, min / median / max of {_rounds(rounds)}; counts {figure.counts}",
    ]
    for side, measured in rounds.items():
        first, *others = measured[0]
        rest = ", ".join(f"{other} {_number(median(values[other] for values in measured))}" for other in others)
        said.append(
            f"    {side:<12} {_spread([values[first] for values in measured])}" + (f"   ({rest})" if rest else "")
        )
    for limit in figure.limits:
        value = _value(limit, rounds)
        said.append(f"    {_what(limit):<24} {_number(value)}   {_wanted(limit, figure)}: {_verdict(limit, value)}")
    for numerator, denominator in figure.compare:
        said.append(
            f"    {numerator} / {denominator}: {_number(_median(numerator, rounds) / _median(denominator, rounds))}"
        )
    return said


def as_json(figure: Figure, rounds: Rounds) -> dict[str, Any]:
    """The figure with every value that was measured."""
    return {
        "title": figure.title,
        "unit": figure.unit,
        "counts": figure.counts,
        "rounds": rounds,
        "limits": [
            {
                "of": _what(limit),
                "value": _value(limit, rounds),
                "must": limit.must,
                "aim": limit.aim,
                "at_least": limit.at_least,
                "verdict": _verdict(limit, _value(limit, rounds)),
            }
            for limit in figure.limits
        ],
    }


def _rounds(rounds: Rounds) -> str:
    count = len(next(iter(rounds.values())))
    return f"{count} round" + ("s" if count != 1 else "")


def _median(side: str, rounds: Rounds) -> float:
    return median(next(iter(values.values())) for values in rounds[side])


def _value(limit: Limit, rounds: Rounds) -> float:
    if limit.beyond:
        return _median(limit.numerator, rounds) - _median(limit.denominator, rounds)
    below = _median(limit.denominator, rounds) if limit.denominator else 1
    return _median(limit.numerator, rounds) / below


def _what(limit: Limit) -> str:
    operator = "-" if limit.beyond else "/"
    return f"{limit.numerator} {operator} {limit.denominator}" if limit.denominator else limit.numerator


def _wanted(limit: Limit, figure: Figure) -> str:
    sign = ">=" if limit.at_least else "<="
    unit = "" if limit.denominator and not limit.beyond else f" {figure.unit}"
    return f"must {sign} {limit.must}{unit}, aim {sign} {limit.aim}{unit}"


def _verdict(limit: Limit, value: float) -> str:
    holds = value.__ge__ if limit.at_least else value.__le__
    return "aim met" if holds(limit.aim) else "must met" if holds(limit.must) else "MISSED"


def _spread(values: list[float]) -> str:
    return " / ".join(f"{_number(value):>8}" for value in (min(values), median(values), max(values)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
