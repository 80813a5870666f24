"""The fleet bought for training: nothing is lost, nothing is free, old chips go where they may, and what is wrong is said."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import infertco as ic
from infertco.kernel import stock
from infertco.plans import PivotPlan
from infertco.studies import vintages as study

BASE = ic.scenario()
GIVEN = dict(
    refresh_years=3.0, buy_ahead_years=0.0, resale_share=0.5, energy_gain_per_year=0.25, fleet_policy="hand_down", training_fabric_bytes_per_s=25e9,
    lead_time_years=0.5, shortage_multiple=3.0,
)  # fmt: skip


def plan(**changes):
    return PivotPlan(**GIVEN | changes)


def needed(training, premium, batch, first="2026-01-01"):
    months = pd.date_range(first, periods=len(training), freq="MS")
    return pd.DataFrame(dict(month=months, training_chips=training, premium_chips=premium, batch_chips=batch), dtype=object).astype(
        dict(training_chips=float, premium_chips=float, batch_chips=float)
    )


def growing(months=96):
    t = np.arange(months) / 12
    return needed(1000 * 1.2**t, 100 * 1.8**t, 50 * 1.6**t)


amounts = st.lists(st.floats(0, 1000).map(lambda x: round(x, 3)), min_size=36, max_size=36)


# ---------------------------------------------------------------- conservation
@settings(deadline=None, max_examples=15)
@given(
    a=amounts, b=amounts, c=amounts, policy=st.sampled_from(study.POLICIES), refresh=st.sampled_from([0.5, 1.0, 2.0]),
    ahead=st.sampled_from([0.0, 0.5]), life=st.sampled_from([1.5, 2.0, 5.0]), chip=st.sampled_from(["", "h200-sxm"]),
)  # fmt: skip
def test_every_chip_is_in_one_tier_or_gone(a, b, c, policy, refresh, ahead, life, chip):
    need = needed(a, b, c)
    case = study.prepared(need, BASE.vary(chip_life_years=life), plan(refresh_years=refresh, buy_ahead_years=ahead, training_chip=chip))
    done = study.run(case, policy)
    held = np.zeros_like(done.stock[0])
    for t in range(len(case.years)):
        held = stock.step(held, bought=done.bought[t], moved=done.moved[t])
        np.testing.assert_allclose(held, done.stock[t], atol=1e-6)
    np.testing.assert_allclose(done.stock.sum(axis=2), np.cumsum(done.bought.sum(axis=2), axis=0), atol=1e-6)
    assert done.stock.min() > -1e-6 and done.moved.min() > -1e-6 and (done.used <= done.stock[:, :, study.STANDING] + 1e-6).all()
    work = np.einsum("rk,trk->tk", case.row_work, done.stock[:, :, :3])
    assert (work >= case.most * (1 - 1e-9) - 1e-6).all()  # the need is always met
    np.testing.assert_allclose(np.einsum("rk,trk->tk", case.row_work, done.used[:, :, :3]), case.mean, atol=1e-6)


def test_flows_balance_and_lead_to_the_stock():
    found = study.vintages(growing(), BASE, plan())
    stood = found.stock.groupby(["period", "tier"], observed=True)["chips"].sum()
    into = found.flows.groupby(["period_to", "tier_to"])["chips"].sum()
    out = found.flows[found.flows["tier_from"] != "bought"].groupby(["period_to", "tier_from"])["chips"].sum()
    periods = list(found.money["period"])
    for before, now in zip([None, *periods], periods, strict=False):
        for tier in study.TIERS[:4]:
            assert into.get((now, tier), 0) == pytest.approx(stood.get((now, tier), 0))
            assert before is None or out.get((now, tier), 0) == pytest.approx(stood.get((before, tier), 0))
    assert {("training", "premium"), ("bought", "training")} <= set(zip(found.flows["tier_from"], found.flows["tier_to"], strict=True))
    assert (found.flows["period_to"] >= found.flows["vintage"]).all()


def test_spend_adds_up_to_what_was_bought():
    found = study.vintages(growing(), BASE, plan())
    case, money = study.prepared(growing(), BASE, plan()), found.money
    chip, finance = BASE.chip, BASE.finance
    price = (chip.chip_usd + chip.host_usd + chip.network_usd + chip.scale_up_usd) * (1 + finance.spares_share) + finance.other_usd_per_chip
    assert money["bought_usd"].sum() == pytest.approx(price * found.summary["bought_chips"])
    np.testing.assert_allclose(money["usd"], money["bought_usd"] + money["running_usd"] - money["resale_usd"])
    np.testing.assert_allclose(money["npv_usd"], money["usd"] * (1 + finance.cost_of_capital) ** -money["years"])
    idle = found.stock.groupby("period")["idle"].sum()
    np.testing.assert_allclose(money["stranded_chips"], idle)
    np.testing.assert_allclose(money["stranded_usd"], idle * case.capital_per_hour[0] * 8760 / 4)


def test_by_hand():
    """100 chips for training, all year, no progress: bought once, renewed at 2 years of 2; nothing idles."""
    still = BASE.vary(price_performance_per_year=0.0, chip_life_years=2.0)
    found = study.vintages(needed([100.0] * 36, [0.0] * 36, [0.0] * 36), still, plan(energy_gain_per_year=0.0, refresh_years=2.0))
    assert found.summary["bought_chips"] == pytest.approx(200) and found.summary["stranded_usd"] == pytest.approx(0, abs=1e-3)
    bought = found.flows[found.flows["tier_from"] == "bought"]
    assert list(bought["period_to"]) == [pd.Timestamp("2026-01-01"), pd.Timestamp("2028-01-01")]
    rest = BASE.finance.billing_power_share * (BASE.chip.host_w + BASE.chip.network_w)
    assert found.summary["energy_j"] == pytest.approx(100 * (BASE.chip.tdp_w + rest) * BASE.site.pue * 3 * 8760 * 3600)
    faster = study.vintages(
        needed([100.0] * 36, [0.0] * 36, [0.0] * 36), still.vary(price_performance_per_year=0.5), plan(energy_gain_per_year=0.0, refresh_years=2.0)
    )
    assert faster.summary["bought_chips"] == pytest.approx(100 + 100 / 1.5**2)
