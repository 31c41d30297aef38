"""What the report's box says: suite, data, licences, versions, date."""

import os
import platform
from datetime import UTC, datetime

from experiments.records import Origin, package_version
from mmg_env.data import provenance
from mmg_env.system import System

_PACKAGES = ("numpy", "scipy", "numba", "pyomo", "highspy", "gymnasium", "pyarrow")

Facts = list[tuple[str, str]]


def run_facts(system: System, origin: Origin, command: str) -> Facts:
    """Return what was run, and with what."""
    config = system.config
    storage = "with" if system.has_ces else "without"
    packages = ", ".join(f"{name} {package_version(name)}" for name in _PACKAGES)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return [
        ("System", f"{config.name}: {len(system.members)} members, {storage} community storage"),
        ("Episode", f"{config.episode_h} h in steps of {config.dt_h:g} h"),
        ("Currency", config.currency),
        ("Score zero", config.score_zero),
        ("Command", command),
        ("Configuration", f"sha256 {origin.config_sha256}"),
        ("Code", f"mmg-env {origin.mmg_version}, sha256 {origin.code_sha256}"),
        ("Python", f"{platform.python_version()} on {machine}"),
        ("Packages", packages),
        ("Written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]


def data_facts(system: System) -> Facts:
    """Return where the episodes come from, and under which licences."""
    source = system.config.source
    if source is None:
        return [("Source", "none")]
    if source.kind != "analogue":
        return [
            ("Source", f"{source.kind}: synthetic days from the profiles of the system file"),
            ("Licence", "that of this package"),
        ]
    known = provenance()
    files = "; ".join(sorted(known["sources"]))
    tables = "; ".join(f"{name} {facts['sha256']}" for name, facts in known["tables"].items())
    licences = [(f"Licence of {name}", text) for name, text in known["licences"].items()]
    return [
        ("Source", "analogue: whole days of real series, coupled by rank; semi-synthetic"),
        ("Files", files),
        *licences,
        ("Tables, sha256", tables),
    ]
