"""Key figures of an episode, by name.

Rainflow counts cycles on the realised state of charge (the `rainflow` package, ASTM E1049-85);
the loss of a cycle of depth d is that of `mmg_env.wear`.

Source: our choice.
"""

from typing import Final

import numpy as np
import rainflow
from numpy.typing import NDArray

from mmg_env.layout import PROJECTED_KW, REAL_COSTS, F, L, P, S, W, X
from mmg_env.system import System
from mmg_env.trajectory import Trajectory
from mmg_env.wear import cycle_loss

Array = NDArray[np.float64]

INDICATORS: Final = (
    "unserved_kwh",
    "unserved_heat_kwh",
    "spill_kwh",
    "curtailed_kwh",
    "import_kwh",
    "export_kwh",
    "peak_import_kw",
    "pool_kwh",
    "pool_cut_kwh",
    "co2_kg",
    "self_sufficiency",
    "self_consumption",
    "projection_kw",
    "equivalent_full_cycles",
    "cycle_loss",
    "capacity_left",
)
"""Names of the figures beside `cost` and the ledger's terms, in order."""


def kpis(system: System, trajectory: Trajectory) -> dict[str, float]:
    """Return named figures of one episode: money in currency, energy in kWh.

    Keys: `cost` (sum of the real terms), every ledger term summed over the episode (transfers as
    paid by the members), and the indicators of `energy_kpis`, `battery_kpis`.
    """
    figures = {"cost": trajectory.cost}
    members = len(system.members)
    for column in L:
        account = trajectory.account(column)
        real = column.name in REAL_COSTS
        figures[column.name] = float(account.sum() if real else account[:, :members].sum())
    return figures | energy_kpis(system, trajectory) | battery_kpis(system, trajectory)


def energy_kpis(system: System, trajectory: Trajectory) -> dict[str, float]:
    """Return energies (kWh), emissions (kg), shares and the projection's distance (kW)."""
    dt_h, members = system.dt_h, len(system.members)
    episode = trajectory.episode

    def kwh(column: F) -> float:
        return float(trajectory.flow(column).sum()) * dt_h

    imported = trajectory.flow(F.import_kw).sum(axis=1)
    gas_kg = float(system.physics.world[W.gas_kg_per_m3] * trajectory.flow(F.gas_m3).sum())
    load = float(episode.load_kw.sum()) * dt_h
    renewable = float((episode.wind_kw + episode.pv_kw).sum()) * dt_h
    exported = float(trajectory.flow(F.export_kw)[:, :members].sum()) * dt_h
    return {
        "unserved_kwh": kwh(F.unserved_kw),
        "unserved_heat_kwh": kwh(F.unserved_heat_kw),
        "spill_kwh": kwh(F.spill_kw),
        "curtailed_kwh": kwh(F.curtailed_kw),
        "import_kwh": float(imported.sum()) * dt_h,
        "export_kwh": kwh(F.export_kw),
        "peak_import_kw": float(imported.max()),
        "pool_kwh": kwh(F.received_kw),
        "pool_cut_kwh": kwh(F.pool_cut_kw),
        "co2_kg": float((imported * episode.shared(X.carbon_kg_per_kwh)).sum()) * dt_h + gas_kg,
        "self_sufficiency": 1.0 - float(imported.sum()) * dt_h / load if load > 0.0 else 1.0,
        "self_consumption": 1.0 - (exported + kwh(F.curtailed_kw)) / renewable
        if renewable > 0.0
        else 1.0,
        "projection_kw": float(sum(trajectory.flow(F[name]).sum() for name in PROJECTED_KW)),
    }


def battery_kpis(system: System, trajectory: Trajectory) -> dict[str, float]:
    """Return full cycles, rainflow cycle loss and capacity left, each a mean over batteries."""
    capacity = system.physics.table[:, P.capacity_kwh]
    owners = np.flatnonzero(capacity > 0.0)
    if len(owners) == 0:
        return {"equivalent_full_cycles": 0.0, "cycle_loss": 0.0, "capacity_left": 1.0}
    soc = trajectory.energy_kwh[:, owners] / capacity[owners]
    cycles = [_count(soc[:, k]) for k in range(len(owners))]
    left = trajectory.state(S.capacity_kwh)[-1, owners] / capacity[owners]
    return {
        "equivalent_full_cycles": float(np.mean([c[0] for c in cycles])),
        "cycle_loss": float(np.mean([c[1] for c in cycles])),
        "capacity_left": float(left.mean()),
    }


def _count(soc: Array) -> tuple[float, float]:
    """Return equivalent full cycles and lost share of life of one state-of-charge path."""
    counted = rainflow.count_cycles(soc)
    full = sum(depth * count for depth, count in counted)
    lost = sum(float(cycle_loss(depth)) * count for depth, count in counted)
    return float(full), float(lost)
