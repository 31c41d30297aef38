"""A day of a case as one scenario of its plan has it, for pictures.

Source: our choice: of the day's scenarios the one whose cost is in the middle.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.day_plan import plans_of
from experiments.reproduce.cases import RISK, case_system, planned, played, problem_of
from mmg_env.layout import S, X

Array = NDArray[np.float64]


class MiddleDay(NamedTuple):
    """What happened.

    Attributes:
        scenario: its number.
        cost: real cost of the system, currency.
        flows: (steps, participants, flows) powers, kW; the storage comes last.
        stored_kwh: (steps + 1,) energy in the storage.
        virtual_kwh: (steps + 1, members) virtual energy of each member, before what is left is
            bought in the evening.
        rented_kwh: (members,).
        limits_kwh: least and most that may be stored.
        prices: (steps,) `tariff` and `market` purchase price, currency per kWh.
    """

    scenario: int
    cost: float
    flows: Array
    stored_kwh: Array
    virtual_kwh: Array
    rented_kwh: Array
    limits_kwh: tuple[float, float]
    prices: dict[str, Array]


def middle_day(day: int, scenarios: int) -> MiddleDay:
    """Plan a test day of the system as shipped and return its scenario of median cost.

    Args:
        day: number of the test episode.
        scenarios: how many are planned for.
    """
    system = case_system({})
    problem = problem_of(system, day, scenarios)
    x = planned(problem, RISK).x
    lived = played(problem, day, plans_of(problem, x))
    costs = np.array([one.cost for one in lived])
    chosen = int(np.argsort(costs, kind="stable")[(len(costs) - 1) // 2])
    one, members = lived[chosen], len(system.members)
    virtual = one.state(S.virtual_kwh)[:, :members].copy()
    solution = problem.form.of_scenario(x, chosen)
    columns = problem.compiled.columns["virtual_kwh"][:, -1]
    virtual[-1, : len(columns)] = np.where(columns >= 0, solution[columns], 0.0)
    ces = system.config.ces
    assert ces is not None  # the system as shipped has one
    capacity = ces.battery.capacity_kwh
    return MiddleDay(
        chosen,
        one.cost,
        one.flows,
        one.energy_kwh[:, -1],
        virtual,
        one.state(S.rental_kwh)[1, :members],
        (ces.battery.soc_min * capacity, ces.battery.soc_max * capacity),
        {"tariff": one.episode.price_buy, "market": one.episode.shared(X.ces_buy)},
    )
