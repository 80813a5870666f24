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


# ---------------------------------------------------------------- what must hold
@settings(deadline=None, max_examples=15)
@given(a=amounts, b=amounts, c=amounts, refresh=st.sampled_from([0.5, 1.0, 2.0]), chip=st.sampled_from(["", "h200-sxm"]))
def test_handing_down_never_takes_more_capital_than_selling(a, b, c, refresh, chip):
    """What is handed down only puts purchases off, and a purchase put off buys more for a dollar: at every date no more is spent."""
    case = study.prepared(needed(a, b, c), BASE.vary(chip_life_years=3.0), plan(refresh_years=refresh, resale_share=0.0, training_chip=chip))
    kept, sold = (study.money(case, study.run(case, policy)) for policy in ("hand_down", "resell"))
    assert kept["bought_usd"].sum() <= sold["bought_usd"].sum() * (1 + 1e-9) + 1
    discount = (1 + case.finance.cost_of_capital) ** -case.years
    assert (discount * kept["bought_usd"]).sum() <= (discount * sold["bought_usd"]).sum() * (1 + 1e-9) + 1


def test_policies_side_by_side():
    summary, money = study.compare(growing(), BASE, plan())
    table = summary.set_index("policy")
    assert list(table.index) == list(study.POLICIES) and len(money) == 3 * 32
    for policy in study.POLICIES:
        alone = study.vintages(growing(), BASE, plan(fleet_policy=policy)).summary
        for name, x in alone.items():
            assert table.loc[policy, name] == pytest.approx(x)
    assert table.loc["idle", "stranded_usd"] > table.loc["resell", "stranded_usd"] and table.loc["idle", "resale_usd"] == 0
    assert table.loc["idle", "npv_usd"] > table.loc["resell", "npv_usd"] and table.loc["idle", "energy_j"] > table.loc["resell", "energy_j"]
    assert table.loc["hand_down", "bought_usd"] < table.loc["resell", "bought_usd"]


def test_a_chip_comes_dearer_the_less_it_sells_for_and_hoarding_strands():
    shares = [study.vintages(growing(), BASE, plan(resale_share=x)).summary["npv_usd"] for x in (0.0, 0.5, 1.0)]
    assert shares[0] > shares[1] > shares[2]
    ahead = [study.vintages(growing(), BASE, plan(buy_ahead_years=x, fleet_policy="resell")).summary for x in (0.0, 1.0, 2.0)]
    for name in ("stranded_usd", "npv_usd", "bought_usd"):
        assert ahead[0][name] < ahead[1][name] < ahead[2][name], name


def test_twice_the_need_is_twice_the_fleet():
    need = growing()
    double = need.assign(**{name: 2 * need[name] for name in study.NEEDS})
    one, two = (study.vintages(each, BASE, plan()).summary for each in (need, double))
    assert all(two[name] == pytest.approx(2 * one[name]) for name in one)


def test_draws_at_once_are_draws_one_by_one():
    case = study.prepared(growing(48), BASE, plan(refresh_years=1.0))
    scale = np.random.default_rng(0).lognormal(0, 0.5, (1, 3, 4))
    most, mean = case.most[..., None] * scale, case.mean[..., None] * scale
    for policy in study.POLICIES:
        together = study.money(case, study.run(case, policy, most, mean))
        for i in range(4):
            alone = study.money(case, study.run(case, policy, most[..., i], mean[..., i]))
            for name, x in alone.items():
                np.testing.assert_allclose(together[name][..., i], x, rtol=1e-9, atol=1e-3)


def test_faster_progress_calls_for_an_earlier_refresh():
    need = needed([1000.0] * 120, [0.0] * 120, [0.0] * 120)
    found = [
        study.refresh_cadence(need, BASE.vary(price_performance_per_year=g), plan(resale_share=1.0, energy_gain_per_year=g), years=(1, 2, 3, 4, 5))
        for g in (0.0, 0.35, 1.5)
    ]
    best = [table.loc[table["best"], "refresh_years"].item() for table in found]
    assert best[0] >= best[1] >= best[2] and best[0] > best[2]
    again = study.vintages(need, BASE, plan(refresh_years=2.0, resale_share=1.0, energy_gain_per_year=0.35)).summary
    assert found[1].set_index("refresh_years").loc[2.0, "npv_usd"] == pytest.approx(again["npv_usd"])


# ---------------------------------------------------------------- eligibility and errors
def test_old_chips_do_their_own_work_where_they_may():
    case = study.prepared(growing(), BASE, plan(training_chip="h200-sxm"))
    served = ic.sweep(BASE, ["output_tokens_per_s_per_chip", "meets_slo"], chip=["h200-sxm", "h100-sxm"], tensor_parallel=[1, 2, 4, 8, 16])
    best = served[served["meets_slo"]].groupby("chip", observed=True)["output_tokens_per_s_per_chip"].max()
    assert case.work[0, study.PREMIUM] == pytest.approx(best["h200-sxm"] / best["h100-sxm"]) and case.work[1, study.PREMIUM] == 1
    free = BASE.vary(colo_usd_per_kw_month=0.0, usd_per_kwh=0.001, maintenance_share=0.0, insurance_share=0.0, staff_usd_per_kw_year=0.0)
    small = study.vintages(growing(), free, plan(training_chip="l4", training_fabric_bytes_per_s=1e9))
    assert set(small.stock.loc[small.stock["chip"] == "l4", "eligible"]) == {"training, batch"}
    moved = small.flows[small.flows["tier_from"] == "training"]
    assert set(moved["tier_to"]) == {"training", "batch", "sold"}  # where running is free, whatever may work does, and no further
    dear = study.vintages(growing(), BASE, plan(training_chip="l4", training_fabric_bytes_per_s=1e9)).flows
    assert set(dear.loc[dear["tier_from"] == "training", "tier_to"]) == {"training", "sold"}  # its power costs more than a new chip


@pytest.mark.parametrize(
    "changes, planned, said",
    [
        (dict(chip="l4"), dict(training_chip="h100-sxm"), "no chip for the premium tier: l4 with llama-3.1-70b: misses the .* limit; .* would do"),
        (dict(tpot_slo_s=1e-4), {}, "no chip for the premium tier: h100-sxm .*misses .*TPOT limit; no chip of the catalog would do"),
        (
            {},
            dict(training_fabric_bytes_per_s=1e12),
            "no chip for the training tier: h100-sxm has a scale-out link of 50 GB/s, training asks for 1000 GB/s; no",
        ),
        ({}, dict(training_fabric_bytes_per_s=80e9), r"training asks for 80 GB/s; \S+ would do"),
        ({}, dict(training_chip="rtx-pro-5000"), "rtx-pro-5000 has no figure for scale_out_bytes_per_s .overlay chips.csv: rtx-pro-5000,"),
        ({}, dict(training_chip="h1000-sxm"), "unknown chip 'h1000-sxm'; did you mean 'h100-sxm'"),
        ({}, dict(training_chip="ampereone-a192-32x", training_fabric_bytes_per_s=1e9), "ampereone-a192-32x has no figure for chip_usd.*overlay chips.csv"),
        ({}, dict(refresh_years=float("nan")), "the fleet needs one refresh_years"),
        ({}, dict(fleet_policy=""), "the fleet needs a fleet_policy: one of hand_down"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(changes, planned, said):
    with pytest.raises(ValueError, match=said) as caught:
        study.vintages(growing(12), BASE.vary(**changes), plan(**planned))
    assert "\n" not in str(caught.value)


def test_a_tier_without_need_asks_for_no_chip():
    nothing = [0.0] * 12
    assert study.vintages(needed(nothing, [5.0] * 12, [5.0] * 12), BASE, plan(training_chip="rtx-pro-5000")).summary["bought_chips"] == pytest.approx(10)
    strict = BASE.vary(tpot_slo_s=1e-4)
    assert study.vintages(needed([5.0] * 12, nothing, [5.0] * 12), strict, plan()).summary["bought_chips"] == pytest.approx(10)
    assert study.vintages(needed(nothing, nothing, nothing), BASE, plan()).summary["npv_usd"] == 0


def test_a_bad_need_is_said():
    need = growing(12)
    for bad, said in (
        (need.drop(index=3), "after 2026-03 comes 2026-05"),
        (need.assign(batch_chips=-1.0), "batch_chips must be at least 0 and finite, got -1 in 2026-01"),
        (need.rename(columns=dict(batch_chips="batch_chip")), "the need has no column 'batch_chips'; did you mean 'batch_chip'"),
        (need.head(0), "the need has no month"),
    ):
        with pytest.raises(ValueError, match=said):
            study.vintages(bad, BASE, plan())


# ---------------------------------------------------------------- stranded value, waiting
def test_stranded_value_is_one_less_the_ratio_of_tokens_for_a_dollar():
    table = study.stranded_value(BASE, ["h100-sxm", "b200-sxm", "l4"]).set_index("chip")
    best = ic.best(ic.sweep(BASE, chip=["h100-sxm", "b200-sxm"], tensor_parallel=[1, 2, 4, 8, 16]), "chip", maximise="tokens_per_usd").set_index("chip")[
        "tokens_per_usd"
    ]
    assert table["stranded_share"].iloc[0] == 0 and table.loc["h100-sxm", "stranded_share"] == pytest.approx(1 - best["h100-sxm"] / best["b200-sxm"])
    assert np.isnan(table.loc["l4", "stranded_share"]) and "misses the" in table.loc["l4", "reason"]
    with pytest.raises(ValueError, match="unknown chip 'h10'"):
        study.stranded_value(BASE, ["h10"])


def test_waiting_is_the_newsvendor():
    """The normal need of the textbook: order mean + z sd at the critical ratio."""
    needs = np.random.default_rng(1).normal(1000, 100, 200_000)
    row = study.waiting(needs, BASE, plan()).iloc[0]
    ratio = (row["shortage_usd"] - row["cost_usd"]) / (row["shortage_usd"] - row["resale_usd"])
    assert row["critical_share"] == pytest.approx(ratio) and row["enough_share"] == pytest.approx(ratio, abs=1e-4)
    from scipy.stats import norm

    z = norm.ppf(ratio)
    assert row["held_chips"] == pytest.approx(1000 + 100 * z, rel=2e-3)
    extra = (row["shortage_usd"] - row["resale_usd"]) * 100 * norm.pdf(z)  # expected cost beyond a known need, in closed form
    assert row["information_usd"] == pytest.approx(extra, rel=0.01)
    assert row["hold_usd"] <= min(row["wait_usd"], row["mean_usd"]) and row["waiting_usd"] == pytest.approx(row["mean_usd"] - row["wait_usd"])


def test_waiting_pays_where_lacking_is_cheap():
    needs = np.random.default_rng(1).lognormal(7, 0.5, 5000)
    held = [study.waiting(needs, BASE, plan(shortage_multiple=x)).iloc[0]["held_chips"] for x in (1.0, 2.0, 4.0, 8.0)]
    assert held == sorted(held) and held[0] < held[-1]
    cheap = study.waiting(needs, BASE.vary(price_performance_per_year=2.0), plan(shortage_multiple=1.0)).iloc[0]
    assert cheap["held_chips"] == 0 and cheap["hold_usd"] == cheap["wait_usd"] == cheap["known_usd"] and cheap["waiting_usd"] > 0
    with pytest.raises(ValueError, match="waiting needs one lead_time_years"):
        study.waiting(needs, BASE, plan(lead_time_years=float("nan")))
