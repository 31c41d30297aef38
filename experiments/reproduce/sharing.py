"""What the storage earns, as a linear function of a day's plan, and between which bounds.

Prices inside the community are posted, so who pays whom is linear in the plan::

    cost of the storage =  its real costs                  market, wear, reserve, fees, energy left
                         - ces_to_member  * buy * (1 - loss) * sent * dt
                         + member_to_ces  * buy * received * dt
                         - service_fee * (in + out) * dt  +  lowest sale price * virtual energy left
                         - k_E * K - k_P * R               rent of what is used

It holds because the storage never sends and receives in the same hour: what it sends is paid at
one price whoever takes it, and what others send it does not see. Rent follows from the largest
use, which is convex. So the least profit among equally cheap plans is a linear programme; the most
is looked for without rent, and told with it: a plan attains it, and another may pay more rent.

Source: docs/model.md sections 3, 5 and 6; equally cheap plans are those of `baselines.day_plan`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.compiled import Numbers
from baselines.day_ahead import DayAhead
from baselines.day_plan import DayPlan, equally_cheap
from baselines.solution import Plan
from mmg_env.errors import InputError
from mmg_env.kernel import N_ACTION
from mmg_env.layout import PRICE_RULES, A, W, X

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Account:
    """The storage's expected cost as a function of a plan.

    Attributes:
        slope: (columns,) currency per unit, rent left out.
        rent: (columns,) rent per unit of rented capacity, currency.
        constant: currency.
        participants: of the system.
        prices: of rented energy and power, currency per kWh and kW.
    """

    slope: Array
    rent: Array
    constant: float
    participants: int
    prices: tuple[float, float]

    def cost(self, x: Array, plan: Plan) -> float:
        """Return the storage's expected cost.

        Args:
            x: (columns,) a solution.
            plan: what it does in any scenario; its rent counts.
        """
        first = plan.requests[0, : self.participants * N_ACTION]
        rented = first.reshape(self.participants, N_ACTION)[:, [A.rental_kwh, A.rental_kw]]
        paid = float(rented.sum(axis=0) @ np.array(self.prices))
        return float(self.slope @ x[: len(self.slope)]) + self.constant - paid


def storage_account(problem: DayAhead) -> Account:
    """Return the storage's account of a day.

    Raises:
        InputError: prices in the pool are not posted, or there is no storage.
    """
    system, world = problem.system, problem.system.physics.world
    if not system.has_ces or world[W.price_rule] != PRICE_RULES["posted"]:
        raise InputError(f"{system.name}: it has no storage that trades at posted prices")
    form, constant = problem.form, 0.0
    slope = np.zeros(form.matrix.shape[1])
    for s, probability in enumerate(form.probability):
        own, offset = _real_costs(problem, problem.blocks[s])
        own += _transfers(problem, problem.rows[s])
        np.add.at(slope, form.column[s], probability * own)
        constant += float(probability) * offset
    prices = (float(world[W.rental_per_kwh]), float(world[W.rental_per_kw]))
    rent = np.zeros_like(slope)
    for name, price in zip(("rental_kwh", "rental_kw"), prices, strict=True):
        columns = problem.compiled.columns.get(name, np.zeros(0, dtype=np.int64))
        rent[form.column[0, columns[columns >= 0]]] = price
    return Account(slope, rent, constant, len(system.participants), prices)


def profit_range(plan: DayPlan, account: Account) -> Array:
    """Return (2, columns) equally cheap plans in which the storage earns least and most.

    Raises:
        SolverError: HiGHS proved no optimum.
    """
    least = account.rent - account.slope
    return equally_cheap(plan, np.array([least, account.slope]))


def _real_costs(problem: DayAhead, block: Numbers) -> tuple[Array, float]:
    """Return (columns,) what the storage's part of a scenario's bill costs, and its constant."""
    bill = problem.compiled.bill
    price = np.where(bill.participant == len(problem.system.members), block.price, 0.0)
    return np.asarray(bill.matrix.T @ price), float(price @ block.constant)


def _transfers(problem: DayAhead, rows: Array) -> Array:
    """Return (columns,) what others pay the storage in a scenario, negative, rent left out."""
    world, members = problem.system.physics.world, len(problem.system.members)
    shared = rows[:, 4 * members :]
    buy, dt_h = shared[:, X.price_buy], world[W.dt_h]
    through = 1.0 - world[W.pool_loss]
    found = np.zeros(problem.compiled.matrix.shape[1])

    def book(name: str, part: slice, money: Array) -> None:
        if name in problem.compiled.columns:
            columns = problem.compiled.columns[name][part]
            there = columns >= 0
            found[columns[there]] += np.broadcast_to(money, columns.shape)[there]

    storage, everyone = slice(members, None), slice(None)
    book("sent_kw", storage, -world[W.posted_ces_to_member] * through * dt_h * buy)
    book("received_kw", storage, world[W.posted_member_to_ces] * dt_h * buy)
    fee = np.full(len(rows), -world[W.service_fee_per_kwh] * dt_h)
    book("virtual_in_kw", everyone, fee)
    book("virtual_out_kw", everyone, fee)
    left = np.zeros(len(rows) + 1)
    left[-1] = max(float(shared[:, X.price_sell].min()), 0.0)
    book("virtual_kwh", everyone, left)
    return found
