"""A day-ahead problem divided: who holds what, and what cannot be divided by the hour."""

import numpy as np
import pytest
from houses import (
    AVERSE,
    KINDS,
    PECULIAR,
    houses,
    met,
    peculiar,
    private,
    problem_of,
    real,
    secrets_met,
)

from baselines.compact_benders import Operator
from baselines.day_ahead import DayAhead
from baselines.division import Split, divide
from baselines.extensive_form import ExtensiveForm
from baselines.highs import Solver
from baselines.members import Member
from baselines.partition import Partition, Piece
from baselines.risk import NEUTRAL
from mmg_env import load_system, sample_episode
from mmg_env.config import SystemConfig
from mmg_env.errors import InputError
from mmg_env.public import PublicInfo
from mmg_env.series import Scenarios
from mmg_env.system import System


def test_cuts_by_the_hour_are_refused_where_more_than_shifts_tie_hours_together():
    system = load_system("s1_3mg")
    problem = problem_of(system, sample_episode(system, "test", 0), 2)
    for risk in (NEUTRAL, AVERSE):
        with pytest.raises(InputError, match=r"tie the hours of member MG1 together; single or"):
            divide(problem, "hour", risk)
    charged = houses((("tariff.demand_charge_per_kw", 0.5),), 2)
    for other in (real(), charged):
        with pytest.raises(InputError, match=r"cuts: hour is not possible, .* a demand charge"):
            divide(other, "hour", NEUTRAL)


def inside(thing):
    """Return what a thing holds: items, fields, what a function closes over, a solver's numbers."""
    if isinstance(thing, Solver):
        lp = thing._highs.getLp()
        names = ("col_cost_", "col_lower_", "col_upper_", "row_lower_", "row_upper_")
        return [np.array(getattr(lp, name)) for name in names]
    if isinstance(thing, np.ndarray):
        return [thing.base]
    if isinstance(thing, list | tuple):
        return list(thing)
    fields = thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})
    closed = getattr(thing, "__closure__", None) or ()
    return [*fields.values(), *(cell.cell_contents for cell in closed)]


def reached(thing, seen):
    """Yield whatever can be reached from a thing."""
    if id(thing) in seen or isinstance(thing, str | int | float | type | None):
        return
    seen[id(thing)] = thing
    yield thing
    for one in inside(thing):
        yield from reached(one, seen)


def held(thing):
    """Return all numbers that a thing can reach, and the classes of what it can reach."""
    everything = list(reached(thing, {}))
    arrays = [one.ravel() for one in everything if isinstance(one, np.ndarray)]
    numbers = [one.astype(float) for one in arrays if one.dtype.kind == "f"]
    return np.concatenate(numbers), {type(one) for one in everything}


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_holds_its_own_data_and_nobody_elses(kind):
    problem = peculiar()
    for number, member in enumerate(divide(problem, kind, AVERSE).members):
        numbers, classes = held(member)
        assert {m for m, _ in secrets_met(problem, numbers)} == {number}
        for name in ("renewables", "net load", "grid limits"):
            assert met(private(problem, number)[name], numbers), name
        assert not classes & {DayAhead, ExtensiveForm, Partition, Split, Operator, System}
        assert not classes & {SystemConfig, Scenarios, PublicInfo}


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_holds_no_data_of_members(kind):
    problem = peculiar()
    split = divide(problem, kind, AVERSE)
    numbers, classes = held(Operator(split, AVERSE))
    but = ("shift limit",) if kind == "hour" else ()
    assert secrets_met(problem, numbers, but) == []
    assert not classes & {Member, Piece, DayAhead, ExtensiveForm, System, SystemConfig}
    assert secrets_met(problem, held(split.parts.master)[0], but) == []


def test_where_the_community_nominates_the_operator_knows_the_grid_links():
    """It may ask for no more than a link can carry; what a member needs stays with it."""
    problem = houses((*PECULIAR.items(), ("day_ahead.grid", True)))
    split = divide(problem, "scenario", AVERSE)
    met_there = secrets_met(problem, held(Operator(split, AVERSE))[0])
    assert met_there == [(m, "grid limits") for m in range(3)]
