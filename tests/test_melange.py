"""Melange's public example to its published answer, finer slices, and the comparison with infertco's own throughput."""

import numpy as np
import pytest

from infertco.studies.melange import EXAMPLE, comparison, mix, throughput


def test_the_public_example():
    """3 A10G and 1 A100 for 6.70 USD an hour; A10G alone 12 for 12.12, A100 alone 2 for 7.34 (Griggs et al., repository)."""
    best = mix(**EXAMPLE)
    assert best.counts == {"A10G": 3, "A100-80GB": 1} and best.usd_per_hour == pytest.approx(6.70)
    table = comparison(**EXAMPLE).set_index("fleet")
    assert table.loc["A10G", "usd_per_hour"] == pytest.approx(12.12) and table.loc["A100-80GB", "usd_per_hour"] == pytest.approx(7.34)
    assert table.loc["A10G", "A10G"] == 12 and table.loc["A100-80GB", "A100-80GB"] == 2
    assert table.loc["A10G", "saving"] == pytest.approx(1 - 6.70 / 12.12)


def test_finer_slices_cost_no_more():
    costs = [mix(**EXAMPLE, slice_factor=n).usd_per_hour for n in (1, 2, 4, 8, 16)]
    assert np.all(np.diff(costs) <= 1e-9) and costs[-1] >= mix(**EXAMPLE, split=True).usd_per_hour - 1e-9
    assert costs[0] / costs[-1] == pytest.approx(1.18, abs=0.01)  # one slice a bucket buys too much
    np.testing.assert_allclose(mix(**EXAMPLE).served.sum(axis=0), 1.0)


def test_what_no_chip_serves_has_no_mix():
    assert mix({"a": 1.0}, {"a": [[1.0, np.nan]]}, [[0.5, 0.5]], 1.0) is None


def test_own_throughput_prefers_small_chips_for_small_requests():
    price, rate = throughput()
    per_dollar = {chip: rate[chip] / price[chip] for chip in price}
    assert np.nanmax(per_dollar["l4"]) > 0 and all(np.isfinite(x) and x > 0 for x in price.values())
    for chip in price:  # longer requests are never faster
        assert (np.diff(np.nan_to_num(rate[chip]), axis=0) <= 1e-9).all() and (np.diff(np.nan_to_num(rate[chip]), axis=1) <= 1e-9).all()
    shares = np.full(rate["l4"].shape, 1 / rate["l4"].size)
    table = comparison(price, rate, shares, 20.0).set_index("fleet")
    assert table["usd_per_hour"].min() == table.loc["mix", "usd_per_hour"] and (table["saving"].dropna() >= -1e-12).all()
