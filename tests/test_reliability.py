"""Reliability: published figures and formulas, brute force for few replicas, simulation of a month, what costs what."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import infertco as ic
from infertco import catalog
from infertco.kernel import queueing, reliability

LLAMA3_CHIP_YEARS = 16384 * 54 / 365.25


# ---------------------------------------------------------------- reproduces a published formula
@pytest.mark.parametrize(
    "per_1000_node_days, nodes, hours, tolerance",
    [
        (6.50, 2048, 1.80, 0.005),  # RSC-1 at 16,384 chips, arXiv 2410.21680
        (6.50, 16384, 0.225, 0.0005),  # 131,072 chips; the paper prints 0.23
        (2.34, 2048, 5.01, 0.005),  # RSC-2
        (1000 * 419 / 54 / 2048, 2048, 3.09, 0.005),  # Llama 3: 419 in 54 days
    ],
)
def test_time_between_failures_of_a_job(per_1000_node_days, nodes, hours, tolerance):
    found = reliability.time_between_failures_s(per_1000_node_days / 1000 * 365, nodes) / 3600
    assert float(found) == pytest.approx(hours, abs=tolerance)


def test_serial_parts_multiply():
    assert float(reliability.availability(8760 / 1000, 36000.0)) == pytest.approx(1000 / 1010)
    s = ic.scenario(software_failures_per_year=0, host_failures_per_year=0, network_failures_per_year=0, memory_failures_per_year=0, chip_failures_per_year=1)
    found = reliability.replica(s.vary(repair_time_s=87600.0).finance, np.array([1.0, 8.0, 144.0]))  # a day and 20 minutes: 1/361
    np.testing.assert_allclose(found.availability, (360 / 361) ** np.array([1, 8, 144]), rtol=1e-12)
    np.testing.assert_allclose(found.per_year, [1, 8, 144])


# ---------------------------------------------------------------- agrees with what was counted
def test_failure_rates_agree_with_the_interruptions_counted_at_meta():
    finance = ic.scenario().finance
    chip_and_memory = finance.chip_failures_per_year + finance.memory_failures_per_year
    assert chip_and_memory == pytest.approx(268 / LLAMA3_CHIP_YEARS, rel=0.005)
    assert 220 / LLAMA3_CHIP_YEARS == pytest.approx(0.091, abs=0.0005)  # faulty chips and HBM3 alone: 9.1 % a year
    fact = catalog.fact("finance", "default", "chip_failures_per_year")
    assert fact.low <= 148 / LLAMA3_CHIP_YEARS <= fact.high
    assert reliability.replica(finance, 1.0).per_year == pytest.approx(419 / LLAMA3_CHIP_YEARS, rel=0.01)


# ---------------------------------------------------------------- N+k
def brute(needed, k, works):
    """P(enough work), over every pattern of replicas."""
    total = 0.0
    for pattern in product((0, 1), repeat=needed + k):
        up = sum(pattern)
        total += works**up * (1 - works) ** (needed + k - up) * (up >= needed)
    return total


@pytest.mark.parametrize("needed", [1, 2, 4, 6])
@pytest.mark.parametrize("works", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("target", [0.9, 0.99, 0.999])
def test_spares_are_the_fewest_over_every_pattern(needed, works, target):
    k = int(reliability.spares(needed, works, target))
    assert k == queueing.spares(needed, works, target)
    if needed + k <= 14:
        assert brute(needed, k, works) >= target
        assert k == 0 or brute(needed, k - 1, works) < target
    assert stats.binom.sf(needed - 1, needed + k, works) >= target


def test_many_replicas_are_exact_to_the_replica(monkeypatch):
    needed, works, target = np.array([2e5, 1.1e5, 1e4, 5e3]), np.array([0.994, 0.99, 0.9, 0.8]), np.array([0.999, 0.9999, 0.99999, 0.99])
    approximate = reliability.spares(needed, works, target)
    monkeypatch.setattr(reliability, "MANY_DOWN", np.inf)
    np.testing.assert_allclose(approximate, reliability.spares(needed, works, target), atol=1)
    assert (stats.binom.sf(needed - 1, needed + approximate, works) >= target - 1e-4).all()


@pytest.mark.parametrize("needed, works, target, correlation", [(8, 0.99, 0.999, 0.05), (20, 0.97, 0.99, 0.01), (50, 0.995, 0.999, 0.2), (1, 0.9, 0.9, 0.5), (40, 0.99, 0.999, 1e-6)])
def test_correlated_spares_are_the_fewest_of_the_beta_binomial(needed, works, target, correlation):
    k = int(reliability.spares(needed, works, target, correlation))
    a, b = (x * (1 - correlation) / correlation for x in (works, 1 - works))
    enough = lambda k: stats.betabinom.sf(needed - 1, needed + k, a, b)  # noqa: E731
    assert enough(k) >= target - 1e-9 and (k == 0 or enough(k - 1) < target)


def test_correlation_of_none_is_independence():
    needed = np.array([1.0, 5.0, 30.0, 400.0])
    np.testing.assert_array_equal(reliability.spares(needed, 0.98, 0.999, [0.0, 1e-9, 1e-9, 1e-9]), reliability.spares(needed, 0.98, 0.999))


def test_racks_over_every_pattern():
    """Four replicas in two racks of two, and a fifth in a rack of its own: every pattern of racks and replicas."""
    works, rack_works, needed, total = 0.9, 0.95, 3, 5
    found = 0.0
    for racks in product((0, 1), repeat=3):
        for up in product((0, 1), repeat=total):
            p = np.prod([rack_works if r else 1 - rack_works for r in racks]) * np.prod([works if u else 1 - works for u in up])
            found += p * (sum(u * racks[i // 2] for i, u in enumerate(up)) >= needed)
    assert reliability.enough_work(needed, total - needed, works, 2, rack_works) == pytest.approx(found, rel=1e-12)
    assert reliability.enough_work(8, 2, 0.99) == pytest.approx(stats.binom.sf(7, 10, 0.99), rel=1e-12)


def test_racks_ask_for_at_least_a_rack():
    lone = reliability.spares_by_domain(16, 0.999, 0.999, 1, 1.0)
    assert lone == reliability.spares(16, 0.999, 0.999)
    assert reliability.spares_by_domain(16, 0.999, 0.9999, 4, 0.999) >= 4 > lone
    assert np.isnan(reliability.spares_by_domain(4, 0.9, 1 - 1e-9, 100, 0.5, most=50))


@settings(max_examples=60, deadline=None)
@given(
    needed=st.integers(1, 500), works=st.floats(0.8, 0.9999), nines=st.floats(0.5, 6), more=st.floats(0, 3), correlation=st.sampled_from([0.0, 0.02])
)
def test_more_nines_never_fewer_spares_and_better_replicas_never_more(needed, works, nines, more, correlation):
    k = lambda works, nines: float(reliability.spares(needed, works, 1 - 10**-nines, correlation))  # noqa: E731
    few, many = k(works, nines), k(works, nines + more)
    assert np.isnan(many) or few <= many
    assert not k((1 + works) / 2, nines) > few


def test_columns_equal_points():
    needed, works, target, correlation = np.array([1.0, 8.0, 120.0, np.nan, 3e5]), np.array([0.9, 0.99, 0.999, 0.9, 0.99]), 0.999, np.array([0, 0.05, 0, 0, 0])
    found = reliability.spares(needed, works, target, correlation)
    each = [float(reliability.spares(n, w, target, c)) for n, w, c in zip(needed, works, correlation, strict=True)]
    np.testing.assert_array_equal(found, each)
    assert np.isnan(found[3]) and np.isfinite(np.delete(found, 3)).all()


# ---------------------------------------------------------------- stock, outages, money
@pytest.mark.parametrize("per_year, lead_days, fill", [(120.0, 30, 0.95), (0.5, 60, 0.99), (4000.0, 90, 0.999), (0.0, 30, 0.9)])
def test_the_stock_is_the_poisson_quantile(per_year, lead_days, fill):
    assert reliability.stock(per_year, lead_days * 86400.0, fill) == stats.poisson.ppf(fill, per_year * lead_days / 365)


def test_outages_of_a_month_as_simulated():
    rng, down, outage_s, n = np.random.default_rng(5), 0.002, 3600.0, 200_000
    counts = rng.poisson(down * reliability.MONTH_S / outage_s, n)
    total_s = np.array([rng.gamma(c, outage_s) if c else 0.0 for c in counts])
    for within_s in (600.0, 3600.0, 4 * 3600.0):
        assert reliability.outage_exceeds(down, outage_s, within_s) == pytest.approx((total_s > within_s).mean(), abs=0.004)
    assert total_s.mean() == pytest.approx(down * reliability.MONTH_S, rel=0.02)


def test_credits_by_hand():
    at = lambda level: reliability.outage_exceeds(0.001, 1800.0, (1 - level) * reliability.MONTH_S)  # noqa: E731
    expected = 0.1 * (at(0.999) - at(0.99)) + 0.25 * (at(0.99) - at(0.95)) + 1.0 * at(0.95)
    assert reliability.credit_share(0.001, 1800.0, (0.999, 0.99, 0.95), (0.1, 0.25, 1.0)) == pytest.approx(expected, rel=1e-12)
    assert reliability.credit_share(0.0, 1800.0, (0.999,), (0.1,)) == 0.0
    assert reliability.credit_share(0.5, 1800.0, (0.999,), (0.1,)) == pytest.approx(0.1, abs=1e-6)  # down half the month


def test_short_share_is_the_binomial():
    k = np.arange(6)
    np.testing.assert_allclose(reliability.short_share(40, 0.97, 5), stats.binom.cdf(39, 40 + k, 0.97), atol=1e-13)


def test_one_more_spare_stops_paying_where_it_costs_more_than_it_saves():
    best, cost = reliability.paying_spares(40, 0.97, 500.0, 1e5, 86400.0, 1e6, (0.999, 0.99), (0.1, 0.3))
    assert best == np.argmin(cost) and cost[best] <= cost[best + 1] and cost[best] < cost[best - 1]
    assert reliability.paying_spares(40, 0.97, 0.0, 1e5, 86400.0, most=5)[0] == 5  # free spares
    assert reliability.paying_spares(40, 0.97, 1e9, 1e5, 86400.0)[0] == 0  # priceless ones
    cheap, dear = (reliability.paying_spares(40, 0.97, usd, 1e5, 86400.0)[0] for usd in (100.0, 5000.0))
    assert cheap > dear


def test_a_failure_while_serving_costs_less_than_one_while_training():
    """Methods K: in-flight prompts read anew on one replica against half an interval and a restart of 16,384 chips."""
    serving = reliability.serving_failure_usd(64.0, 0.5, 8.0, 2.5)  # 32 s of 8 chips
    assert serving == pytest.approx(64 * 0.5 * 8 * 2.5 / 3600)
    training = reliability.training_failure_usd(16384.0, 818.0, 300.0, 2.5)
    assert training == pytest.approx(16384 * 709 * 2.5 / 3600)
    assert training / serving > 1e4


def test_binomial_sums_to_one_and_is_comb():
    p = reliability._binomial(12, 0.3)
    np.testing.assert_allclose(p, [comb(12, k) * 0.3**k * 0.7 ** (12 - k) for k in range(13)], rtol=1e-12)
    assert reliability._binomial(5000, 0.99).sum() == pytest.approx(1, abs=1e-10)
