"""What the embedded tables must agree with whoever built them: published prices, sun and clock.

`provenance.json` is written by the build: a build that is wrong writes wrong references, and a
fitting hash, beside its wrong numbers. Nothing here comes from the build.

- Dutch prices: means of days and weeks and single hours as news reported them, to the last digit
  reported; they lie in summer time and in winter time.
- Texan prices: means over the on-peak block, and the hour at which it begins.
- PV: dark when the sun is below the horizon; its yield is near that of a simple model.
- Wind: rated power less the losses is reached, and never passed.
- Temperature: the coldest hour in summer is the one in which the sun rises.
- Demand: peaks at 1, follows the published standard profiles, rests on Sundays.

What no anchor holds: the hour of the wind, the day of the weather (a typical year has no dates),
and the level of Dutch prices in years of which no figure stands here.

Source: given beside each figure.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Table = Mapping[str, Array]

# First hour (UTC), hours, EUR/MWh, half of the last digit reported and a little for rounding.
DUTCH: Final = (
    # AleaSoft, weekly reports on European markets; the last hour was reprinted without its minus
    ("2020-09-06T22", 168, 39.22, 0.007),
    ("2020-09-12T22", 24, 25.48, 0.007),
    ("2024-05-12T11", 1, -200.00, 0.007),
    ("2024-09-08T22", 168, 79.85, 0.007),
    ("2024-09-10T13", 1, -1.83, 0.007),
    # PZEM, weekly market reports
    ("2023-06-25T22", 168, 70.3, 0.06),
    ("2023-07-01T22", 24, -89.0, 0.6),
    ("2023-12-31T23", 168, 69.2, 0.06),
    # Boerenbusiness, 26 November 2023
    ("2023-11-20T23", 24, 122.42, 0.007),
    ("2023-11-23T23", 24, 84.72, 0.007),
)
# First and last date, USD/MWh over the on-peak block (work days, 6 to 22 h); S&P Global, February
# and March 2021. Of hubs near to the mean of hubs, hence 1 %.
TEXAN: Final = (("2021-02-01", "2021-02-28", 1800.98), ("2021-02-17", "2021-02-17", 8800.0))
TEXAN_TOLERANCE: Final = 0.01
ON_PEAK: Final = slice(6, 22)
MORNING: Final = slice(2, 8)

# Quarter hours of the standard profiles as means of hours, work days, W at 1000 kWh per year.
# Source: VDEW, Repraesentative VDEW-Lastprofile (1999): H0, and .8 G3 + .2 G1.
HOMES: Final = MappingProxyType(
    {
        "winter": "58 43 40 39 39 47 90 129 134 123 116 118 "
        "131 130 115 105 105 129 166 187 168 141 117 86",
        "summer": "74 55 50 47 49 59 98 130 142 144 139 142 "
        "158 153 132 119 115 122 142 165 167 158 145 112",
    }
)
WORKS: Final = MappingProxyType(
    {
        "winter": "81 84 80 76 73 83 89 125 192 213 216 217 "
        "205 181 171 175 166 148 140 124 102 93 89 83",
        "summer": "84 81 80 78 77 76 94 119 159 180 182 182 "
        "176 158 155 156 145 134 123 116 107 97 91 86",
    }
)
# Thousandths of the day's heat at 5 to 10 degC: one-family houses (class 7), and .6 metal works
# + .4 laundries. Source: BGW/BDEW, hourly factors of the gas profiles of TU Munich.
WARM_HOMES: Final = MappingProxyType(
    {
        "year": "20 21 22 25 32 47 61 58 53 49 46 43 42 42 42 44 47 51 52 53 51 45 32 22",
    }
)
WARM_WORKS: Final = MappingProxyType(
    {
        "year": "25 26 26 28 31 40 48 64 68 68 61 60 52 48 44 45 43 41 33 33 32 32 28 25",
    }
)
DAY_REFERENCES: Final = MappingProxyType(
    {
        "load_village": HOMES,
        "load_suburb": HOMES,
        "load_estate": HOMES,
        "load_works": WORKS,
        "heat_village": WARM_HOMES,
        "heat_suburb": WARM_HOMES,
        "heat_works": WARM_WORKS,
    }
)
SEASONS: Final = MappingProxyType(  # days of the year in which the profiles are what they are named
    {"winter": (*range(78), *range(305, 365)), "summer": tuple(range(135, 255))}
    | {"year": tuple(range(365))}
)
UNLIKE: Final = 0.05  # of the mean load: how much the mean Monday may differ from the other days

WIND_FULL: Final = 0.95  # rated power less 5 % losses, which every site reaches in a storm
DARK_DEG: Final = -1.0  # below this elevation at mid-hour nothing is produced ...
DARK_HOURS: Final = 20  # ... but for an hour or two: the formula of the sun is a short one
YIELD_RATIO: Final = (0.98, 1.08)  # a sky that is brighter near the sun gives 3 to 5 % more
JUNE_JULY: Final = slice(151, 212)


class Place(NamedTuple):
    """An airport, its standard time, and what an array like the table's yields there.

    Attributes:
        latitude: degrees north.
        longitude: degrees east.
        utc_offset_h: of standard time.
        yield_share: mean output per unit of a south-facing array at 35 degrees, 14 % losses,
            96 % inverter, -.35 %/K, under an isotropic sky; computed from the airport's TMY3 file.
    """

    latitude: float
    longitude: float
    utc_offset_h: float
    yield_share: float


PLACES: Final = MappingProxyType(
    {
        "a": Place(47.47, -122.32, -8.0, 0.1246),
        "b": Place(48.12, -123.50, -8.0, 0.1275),
        "c": Place(40.65, -73.80, -5.0, 0.1432),
    }
)


def contradictions(name: str, table: Table) -> list[str]:
    """Return what a table says against its anchors, as sentences.

    Args:
        name: one of `mmg_env.data.NAMES`.
        table: its columns, complete and finite.
    """
    checks: dict[str, Callable[[Table], list[str]]] = {
        "prices_nl": _dutch_prices,
        "prices_ercot": _texan_prices,
        "sites": _sites,
        "demand": _demand,
    }
    return checks[name](table)


def lag_matches(by_hour: Array, reference: Array) -> list[float]:
    """Return (24,): correlation of a mean day with a reference when it is moved back by 0..23 h."""
    return [float(np.corrcoef(np.roll(by_hour, -lag), reference)[0, 1]) for lag in range(24)]


def elevation_deg(place: Place) -> Array:
    """Return (365, 24): the sun's elevation at mid-hour.

    Source: Cooper's declination and the usual equation of time (Duffie and Beckman).
    """
    day = np.arange(1, 366)[:, None]
    declination = np.radians(23.45) * np.sin(2.0 * np.pi * (284 + day) / 365.0)
    hour_angle = np.radians(15.0 * (np.arange(24) + 0.5 - solar_noon_h(place)[:, None]))
    latitude = np.radians(place.latitude)
    sine = np.sin(latitude) * np.sin(declination)
    sine = sine + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    return np.asarray(np.degrees(np.arcsin(sine)))


def solar_noon_h(place: Place) -> Array:
    """Return (365,): solar noon in standard time."""
    angle = 2.0 * np.pi * (np.arange(1, 366) - 81) / 364.0
    equation_min = 9.87 * np.sin(2.0 * angle) - 7.53 * np.cos(angle) - 1.5 * np.sin(angle)
    return np.asarray(12.0 + place.utc_offset_h - place.longitude / 15.0 - equation_min / 60.0)


def _dutch_prices(table: Table) -> list[str]:
    findings = []
    for first, hours, published, tolerance in DUTCH:
        start = int(np.searchsorted(table["time"], np.datetime64(first)))
        per_kwh = table["spot_eur_per_kwh"][start : start + hours]
        found = 1000.0 * float(per_kwh.mean(dtype=float))
        if abs(found - published) > tolerance:
            findings.append(
                f"spot_eur_per_kwh has the mean {found:.2f} EUR/MWh over {hours} h from {first} "
                f"UTC, published was {published:g}."
            )
    return findings


def _texan_prices(table: Table) -> list[str]:
    date = table["time"][::24].astype("datetime64[D]")
    hourly = 1000.0 * np.asarray(table["spot_usd_per_kwh"], dtype=float).reshape(-1, 24)
    work_day = _weekday(date) < 5
    findings = []
    for first, last, published in TEXAN:
        chosen = work_day & (date >= np.datetime64(first)) & (date <= np.datetime64(last))
        found = float(hourly[chosen, ON_PEAK].mean())
        if abs(found / published - 1.0) > TEXAN_TOLERANCE:
            findings.append(
                f"spot_usd_per_kwh has the on-peak mean {found:.2f} USD/MWh from {first} to "
                f"{last}, published was {published:g}."
            )
    month = date.astype("datetime64[M]").astype(int) % 12
    # The block begins at 6 on the clock, which in summer is 5 in standard time.
    for season, months, begin in (("winter", (0, 1, 10, 11), 6), ("summer", (4, 5, 6, 7, 8), 5)):
        rise = np.median(np.diff(hourly[work_day & np.isin(month, months)], axis=1), axis=0)
        steepest = MORNING.start + int(np.argmax(rise[MORNING])) + 1
        if steepest != begin:
            findings.append(
                f"spot_usd_per_kwh rises most at {steepest} h on work days in {season}, "
                f"the on-peak block begins at {begin} h."
            )
    return findings


def _sites(table: Table) -> list[str]:
    findings = []
    for site, place in PLACES.items():
        findings += _light(f"pv_{site}", table[f"pv_{site}"], place)
        findings += _storm(f"wind_{site}", table[f"wind_{site}"])
        findings += _dawn(f"temperature_c_{site}", table[f"temperature_c_{site}"], place)
    return findings


def _light(label: str, values: Array, place: Place) -> list[str]:
    findings = []
    dark = int(np.sum(values.reshape(-1, 24)[elevation_deg(place) < DARK_DEG] > 0.0))
    if dark > DARK_HOURS:
        findings.append(f"{label} is above 0 in {dark} hours in which the sun is below ground.")
    ratio = float(values.mean(dtype=float)) / place.yield_share
    if not YIELD_RATIO[0] <= ratio <= YIELD_RATIO[1]:
        findings.append(
            f"{label} yields {ratio:.3f} times what a simple model of the array does, "
            f"allowed is {YIELD_RATIO[0]:g}..{YIELD_RATIO[1]:g}."
        )
    return findings


def _storm(label: str, values: Array) -> list[str]:
    highest = float(values.max())
    if abs(highest - WIND_FULL) > 0.002:
        return [f"{label} reaches {highest:.4g} in a storm, expected {WIND_FULL:g}."]
    return []


def _dawn(label: str, values: Array, place: Place) -> list[str]:
    summer = slice(JUNE_JULY.start, JUNE_JULY.stop)
    coldest = int(np.argmin(values.reshape(-1, 24)[summer].mean(axis=0)))
    up = elevation_deg(place)[summer] > 0.0
    # Half a day's light before solar noon; hours are counted at their middle, so they add up.
    sunrise = int(solar_noon_h(place)[summer].mean() - up.sum(axis=1).mean() / 2.0)
    if coldest != sunrise:
        return [f"{label} is lowest at {coldest} h in June and July, the sun rises at {sunrise} h."]
    return []


def _demand(table: Table) -> list[str]:
    date = table["time"][::24].astype("datetime64[D]")
    weekday, kind = _weekday(date), table["day_type"][::24]
    if np.any(kind[weekday == 6] != 2) or np.any(weekday[kind == 1] != 5):
        return ["day_type does not follow the calendar: Sundays are 2, only Saturdays 1."]
    findings = []
    for label, references in DAY_REFERENCES.items():
        hourly = np.asarray(table[label], dtype=float).reshape(-1, 24)
        if hourly.max() != 1.0:
            findings.append(f"{label} peaks at {hourly.max():.4g}, expected 1.")
        for season, reference in references.items():
            chosen = np.isin(np.arange(365), SEASONS[season]) & (kind == 0)
            match = lag_matches(
                hourly[chosen].mean(axis=0), np.array(reference.split(), dtype=float)
            )
            if lag := int(np.argmax(match)):
                findings.append(
                    f"{label} ({season}) matches the standard profile best when moved back by "
                    f"{lag} h."
                )
        if label.startswith("load_"):
            findings += _week(label, hourly[kind == 0], weekday[kind == 0])
    return findings


def _week(label: str, hourly: Array, weekday: Array) -> list[str]:
    """A load a day late carries Sunday's on Mondays; one too early, Saturday's on Fridays."""
    middle = hourly[(weekday >= 1) & (weekday <= 3)].mean(axis=0)
    findings = []
    for number, name in ((0, "Mondays"), (4, "Fridays")):
        apart = np.abs(hourly[weekday == number].mean(axis=0) - middle).max() / middle.mean()
        if apart > UNLIKE:
            findings.append(f"{label} is unlike other work days on {name}.")
    return findings


def _weekday(date: Array) -> Array:
    """Return 0 on Mondays, 6 on Sundays."""
    return np.asarray((date.astype(int) + 3) % 7)  # 1 January 1970 was a Thursday
