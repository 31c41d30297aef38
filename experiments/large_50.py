"""The system `large_50`: fifty members like those of `community_real`, sizes drawn once.

`python -m experiments.large_50` prints configs/systems/large_50.yaml, the same text every time.

Source: our choice.
"""

import sys
from collections import Counter
from typing import Any, Final

import numpy as np
import yaml

from mmg_env.config_file import config_directory

SEED: Final = 50
MEMBERS: Final = 50
SIZE_SD: Final = 0.4  # of the logarithm of a member's size
SIZED: Final = ("_kw", "_kwh")  # endings of the keys that grow with a member
DEMAND_CHARGE: Final = 0.36  # per kW and day: a seventh of community_real's week
HEADER: Final = """\
# Fifty members of the four kinds of community_real, each of its own size, and a storage of 12.5
# times the size, one day. Printed by: python -m experiments.large_50
"""


def large_50() -> dict[str, Any]:
    """Return the content of the system's file."""
    file = config_directory() / "systems" / "community_real.yaml"
    model: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    rng = np.random.default_rng(SEED)
    kinds = rng.integers(len(model["members"]), size=MEMBERS)
    sizes = np.exp(SIZE_SD * rng.standard_normal(MEMBERS))
    count: Counter[str] = Counter()
    members = []
    for kind, size in zip(kinds, sizes, strict=True):
        member = grown(model["members"][kind], float(size))
        count[member["name"]] += 1
        members.append({**member, "name": f"{member['name']}_{count[member['name']]:02d}"})
    ces = grown(model["ces"], MEMBERS / len(model["members"]))
    tariff = {
        **model["tariff"],
        "demand_charge_per_kw": DEMAND_CHARGE,
        "demand_period_days": 1,
    }
    own = {"name": "large_50", "episode_h": 24, "members": members, "ces": ces, "tariff": tariff}
    splits = {"val": 64, "test": 128, "shift": 64}
    return {**model, **own, "splits": splits}


def grown(content: Any, size: float) -> Any:
    """Return a part of a system file with all powers and energies times a size, rounded."""
    if not isinstance(content, dict):
        return content
    return {
        key: round(value * size, 1)
        if key.endswith(SIZED) and not key.endswith(("per_kwh", "per_kw"))
        else grown(value, size)
        for key, value in content.items()
    }


def text() -> str:
    """Return the system's file."""
    return HEADER + yaml.safe_dump(large_50(), sort_keys=False, width=100)


if __name__ == "__main__":
    sys.stdout.write(text())
