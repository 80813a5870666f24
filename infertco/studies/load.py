"""Latency against load: a replica under random arrivals, from nearly idle to nearly saturated.

    knee = load of greatest throughput over response time          response = TTFT + (output - 1) TPOT

Left of the knee more load costs users little, right of it much: Kleinrock's measure of power [1]_. The highest load
within the limits is another point. It depends on what users accept, the knee on the machine and the requests alone.

.. [1] Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications", ICC 1979.
"""

import numpy as np
import pandas as pd

from infertco.scenario import Scenario, evaluate, sweep

SHARES = (*np.arange(0.02, 0.98, 0.02).round(2), 0.98)
QUANTILE = 0.95  # that the limits apply to, where the scenario names none
NEAR = 1e-3  # to which the saturating rate is found
LATENCIES = ["ttft_s", "ttft_p95_s", "tpot_s", "tpot_p95_s"]
OUTPUTS = [
    *LATENCIES, "requests_per_s", "capacity_requests_per_s", "output_tokens_per_s", "output_tokens_per_s_per_chip", "chips_per_replica",
    "usd_per_mtok", "batch", "fits_memory", "meets_slo", "extrapolated", "reason", "ttft_s_low", "ttft_s_high", "tpot_s_low", "tpot_s_high",
]  # fmt: skip


def saturation_per_s(table: pd.DataFrame, base: Scenario | None = None) -> np.ndarray:
    """Arrivals from which one replica has no steady state, a row of the frame each; NaN where nothing is served. [1/s]

    Either all places are taken then, or prompts are read without a pause. Found by halving, to a thousandth.
    """
    free = evaluate(table.assign(ttft_slo_s=np.nan, tpot_slo_s=np.nan), ["requests_per_s"], base=_unlimited(base))
    high = free["requests_per_s"].to_numpy()
    low, middle = np.where(np.isnan(high), np.nan, 0.0), high * (1 - NEAR)
    for _ in range(40):
        if not np.any(high * (1 - NEAR) > low):
            break
        steady = evaluate(table.assign(arrival_requests_per_s=middle), ["ttft_s"], base=base)["ttft_s"].notna().to_numpy()
        low, high = np.where(steady, middle, low), np.where(steady, high, middle)
        middle = (low + high) / 2
    return np.where(low > 0, low, np.nan)


def _unlimited(base):
    """The scenario without limits on latency and with a batch of the model's own choice."""
    return base and base.vary(ttft_slo_s=np.nan, tpot_slo_s=np.nan, slo_quantile=None, batch=None, clients=None, arrival_requests_per_s=None)


def curve(scenario: Scenario, points=SHARES, **axes) -> pd.DataFrame:
    """Latencies of one replica at rising arrival rates, a row a rate, for each combination of the axes.

    Parameters
    ----------
    scenario : Scenario
        What the axes do not name; a load of its own is set aside.
    points : sequence of floats
        Arrival rates as shares of the rate that saturates the replica, above 0 and below 1.
    **axes
        As in `sweep`: chips, layouts, any fields but loads.

    Returns
    -------
    DataFrame
        `evaluate`'s rows with `load`, the share, and `saturation_requests_per_s`. `meets_slo` judges the quantile that the
        scenario names, else the 95th percentile. What cannot be served is one row a combination, with its reason.

    Raises
    ------
    ValueError
        For points out of range, and as `sweep`.

    Examples
    --------
    >>> import infertco as ic
    >>> table = curve(ic.scenario(tensor_parallel=4), points=[0.1, 0.9])
    >>> print(bool(table["ttft_s"][1] > table["ttft_s"][0]), round(float(table["requests_per_s"][1] / table["requests_per_s"][0])))
    True 9
    """
    points = np.asarray(points, dtype=float)
    if not (points.ndim == 1 and points.size and np.all((points > 0) & (points < 1))):
        raise ValueError("points must be shares of the saturating rate, above 0 and below 1")
    base = scenario.vary(batch=None, clients=None, arrival_requests_per_s=None)
    if base.value("slo_quantile") != base.value("slo_quantile"):
        base = base.vary(slo_quantile=QUANTILE)
    asked = sweep(_unlimited(base), ["reason"], **axes)[[*axes]]
    limit = saturation_per_s(asked, base)
    loads = [points if ok else [np.nan] for ok in np.isfinite(limit)]
    at = np.repeat(np.arange(len(asked)), [len(some) for some in loads])
    frame = asked.iloc[at].reset_index(drop=True).assign(load=np.concatenate(loads), saturation_requests_per_s=limit[at])
    frame = frame.assign(arrival_requests_per_s=frame["load"] * limit[at])
    return evaluate(frame, OUTPUTS, keep=["load", "saturation_requests_per_s"], base=base)


def knee(table: pd.DataFrame, by: str = "chip") -> pd.DataFrame:
    """Two rows of each group of a `curve`: `point` "knee", and "limit", the highest load within the limits.

    Loads are those of the points tried. Where none is within the limits, or nothing is served, the numbers of the row are
    NaN.

    Parameters
    ----------
    table : DataFrame
        Rows of `curve`.
    by : str
        Column of the groups.
    """
    found, power = [], table["requests_per_s"] / response_s(table)
    numbers = ["load", "arrival_requests_per_s", *(name for name in OUTPUTS if pd.api.types.is_float_dtype(table[name]))]
    for _, rows in table.groupby(by, sort=False, observed=True):
        within = rows.loc[rows["meets_slo"].astype(bool), "load"]
        for point, worth in (("knee", power[rows.index].dropna()), ("limit", within)):
            row = rows.loc[[worth.idxmax()]] if len(worth) else rows.head(1).assign(**dict.fromkeys(numbers, np.nan))
            found.append(row.assign(point=point))
    return pd.concat(found, ignore_index=True)


def response_s(table: pd.DataFrame) -> pd.Series:
    """Mean time from arrival to the last token. [s]"""
    return table["ttft_s"] + (table["output_tokens_per_s"] / table["requests_per_s"] - 1) * table["tpot_s"]
