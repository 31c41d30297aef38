"""One hour by hand: small systems whose every number can be worked out on paper."""

import laws
import numpy as np
import pytest
from strategies import make_case

from mmg_env import kernel
from mmg_env.config import (
    BatteryConfig,
    BoilerConfig,
    CesConfig,
    ChpConfig,
    DayAheadConfig,
    DemandConfig,
    FlatTariff,
    FlexConfig,
    GridConfig,
    MarketConfig,
    MemberConfig,
    PoolConfig,
    RenewableConfig,
    SystemConfig,
    WearConfig,
)
from mmg_env.episode import Belief, assemble_episode, lead_steps, physical_bounds
from mmg_env.layout import A, F, L, S, X
from mmg_env.series import ErrorModel
from mmg_env.system import build_system

GRID = GridConfig(import_kw=500.0, export_kw=500.0)
LOAD = DemandConfig(peak_kw=100.0, profile="any")
BATTERY = BatteryConfig(
    capacity_kwh=100.0, power_kw=50.0, eta_charge=0.8, eta_discharge=0.5, soc_min=0.1, soc_max=0.9
)


def member(name, **devices):
    return MemberConfig(name=name, **({"link_kw": 60.0, "grid": GRID, "load": LOAD} | devices))


def storage(**fields):
    given = {
        "battery": BatteryConfig(capacity_kwh=1000.0, power_kw=200.0),
        "market": MarketConfig(price="retail"),
        "eta_converter": 0.9,
        "service_fee_per_kwh": 0.02,
        "rental_per_kwh": 0.1,
        "rental_per_kw": 0.2,
    }
    return CesConfig(**(given | fields))


def system_of(*members, **fields):
    given = {
        "name": "by-hand",
        "currency": "CNY",
        "members": members,
        "pool": PoolConfig(loss=0.1, fee_per_kwh=0.01),
        "tariff": FlatTariff(kind="flat", buy_per_kwh=1.0, sell_per_kwh=0.4, gas_per_m3=2.0),
    }
    return build_system(SystemConfig(**(given | fields)))


def episode_of(system, **series):
    """Return an episode known in advance; shared columns by name, member series by kind."""
    members, steps = len(system.members), system.episode_steps
    rows = steps + lead_steps(system)
    values = np.zeros((rows, system.exogenous_size))
    given = {"price_buy": 1.0, "price_sell": 0.4, "ces_buy": 1.0, "ces_sell": 0.4, "spot": 0.5}
    given |= {"grid_up": 1.0, "derating": 1.0, "load_kw": 100.0} | series
    for name, value in given.items():
        if name in X.names():
            values[:steps, 4 * members + X[name]] = value
            continue
        first = ("wind_kw", "pv_kw", "load_kw", "heat_kw").index(name) * members
        values[:steps, first : first + members] = value
    low, high = physical_bounds(system)
    path = np.full(system.exogenous_size, -1)
    model = ErrorModel(path, np.ones(1), np.zeros((1, 1)), low, high)
    belief = Belief(values, np.zeros_like(values), np.zeros((rows, 1)))
    start = np.datetime64("2025-01-01T00")
    return assemble_episode(system, ("by-hand", "test", 0), start, model, belief, values)


def wish(system, *asked):
    """Return requests, all 0 but for (step, participant, column, value); step None: every one."""
    requests = np.zeros((system.episode_steps, system.request_size))
    for t, p, column, value in asked:
        steps = slice(None) if t is None else t
        requests[steps, p * len(A) + column] = value
    return requests


def play(system, *asked, **series):
    """Run wishes on a system, check every law, return the run."""
    r = laws.run(system, episode_of(system, **series), wish(system, *asked))
    laws.check_all(r)
    return r


# --- devices ----------------------------------------------------------------------------------


def test_a_battery_loses_on_the_way_in_and_on_the_way_out():
    system = system_of(member("a", battery=BATTERY))
    r = play(system, (0, 0, A.battery_kw, -20.0), (1, 0, A.battery_kw, 10.0))
    assert r.cells[:3].sum(axis=(1, 2)) == pytest.approx([50.0, 66.0, 46.0])
    assert r.flow(F.import_kw)[:2, 0] == pytest.approx([120.0, 90.0])


def test_a_battery_stops_at_its_limits():
    system = system_of(member("a", battery=BATTERY))
    r = play(system, (0, 0, A.battery_kw, 1e6), (1, 0, A.battery_kw, -1e6))
    assert r.flow(F.battery_kw)[:2, 0] == pytest.approx([20.0, -50.0])
    assert r.flow(F.projected_battery_kw)[:2, 0] == pytest.approx([1e6 - 20.0, 1e6 - 50.0])


def test_decay_below_the_lower_limit_is_charged_back():
    leaky = BATTERY.model_copy(update={"soc_initial": 0.1, "self_discharge_per_h": 0.1})
    r = play(system_of(member("a", battery=leaky)))
    assert r.flow(F.battery_kw)[:, 0] == pytest.approx(-1.0 / 0.8)
    assert r.cells.sum(axis=(1, 2)) == pytest.approx(10.0)


def chp_member(**fields):
    return member("a", chp=ChpConfig(capacity_kw=100.0, **fields))


def test_a_chp_starts_within_one_ramp_or_at_its_minimum_and_a_tie_goes_to_standstill():
    system = system_of(chp_member(ramp_kw_per_h=10.0))
    r = play(system, (0, 0, A.chp_kw, 100.0), (1, 0, A.chp_kw, 100.0), (3, 0, A.chp_kw, 12.5))
    assert r.flow(F.chp_kw)[:4, 0] == pytest.approx([25.0, 35.0, 25.0, 0.0])
    assert r.account(L.chp_start)[:4, 0] == pytest.approx([30.0, 0.0, 0.0, 0.0])


def test_a_chp_reaches_standstill_from_one_ramp_or_its_minimum_only():
    system = system_of(chp_member(ramp_kw_per_h=40.0))
    asked = [(0, 0, A.chp_kw, 40.0), (1, 0, A.chp_kw, 80.0), (2, 0, A.chp_kw, 0.0)]
    r = play(system, *asked)
    assert r.flow(F.chp_kw)[:4, 0] == pytest.approx([40.0, 80.0, 40.0, 0.0])


def test_a_chp_wish_nearer_to_standstill_than_to_its_minimum_stands_still():
    system = system_of(chp_member())
    r = play(system, (0, 0, A.chp_kw, 12.4), (1, 0, A.chp_kw, 12.6), (2, 0, A.chp_kw, -1e9))
    assert r.flow(F.chp_kw)[:3, 0] == pytest.approx([0.0, 25.0, 0.0])


def test_chp_and_boiler_burn_gas_and_cover_the_heat():
    chp = ChpConfig(capacity_kw=100.0, gas_lhv_kwh_per_m3=10.0, ramp_kw_per_h=100.0)
    boiler = BoilerConfig(capacity_kw=30.0, gas_lhv_kwh_per_m3=10.0)
    heat = DemandConfig(peak_kw=100.0, profile="any")
    system = system_of(member("a", chp=chp, boiler=boiler, heat=heat))
    r = play(system, (0, 0, A.chp_kw, 70.0), heat_kw=100.0)
    assert r.flow(F.boiler_kw)[:2, 0] == pytest.approx([20.0, 30.0])
    # From 70 kW the next step comes down to standstill, which leaves 70 kW of heat uncovered.
    assert r.flow(F.unserved_heat_kw)[:2, 0] == pytest.approx([0.0, 70.0])
    assert r.flow(F.gas_m3)[0, 0] == pytest.approx(70.0 / 3.5 + 20.0 / 9.0)
    assert r.account(L.chp_om)[0, 0] == pytest.approx(70.0 * 0.025)


def test_flexible_load_is_paid_back_by_the_end_of_the_day():
    system = system_of(member("a", flex=FlexConfig(power_kw=10.0, cost_per_kwh=0.05)))
    r = play(system, (None, 0, A.flex_kw, 10.0))
    assert r.flow(F.flex_kw)[:, 0] == pytest.approx([10.0] * 12 + [-10.0] * 12)
    assert r.account(L.flex).sum() == pytest.approx(0.05 * 240.0)


# --- recourse -----------------------------------------------------------------------------------


def sunny(**fields):
    pv = RenewableConfig(capacity_kw=300.0, profile="any")
    return member("a", pv=pv, **fields)


def test_surplus_is_exported_then_curtailed():
    small = GridConfig(import_kw=500.0, export_kw=50.0)
    r = play(system_of(sunny(grid=small)), pv_kw=300.0)
    assert r.flow(F.export_kw)[0, 0] == pytest.approx(50.0)
    assert r.flow(F.curtailed_kw)[0, 0] == pytest.approx(150.0)
    assert r.account(L.grid_export)[0, 0] == pytest.approx(-0.4 * 50.0)


def test_surplus_is_curtailed_first_where_selling_costs_money():
    r = play(system_of(sunny()), pv_kw=300.0, price_sell=-0.1)
    assert r.flow(F.curtailed_kw)[0, 0] == pytest.approx(200.0)
    assert not r.flow(F.export_kw).any()


def test_a_sale_price_of_zero_still_exports_first():
    r = play(system_of(sunny()), pv_kw=300.0, price_sell=0.0)
    assert r.flow(F.export_kw)[0, 0] == pytest.approx(200.0)


def test_firm_surplus_without_an_outlet_is_spilled():
    system = system_of(member("a", grid=None, chp=ChpConfig(capacity_kw=400.0)))
    r = play(system, (0, 0, A.chp_kw, 150.0))
    assert r.flow(F.spill_kw)[0, 0] == pytest.approx(50.0)
    assert r.account(L.spill)[0, 0] == pytest.approx(5.0 * 50.0)


def test_a_derated_grid_cuts_imports_and_the_rest_is_shed():
    r = play(system_of(member("a")), grid_up=0.1, derating=0.1)
    assert r.flow(F.import_kw)[0, 0] == pytest.approx(50.0)
    assert r.account(L.unserved)[0, 0] == pytest.approx(20.0 * 50.0)


def test_the_storage_sheds_what_its_market_cannot_give():
    market = MarketConfig(price="retail", import_kw=30.0)
    system = system_of(member("a"), ces=storage(market=market))
    r = play(system, (0, 0, A.pool_kw, 60.0), (0, 1, A.pool_kw, -60.0))
    # 60 kW sent take 66.7 kW behind the converter; 54 kW arrive.
    assert r.flow(F.sent_kw)[0, 1] == pytest.approx(60.0)
    assert r.flow(F.received_kw)[0, 0] == pytest.approx(54.0)
    assert r.flow(F.duty_kw)[0, 1] == pytest.approx(60.0 / 0.9)
    assert r.flow(F.unserved_kw)[0, 1] == pytest.approx(60.0 / 0.9 - 30.0)
    assert r.account(L.unserved)[0, 1] == pytest.approx(20.0 * (60.0 / 0.9 - 30.0))


# --- pool ---------------------------------------------------------------------------------------


def pool_of(rule, loss=0.1, **fields):
    return PoolConfig(loss=loss, fee_per_kwh=0.01, price_rule=rule, **fields)


def three(rule, *asked, **fields):
    system = system_of(member("a"), member("b"), member("c"), pool=pool_of(rule, **fields))
    return play(system, *asked)


def offers(*powers):
    return [(0, p, A.pool_kw, power) for p, power in enumerate(powers)]


def quotes(*prices):
    return [(0, p, A.quote_per_kwh, price) for p, price in enumerate(prices)]


def test_the_long_side_is_cut_pro_rata_and_senders_bear_the_loss():
    r = three("mid_market", *offers(-40.0, -20.0, 27.0))
    assert r.flow(F.sent_kw)[0] == pytest.approx([20.0, 10.0, 0.0])
    assert r.flow(F.received_kw)[0] == pytest.approx([0.0, 0.0, 27.0])
    assert r.flow(F.pool_cut_kw)[0] == pytest.approx([20.0, 10.0, 0.0])
    assert r.account(L.pool_payment)[0] == pytest.approx([-0.7 * 18, -0.7 * 9, 0.7 * 27])
    assert r.account(L.pool_fee)[0] == pytest.approx([0.0, 0.0, 0.27])


def test_the_price_falls_with_supply_over_demand_as_nominated():
    r = three("sdr", *offers(-20.0, 30.0, 6.0))
    price = 1.0 - 0.6 * 18.0 / 36.0
    assert r.flow(F.received_kw)[0] == pytest.approx([0.0, 15.0, 3.0])
    assert r.account(L.pool_payment)[0] == pytest.approx([-price * 18, price * 15, price * 3])


def test_plenty_of_supply_meets_the_sale_price():
    r = three("sdr", *offers(-60.0, 9.0, 0.0))
    assert r.account(L.pool_payment)[0] == pytest.approx([-0.4 * 9.0, 0.4 * 9.0, 0.0])


def test_an_auction_serves_the_cheapest_seller_first():
    r = three("auction", *offers(-40.0, -20.0, 27.0), *quotes(0.9, 0.5, 0.8))
    assert r.flow(F.sent_kw)[0] == pytest.approx([10.0, 20.0, 0.0])
    price = (0.9 + 0.8) / 2
    assert r.account(L.pool_payment)[0] == pytest.approx([-price * 9, -price * 18, price * 27])


def test_an_auction_serves_the_highest_bidder_first_and_clips_quotes_in_its_price():
    r = three("auction", *offers(-20.0, 15.0, 15.0), *quotes(0.1, 0.7, 5.0))
    assert r.flow(F.received_kw)[0] == pytest.approx([0.0, 3.0, 15.0])
    assert r.account(L.pool_payment)[0, 2] == pytest.approx((0.4 + 0.7) / 2 * 15.0)


def test_equal_quotes_share_pro_rata():
    r = three("auction", *offers(-40.0, -20.0, 27.0), *quotes(0.5, 0.5, 0.5))
    assert r.flow(F.sent_kw)[0] == pytest.approx([20.0, 10.0, 0.0])


def test_a_rounding_error_left_over_does_not_set_the_auction_price():
    for seller in np.linspace(1.0, 55.0, 60):
        r = three("auction", *offers(-seller, -60.0, 0.9 * seller), *quotes(0.5, 0.99, 0.6))
        assert r.flow(F.sent_kw)[0, 1] == 0.0
        assert r.account(L.pool_payment)[0, 2] == pytest.approx(0.55 * 0.9 * seller)


def test_posted_prices_depend_on_the_kind_of_pair():
    system = system_of(member("a"), member("b"), ces=storage(), pool=pool_of("posted", 0.0))
    r = play(system, (0, 0, A.pool_kw, -20.0), (0, 1, A.pool_kw, 60.0), (0, 2, A.pool_kw, -40.0))
    paid = 20.0 * 0.60 + 40.0 * 0.92
    assert r.account(L.pool_payment)[0] == pytest.approx([-12.0, paid, -36.8])
    r = play(system, (0, 0, A.pool_kw, -20.0), (0, 1, A.pool_kw, -20.0), (0, 2, A.pool_kw, 40.0))
    assert r.account(L.pool_payment)[0] == pytest.approx([-12.0, -12.0, 24.0])


def test_the_rule_none_prices_nothing():
    r = three("none", *offers(-40.0, -20.0, 27.0))
    assert r.flow(F.received_kw)[0, 2] == pytest.approx(27.0)
    assert not r.account(L.pool_payment).any()


def test_without_peer_to_peer_trade_only_the_storage_is_a_partner():
    pool = pool_of("mid_market", members=False)
    system = system_of(member("a"), member("b"), ces=storage(), pool=pool)
    r = play(system, (0, 0, A.pool_kw, -40.0), (0, 1, A.pool_kw, 30.0), (0, 2, A.pool_kw, -10.0))
    assert r.flow(F.sent_kw)[0] == pytest.approx([0.0, 0.0, 10.0])
    assert r.flow(F.received_kw)[0] == pytest.approx([0.0, 9.0, 0.0])
    r = play(system, (0, 0, A.pool_kw, -40.0), (0, 1, A.pool_kw, 30.0), (0, 2, A.pool_kw, 18.0))
    assert r.flow(F.sent_kw)[0] == pytest.approx([20.0, 0.0, 0.0])
    assert r.flow(F.received_kw)[0] == pytest.approx([0.0, 0.0, 18.0])
    r = play(system, (0, 0, A.pool_kw, -40.0), (0, 1, A.pool_kw, 30.0))
    assert not r.flow(F.sent_kw).any()


@pytest.mark.parametrize(("switch", "power"), [("pool_out", -50.0), ("pool_in", 50.0)])
def test_the_storage_trades_only_in_the_directions_that_are_on(switch, power):
    asked = [(None, 0, A.pool_kw, -power), (None, 1, A.pool_kw, power)]
    on = play(system_of(member("a"), ces=storage()), *asked)
    off = play(system_of(member("a"), ces=storage(**{switch: False})), *asked)
    assert on.flow(F.sent_kw).any()
    assert not off.flow(F.sent_kw).any()
    assert off.flow(F.projected_pool_kw)[0, 1] == pytest.approx(50.0)


def test_a_pool_that_is_off_leaves_everyone_alone():
    pool = PoolConfig(enabled=False)
    system = system_of(member("a", rental_max_kwh=50.0, rental_max_kw=50.0),
                       ces=storage(), pool=pool)  # fmt: skip
    asked = [(None, p, A.pool_kw, s) for p, s in ((0, 40.0), (1, -40.0))]
    rent = [(None, 0, A.rental_kwh, 50.0), (None, 0, A.rental_kw, 50.0)]
    r = play(system, *asked, *rent, (None, 0, A.virtual_kw, -20.0), (None, 1, A.battery_kw, 50.0))
    for column in (F.sent_kw, F.received_kw, F.virtual_kw, F.duty_kw):
        assert not r.flow(column).any(), column.name
    assert not r.account(L.rental).any()
    assert r.flow(F.export_kw)[0, 1] == pytest.approx(50.0)


def test_members_that_may_not_export_curtail():
    r = play(system_of(sunny(), member_export=False), pv_kw=300.0)
    assert not r.flow(F.export_kw).any()
    assert r.flow(F.curtailed_kw)[0, 0] == pytest.approx(200.0)


def test_a_pool_schedule_is_firm_all_day():
    system = system_of(
        member("a"), ces=storage(), day_ahead=DayAheadConfig(pool=True), pool=pool_of("none")
    )
    requests = wish(system, (None, 0, A.pool_kw, 33.0), (None, 1, A.pool_kw, -33.0))
    plan = requests[:, 2 * len(A) :].reshape(24, 2, 24)
    plan[0, 0], plan[0, 1] = 100.0, np.arange(24) * -10.0
    plan[1:] = 7.0
    r = laws.run(system, episode_of(system), requests)
    laws.check_all(r)
    sent = np.minimum(np.arange(24) * 10.0, 60.0 / 0.9)
    assert r.flow(F.sent_kw)[:, 1] == pytest.approx(sent)
    assert r.flow(F.projected_pool_kw)[0, 0] == pytest.approx(24 * 40.0)


# --- rent and virtual batteries -------------------------------------------------------------------


def renter(name):
    return member(name, rental_max_kwh=900.0, rental_max_kw=40.0)


def test_rent_is_cut_pro_rata_to_what_the_storage_may_rent_out():
    system = system_of(renter("a"), renter("b"), ces=storage(overbooking=0.9))
    r = play(system, (0, 0, A.rental_kwh, 2000.0), (0, 1, A.rental_kwh, 300.0),
             (0, 0, A.rental_kw, 10.0), (5, 1, A.rental_kwh, 900.0))  # fmt: skip
    assert r.opening.rental_kwh[:, :2] == pytest.approx(np.tile([675.0, 225.0], (24, 1)))
    assert r.account(L.rental)[0] == pytest.approx([69.5, 22.5, -92.0])
    assert not r.account(L.rental)[1:].any()


def test_virtual_energy_is_stored_used_and_bought_by_the_storage_at_the_lowest_sale_price():
    system = system_of(renter("a"), ces=storage())
    sell = np.full(24, 0.4)
    sell[7] = 0.3
    r = play(system, (0, 0, A.rental_kwh, 100.0), (0, 0, A.rental_kw, 30.0),
             (0, 0, A.virtual_kw, -50.0), (1, 0, A.virtual_kw, 9.5), price_sell=sell)  # fmt: skip
    assert r.flow(F.virtual_kw)[:2, 0] == pytest.approx([-30.0, 9.5])
    assert r.blocks[1:3, 0, S.virtual_kwh] == pytest.approx([28.5, 18.5])
    assert r.flow(F.duty_kw)[:2, 1] == pytest.approx([-30.0 * 0.81, 9.5 / 0.81])
    assert r.account(L.pool_fee)[:2] == pytest.approx(np.array([[0.0, 0.27], [0.095, 0.0]]))
    assert r.account(L.service_fee)[0] == pytest.approx([0.6, -0.6])
    assert r.account(L.virtual_settlement)[-1] == pytest.approx([-0.3 * 18.5, 0.3 * 18.5])


def test_virtual_and_pool_power_share_one_link():
    system = system_of(renter("a"), ces=storage())
    r = play(system, (0, 0, A.rental_kwh, 100.0), (0, 0, A.rental_kw, 40.0),
             (0, 0, A.virtual_kw, -35.0), (0, 0, A.pool_kw, -60.0), (0, 1, A.pool_kw, 200.0),
             (1, 0, A.virtual_kw, 20.0), (1, 0, A.pool_kw, -60.0))  # fmt: skip
    assert r.flow(F.nominated_kw)[0, 0] == pytest.approx(-25.0)
    assert r.flow(F.nominated_kw)[1, 0] == pytest.approx(-60.0)


# --- reserve ------------------------------------------------------------------------------------


def test_reserve_is_paid_and_a_call_discharges():
    battery = BatteryConfig(capacity_kwh=1000.0, power_kw=200.0, wear=WearConfig(cost_per_kwh=0.1))
    system = system_of(member("a"), ces=storage(battery=battery))
    asked = [(0, 1, A.regulation_kw, 500.0), (0, 1, A.spinning_kw, 500.0)]
    r = play(system, *asked, rho_regulation=0.05, rho_spinning=0.03, spin_call=1.0)
    assert r.flow(F.regulation_kw)[0, 1] == pytest.approx(100.0)
    assert r.flow(F.called_kw)[0, 1] == pytest.approx(100.0)
    assert r.flow(F.export_kw)[0, 1] == pytest.approx(100.0)
    assert r.account(L.reserve_revenue)[0, 1] == pytest.approx(-8.0)
    taken = 100.0 / 0.95
    assert r.account(L.wear)[0, 1] == pytest.approx(0.1 * (taken + 0.02 * 100.0 / 0.95))


def test_reserve_is_worth_nothing_while_the_grid_is_down():
    system = system_of(member("a"), ces=storage())
    asked = [(0, 1, A.regulation_kw, 50.0), (0, 1, A.spinning_kw, 50.0)]
    up = np.ones(24)
    up[0] = 0.0
    r = play(system, *asked, rho_regulation=0.05, rho_spinning=0.03, spin_call=1.0, grid_up=up)
    assert not r.flow(F.called_kw).any()
    assert not r.account(L.reserve_revenue).any()


def test_a_call_first_reduces_charging():
    system = system_of(member("a"), ces=storage())
    r = play(system, (0, 1, A.battery_kw, -80.0), (0, 1, A.spinning_kw, 50.0), spin_call=1.0)
    assert r.flow(F.import_kw)[0, 1] == pytest.approx(30.0)
    assert r.cells[1, 1].sum() == pytest.approx(500.0 + 30.0 * 0.95)
    assert r.account(L.wear)[0, 1] == 0.0


def test_markets_off_offers_no_reserve():
    system = system_of(member("a"), ces=storage(markets=False))
    r = play(system, (0, 1, A.regulation_kw, 50.0), (0, 1, A.spinning_kw, 50.0))
    assert not r.flow(F.regulation_kw).any()
    assert not r.flow(F.spinning_kw).any()


# --- money --------------------------------------------------------------------------------------


def test_the_demand_charge_is_paid_on_the_peak_of_each_period():
    tariff = FlatTariff(kind="flat", buy_per_kwh=1.0, sell_per_kwh=0.4, gas_per_m3=2.0,
                        demand_charge_per_kw=0.5, demand_period_days=2)  # fmt: skip
    system = system_of(member("a"), tariff=tariff, episode_h=72)
    load = np.full(72, 50.0)[:, None]
    load[3], load[30], load[40] = 80.0, 120.0, 100.0
    r = play(system, load_kw=load)
    charged = np.zeros(72)
    charged[[0, 3, 30, 48]] = [25.0, 15.0, 20.0, 25.0]
    assert r.account(L.demand_charge)[:, 0] == pytest.approx(charged)


def test_a_deviation_from_the_nomination_is_shared_by_exchange():
    system = system_of(member("a"), member("b"), ces=storage(), day_ahead=DayAheadConfig(grid=True))
    requests = wish(system, (0, 2, A.battery_kw, -100.0))
    requests[0, -24:] = [10.0, -10.0] * 12
    e = episode_of(system, short_premium=0.3, long_premium=0.1)
    r = laws.run(system, e, requests)
    laws.check_all(r)
    assert r.nomination[0] == pytest.approx([210.0, 190.0] * 12)
    assert r.account(L.imbalance)[0] == pytest.approx([0.3 * 90 / 3] * 3)
    assert r.account(L.imbalance)[1] == pytest.approx([0.3 * 10 / 2] * 2 + [0.0])
    assert r.account(L.imbalance)[2] == pytest.approx([0.1 * 10 / 2] * 2 + [0.0])


def test_a_community_without_exchange_shares_its_imbalance_equally():
    system = system_of(member("a"), member("b"), day_ahead=DayAheadConfig(grid=True))
    requests = wish(system)
    requests[0, -24:] = 10.0
    r = laws.run(system, episode_of(system, load_kw=0.0, long_premium=0.1), requests)
    laws.check_all(r)
    assert r.account(L.imbalance)[0] == pytest.approx([0.5, 0.5])


def test_energy_left_is_valued_against_the_energy_at_reset():
    system = system_of(member("a", battery=BATTERY), member("b", battery=BATTERY))
    r = play(system, (0, 0, A.battery_kw, 10.0), (0, 1, A.battery_kw, -10.0))
    assert r.account(L.terminal)[-1] == pytest.approx([1.14 * 20.0, -0.19 * 8.0])
    assert not r.account(L.terminal)[:-1].any()


def test_energy_above_a_faded_limit_may_only_be_discharged():
    worn = BatteryConfig(capacity_kwh=100.0, power_kw=100.0, soc_initial=0.9,
                         wear=WearConfig(cost_per_kwh=0.2, replacement_cost=1.0))  # fmt: skip
    system = system_of(member("a", battery=worn), episode_h=48, fade=True)
    cycle = [(t, 0, A.battery_kw, 20.0 * (-1) ** t) for t in range(23)]
    r = play(system, *cycle, (23, 0, A.battery_kw, -1e3), (24, 0, A.battery_kw, -1e3))
    assert r.opening.capacity[24, 0] < 99.0
    assert r.flow(F.battery_kw)[24, 0] == 0.0
    assert r.cells[25].sum() == pytest.approx(r.cells[24].sum())
    assert r.cells[25].sum() > 0.9 * r.opening.capacity[24, 0]


def test_a_step_leaves_its_inputs_alone():
    system, episode, requests = make_case(10)
    before = np.zeros(system.state_size)
    kernel.reset_state(system.physics, before)
    inputs = [episode.values.copy(), requests[0].copy(), before]
    copies = [array.copy() for array in inputs]
    count = len(system.participants)
    out = np.zeros(system.state_size), np.zeros((count, len(F))), np.zeros((count, len(L)))
    kernel.step_hour(system.physics, 0, *inputs, *out)
    for array, copy in zip(inputs, copies, strict=True):
        assert array.tobytes() == copy.tobytes()
