"""Checks between the parts of a system: free money, idle penalties, names, firm loads.

Source: sections 1 to 5 of docs/model.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from mmg_env.config import BatteryConfig, MemberConfig, SystemConfig

HOURS = 24
"""Hours of a day: the length of every daily profile and price list."""
SCENES = 5
"""Typical days of the source `scenes`."""
_ROUNDING = 1e-9

KeyPath = tuple[str | int, ...]


class Problem(NamedTuple):
    """A check that failed: the field, below the model that is checked, and a sentence."""

    field: KeyPath
    sentence: str


def refuse(problems: Iterable[Problem]) -> None:
    """Raise if there is any problem; all of them travel in the error's context."""
    found = list(problems)
    if found:
        text = "; ".join(f"{path_text(p.field)}: {p.sentence}" for p in found)
        raise PydanticCustomError("problems", "{text}", {"text": text, "problems": found})


def path_text(path: KeyPath) -> str:
    """Write a path as the files do: ``members[1].battery.capacity_kwh``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like another, if any is much like it."""
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' for the nearest known word, or nothing."""
    near = nearest(word, known)
    return f'; did you mean "{near}"?' if near else ""


def known_words(word: str, known: Sequence[str]) -> str:
    """Return the end of a sentence about an unknown word: the nearest, and all that are known."""
    link = did_you_mean(word, known)
    return f"{link} Known: {', '.join(known)}" if link else f"; known: {', '.join(known)}"


def price_problems(buy: Sequence[float], sell: Sequence[float]) -> Iterator[Problem]:
    """Purchase must be at least max(0, sale) in each hour of the day."""
    for hour, (price, sale) in enumerate(zip(buy, sell, strict=True)):
        if price < 0:
            yield Problem(("buy_per_kwh", hour), f"{price:g} must be at least 0")
        elif price < sale:
            sentence = f"{sale:g} must be at most buy_per_kwh {price:g} of the same hour"
            yield Problem(("sell_per_kwh", hour), sentence)


def system_problems(config: "SystemConfig") -> Iterator[Problem]:
    """Yield everything that is wrong between the parts of a system."""
    return chain(
        _time(config),
        _names(config),
        _profiles(config),
        _markov(config),
        _wholesale(config),
        _scene_probabilities(config),
        _flex(config),
        _batteries(config),
        _penalties(config),
        _money_pump(config),
    )


def system_remarks(config: "SystemConfig") -> Iterator[str]:
    """Yield what is legal but probably not meant."""
    if config.pool.enabled and (len(config.members) > 1 or config.ces is not None):
        for index, member in enumerate(config.members):
            if member.link_kw == 0:
                yield f"members[{index}].link_kw: 0 keeps {member.name} out of the pool"
    ces = config.ces
    if ces is None or ces.market.export_kw is None:
        return
    power = ces.battery.power_kw
    rented = ces.overbooking * power if config.pool.enabled and ces.rental else 0.0
    link = power if ces.link_kw is None else ces.link_kw
    received = link if config.pool.enabled and ces.pool_in else 0.0
    enough = power + rented + received
    if ces.market.export_kw < enough:
        yield (
            f"ces.market.export_kw: {ces.market.export_kw:g} is less than the battery's power, "
            f"the rentable power and the pool link together, {enough:g}; energy may be spilled"
        )


def _time(config: "SystemConfig") -> Iterator[Problem]:
    steps = HOURS / config.dt_h
    if steps < 1 - _ROUNDING or abs(steps - round(steps)) > _ROUNDING * steps:
        yield Problem(("dt_h",), f"{config.dt_h:g} must divide the 24 h of a day")
    if config.episode_h % HOURS:
        yield Problem(("episode_h",), f"{config.episode_h} must be a multiple of 24")


def _names(config: "SystemConfig") -> Iterator[Problem]:
    seen: set[str] = set()
    for index, member in enumerate(config.members):
        if member.name in seen:
            sentence = f'"{member.name}" is taken by an earlier member; names must be unique'
            yield Problem(("members", index, "name"), sentence)
        seen.add(member.name)


def _profiles(config: "SystemConfig") -> Iterator[Problem]:
    if config.source is None or config.source.kind != "scenes":
        return
    known = config.source.profiles
    for index, member in enumerate(config.members):
        for device in ("load", "heat", "wind", "pv"):
            user = getattr(member, device)
            if user is not None and user.profile not in known:
                sentence = (
                    f'"{user.profile}" is not among source.profiles '
                    f"({', '.join(known)}){did_you_mean(user.profile, known)}"
                )
                yield Problem(("members", index, device, "profile"), sentence)


def _markov(config: "SystemConfig") -> Iterator[Problem]:
    """The source `markov` knows prices and loads, and its hours are of one length."""
    source = config.source
    if source is None or source.kind != "markov":
        return
    for index, member in enumerate(config.members):
        for device in ("wind", "pv", "heat"):
            if getattr(member, device) is not None:
                sentence = "source `markov` has prices and electric loads only; remove it"
                yield Problem(("members", index, device), sentence)
    lowest = min(source.load_profile) - source.load_step
    if lowest < 0:
        sentence = f"{source.load_step:g} makes the least load {lowest:g}; it must be at least 0"
        yield Problem(("source", "load_step"), sentence)
    if config.dt_h != 1:
        sentence = f"{config.dt_h:g} must be 1, the step of the source `markov`"
        yield Problem(("dt_h",), sentence)


def _wholesale(config: "SystemConfig") -> Iterator[Problem]:
    """A wholesale price must be stated where something follows it."""
    source = config.source
    if source is None or source.kind != "scenes" or source.wholesale_per_kwh is not None:
        return
    if config.tariff.kind in ("dynamic", "feed_in"):
        sentence = f"{config.tariff.kind} needs source.wholesale_per_kwh, which is not given"
        yield Problem(("tariff", "kind"), sentence)
    if config.ces is not None and config.ces.market.price == "spot":
        sentence = "spot needs source.wholesale_per_kwh, which is not given"
        yield Problem(("ces", "market", "price"), sentence)


def _scene_probabilities(config: "SystemConfig") -> Iterator[Problem]:
    if config.source is None or config.source.kind != "scenes":
        return
    names = [member.name for member in config.members]
    for name, shares in config.source.scene_probabilities.items():
        field = ("source", "scene_probabilities", name)
        if name not in names:
            sentence = f"not a member ({', '.join(names)}){did_you_mean(name, names)}"
            yield Problem(field, sentence)
        elif len(shares) != SCENES:
            yield Problem(field, f"has {len(shares)} numbers; must have {SCENES}")
        elif abs(sum(shares) - 1) > 1e-6:
            yield Problem(field, f"the numbers sum to {sum(shares):g}; they must sum to 1")


def _flex(config: "SystemConfig") -> Iterator[Problem]:
    for index, member in enumerate(config.members):
        if member.flex is None:
            continue
        power = member.flex.power_kw
        least, where = _least_load_kw(config, member)
        if power > least * (1 + _ROUNDING):
            sentence = f"{power:g} must be at most {least:g}, {where}"
            yield Problem(("members", index, "flex", "power_kw"), sentence)


def _least_load_kw(config: "SystemConfig", member: "MemberConfig") -> tuple[float, str]:
    source, load = config.source, member.load
    if source is None or source.kind != "scenes" or load.profile not in source.profiles:
        return load.peak_kw, "the peak of the load"
    profile = source.profiles[load.profile]
    hour = min(range(HOURS), key=profile.__getitem__)
    return load.peak_kw * profile[hour], f"the load of hour {hour}"


def _batteries(config: "SystemConfig") -> Iterator[Problem]:
    for index, member in enumerate(config.members):
        if member.battery is not None:
            yield from _battery(config, ("members", index, "battery"), member.battery)
    if config.ces is not None:
        yield from _battery(config, ("ces", "battery"), config.ces.battery)


def _battery(config: "SystemConfig", path: KeyPath, battery: "BatteryConfig") -> Iterator[Problem]:
    buy, sell = battery.terminal_buy_per_kwh, battery.terminal_sell_per_kwh
    buy_effective = config.terminal.buy_per_kwh if buy is None else buy
    sell_effective = config.terminal.sell_per_kwh if sell is None else sell
    if sell_effective > buy_effective and (buy, sell) != (None, None):
        if sell is None:
            sentence = f"{buy_effective:g} must be at least the sale value {sell_effective:g}"
            yield Problem((*path, "terminal_buy_per_kwh"), sentence)
        else:
            sentence = f"{sell_effective:g} must be at most the purchase price {buy_effective:g}"
            yield Problem((*path, "terminal_sell_per_kwh"), sentence)
    if config.fades and battery.wear.replacement_cost is None:
        sentence = "must be given when capacity fades (fade: true, or an episode above 168 h)"
        yield Problem((*path, "wear", "replacement_cost"), sentence)
    lost = 1 - (1 - battery.self_discharge_per_h) ** config.dt_h
    lost_kwh = lost * battery.soc_min * battery.capacity_kwh
    gained_kwh = battery.eta_charge * battery.power_kw * config.dt_h
    if lost_kwh > gained_kwh * (1 + _ROUNDING):
        sentence = (
            f"{battery.self_discharge_per_h:g} takes {lost_kwh:g} kWh a step at soc_min; "
            f"charging must cover it, and gives at most {gained_kwh:g} kWh"
        )
        yield Problem((*path, "self_discharge_per_h"), sentence)


def _retail(config: "SystemConfig") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Purchase and sale prices that the file itself tells; 0 for what follows the wholesale."""
    tariff = config.tariff
    if tariff.kind == "tou":
        return tariff.buy_per_kwh, tariff.sell_per_kwh
    if tariff.kind == "feed_in":
        return tariff.buy_per_kwh, (0.0,) * HOURS
    if tariff.kind == "flat":
        return (tariff.buy_per_kwh,), (tariff.sell_per_kwh,)
    return (0.0,), (0.0,)


def _highest_price(config: "SystemConfig") -> float:
    """Return the highest price an import can have, carbon included; 0 for unknown prices."""
    deviation = 0.0
    if config.source is not None and config.source.kind == "scenes":
        deviation = config.source.tariff_deviation
    adder = 0.0
    if config.ces is not None and config.tariff.kind != "dynamic":
        adder = max(0.0, config.ces.market.buy_adder_per_kwh)
    carbon = config.carbon.price_per_kg * config.carbon.grid_kg_per_kwh
    return max(_retail(config)[0]) * (1 + deviation) + adder + carbon


def _penalties(config: "SystemConfig") -> Iterator[Problem]:
    """A penalty must cost more than what avoids it, or the optimum is to pay it."""
    penalties = config.penalties
    price = _highest_price(config)
    if price >= penalties.unserved_per_kwh:
        sentence = (
            f"{penalties.unserved_per_kwh:g} must be above {price:g}, the highest price of an "
            "import with carbon"
        )
        yield Problem(("penalties", "unserved_per_kwh"), sentence)
    rate = config.tariff.demand_charge_per_kw
    if rate > 0 and rate + price * config.dt_h >= penalties.unserved_per_kwh * config.dt_h:
        highest = (penalties.unserved_per_kwh - price) * config.dt_h
        sentence = (
            f"{rate:g} must be below {highest:g}, (unserved_per_kwh - highest price) * dt_h, "
            "or shedding is cheaper than importing"
        )
        yield Problem(("tariff", "demand_charge_per_kw"), sentence)
    lowest = min(_retail(config)[1])
    if -lowest >= penalties.spill_per_kwh:
        sentence = f"{penalties.spill_per_kwh:g} must be above {-lowest:g}, the cost of a sale"
        yield Problem(("penalties", "spill_per_kwh"), sentence)
    yield from _heat_penalty(config)


def _heat_penalty(config: "SystemConfig") -> Iterator[Problem]:
    gas = config.tariff.gas_per_m3 + config.carbon.price_per_kg * config.carbon.gas_kg_per_m3
    for index, member in enumerate(config.members):
        if member.boiler is None:
            continue
        cost = gas / (member.boiler.eta * member.boiler.gas_lhv_kwh_per_m3)
        if cost >= config.penalties.unserved_heat_per_kwh:
            sentence = (
                f"{config.penalties.unserved_heat_per_kwh:g} must be above {cost:g}, "
                f"the cost of heat from the boiler of members[{index}]"
            )
            yield Problem(("penalties", "unserved_heat_per_kwh"), sentence)
            return


def _money_pump(config: "SystemConfig") -> Iterator[Problem]:
    """The community storage may not earn by buying and selling in the same hour.

    With a retail market its sale price is the members', so ``purchase >= max(0, sale)`` on its
    market implies both conditions of section 5: passing energy on only loses. With a spot market
    the prices belong to the episode, which is checked there.
    """
    ces = config.ces
    if ces is None or ces.market.price != "retail" or config.tariff.kind == "dynamic":
        return
    adder = ces.market.buy_adder_per_kwh
    for hour, (buy, sell) in enumerate(zip(*_retail(config), strict=True)):
        floor = max(sell, 0.0)
        if buy + adder < floor - _ROUNDING:
            when = f" of hour {hour}" if config.tariff.kind != "flat" else ""
            sentence = (
                f"{adder:g} makes the market price{when} {buy + adder:g}; "
                f"it must be at least {floor:g}, or buying to resell earns money"
            )
            yield Problem(("ces", "market", "buy_adder_per_kwh"), sentence)
            return
