"""Retail prices and the community storage's market, made from the wholesale price.

price = factor * w + adder of the hour of the day, for each of `PRICES`.

Source: docs/model.md section 5.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mmg_env.config import DynamicTariff, FeedInTariff
from mmg_env.layout import X
from mmg_env.system import System

Array = NDArray[np.float64]

PRICES: Final = (X.price_buy, X.price_sell, X.ces_buy, X.ces_sell, X.spot)


def price_rule(system: System) -> tuple[Array, Array]:
    """Return (5,) factors and (24, 5) adders that make `PRICES` from the wholesale price."""
    tariff = system.config.tariff
    factor = np.zeros(len(PRICES))
    adder = np.zeros((24, len(PRICES)))
    if isinstance(tariff, DynamicTariff):
        factor[0] = tariff.buy_factor
        adder[:, 0] = tariff.buy_adder_per_kwh
    else:
        adder[:, 0] = tariff.buy_per_kwh
    if isinstance(tariff, DynamicTariff | FeedInTariff):
        factor[1] = tariff.sell_factor
        adder[:, 1] = tariff.sell_adder_per_kwh
    else:
        adder[:, 1] = tariff.sell_per_kwh
    factor[4] = 1.0
    ces = system.config.ces
    if ces is not None:
        like = slice(0, 2) if ces.market.price == "retail" else [4, 4]
        factor[2:4] = factor[like]
        adder[:, 2:4] = adder[:, like]
        adder[:, 2] += ces.market.buy_adder_per_kwh
    return factor, adder
