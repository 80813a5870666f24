"""The cheapest mix of rented chips for one service whose requests differ in length: the assignment of Griggs et al.

    minimize   sum_g price_g count_g
    so that    each slice s of the requests is served by one kind of chip,  sum_s A_sg rate_s / throughput_sg <= count_g

Buckets of (input, output) lengths carry shares of the requests; each is cut into `slice_factor` slices of equal rate. The
special case of `tiering` with one period, no spares, no room for random arrivals, and chips rented one by one (its field
`slices`) [1]_.

What of their findings infertco's own throughput repeats, for Llama-2-7B on an A10G at 1.01 and an A100 at 3.67 USD an hour with
at most 256 sequences in flight, as vLLM then had: that the A100 gains on the A10G as requests grow. What it does not: they
measured the A10G up to 72 % ahead on small requests and the A100 38 % on large ones; here the A100 is 14 % ahead at 25 tokens in
and out and 66 % at 2,000. At the catalog's prices of today (A10G 1.21, A100 1.25) no mix of them can gain; an L4 beside A100s does
where the rate is small, as it fills what a whole A100 would not.

.. [1] Griggs et al., "Melange: Cost Efficient Large Language Model Serving by Exploiting GPU Heterogeneity", arXiv 2404.14527.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from infertco.scenario import Scenario, evaluate
from infertco.scenario import scenario as default_scenario
from infertco.studies.programme import Programme

EXAMPLE = dict(  # config/example.json of the authors' repository, tyler-griggs/melange-release at ebba701 (Apache-2.0): figures only
    usd_per_hour={"A10G": 1.01, "A100-80GB": 3.67},
    requests_per_s={"A10G": [[2, 1], [5, 2]], "A100-80GB": [[20, 20], [40, 20]]},
    shares=[[0.2, 0.1], [0.5, 0.2]], rate_per_s=30.0,
)  # fmt: skip


class Mix(NamedTuple):
    """Chips of each kind, dollars an hour, and the share of each bucket that each kind serves (kinds, inputs, outputs)."""

    counts: dict
    usd_per_hour: float
    served: np.ndarray


def mix(usd_per_hour, requests_per_s, shares, rate_per_s, slice_factor=1, only=None, split=False) -> Mix | None:
    """The cheapest mix; None where some bucket has no chip that serves it.

    Parameters
    ----------
    usd_per_hour : mapping
        Price of one chip, by kind.
    requests_per_s : mapping
        Most that one serves within the limits, an array (inputs, outputs) by kind; 0 or NaN: not served.
    shares : array (inputs, outputs)
        Of the requests, as they are: they need not add up to 1.
    slice_factor : int
        Slices a bucket. They are alike, so that whole numbers of slices are counted, not slices assigned.
    only : names
        Kinds that may be used.
    split : bool
        Slices of any size: the limit of many.

    Examples
    --------
    >>> best = mix(**EXAMPLE)
    >>> print(best.counts, round(best.usd_per_hour, 2))
    {'A10G': 3, 'A100-80GB': 1} 6.7
    """
    kinds = [kind for kind in usd_per_hour if only is None or kind in only]
    price = np.array([usd_per_hour[kind] for kind in kinds], dtype=float)
    shares = np.asarray(shares, dtype=float)
    can = np.nan_to_num(np.array([np.asarray(requests_per_s[kind], dtype=float) for kind in kinds])).reshape(len(kinds), -1)
    some = np.flatnonzero(shares.ravel() > 0)
    can, rate = can[:, some], rate_per_s * shares.ravel()[some]
    if not len(kinds) or (can.max(axis=0, initial=0.0) <= 0).any():
        return None
    slices = 1 if split else slice_factor
    load = np.where(can > 0, rate / np.where(can > 0, can, 1.0), 0.0) / slices
    programme, (g, s) = Programme(), np.indices(can.shape)
    at = programme.variables("slices", can.shape, upper=np.where(can > 0, slices, 0), whole=not split)
    count = programme.variables("chips", len(kinds), price, whole=True)
    programme.rows(len(some), [(s, at, 1.0)], slices, slices, "requests")
    programme.rows(len(kinds), [(g, at, load), (np.arange(len(kinds)), count, -1.0)], high=0.0, group="chips")
    found = programme.solve(gap=0.0)
    served = np.zeros((len(kinds), shares.size))
    served[:, some] = found.x[at] / slices
    counts = np.round(found.x[count]).astype(int)
    return Mix(dict(zip(kinds, counts.tolist(), strict=True)), float(price @ counts), served.reshape(-1, *shares.shape))


def comparison(usd_per_hour, requests_per_s, shares, rate_per_s, slice_factor=1) -> pd.DataFrame:
    """The mix beside each kind alone: fleet, usd_per_hour, saving of the mix over it, chips by kind; the mix first."""
    ways = {"mix": None} | {kind: [kind] for kind in usd_per_hour}
    found = {name: mix(usd_per_hour, requests_per_s, shares, rate_per_s, slice_factor, only) for name, only in ways.items()}
    usd = {name: np.nan if x is None else x.usd_per_hour for name, x in found.items()}
    rows = [
        dict(fleet=name, usd_per_hour=usd[name], saving=1 - usd["mix"] / usd[name]) | {kind: (x.counts.get(kind, 0) if x else np.nan) for kind in usd_per_hour}
        for name, x in found.items()
    ]
    return pd.DataFrame(rows)


def edge(usd_per_hour, requests_per_s, kind, other):
    """Tokens for a dollar of one kind over those of another, less 1, by bucket.

    Examples
    --------
    >>> print(edge(EXAMPLE["usd_per_hour"], EXAMPLE["requests_per_s"], "A100-80GB", "A10G").round(2))
    [[1.75 4.5 ]
     [1.2  1.75]]
    """
    per_usd = {name: np.asarray(requests_per_s[name], dtype=float) / usd_per_hour[name] for name in (kind, other)}
    return per_usd[kind] / per_usd[other] - 1


def throughput(
    chips=("l4", "a10g", "a100-80-sxm", "h100-sxm"), inputs=(25, 100, 500, 2000, 8000), outputs=(25, 100, 500, 2000), scenario: Scenario | None = None
):
    """(Hourly price on demand, requests/s of one chip by input and output length) by kind: infertco's own, within the limits.

    A chip alone where the model fits; NaN where it misses the limits or does not fit. The limits are the scenario's.
    """
    scenario = scenario or default_scenario(model="llama-2-7b", workload="chat", tensor_parallel=1, ttft_slo_s=np.nan, tpot_slo_s=0.12)
    chip, i, o = (x.ravel() for x in np.meshgrid(np.asarray(chips, object), inputs, outputs, indexing="ij"))
    frame = pd.DataFrame(dict(chip=chip, input_tokens=i.astype(float), output_tokens=o.astype(float)))
    found = evaluate(frame.assign(prefix_hit_rate=0.0), ["capacity_requests_per_s", "meets_slo", "chips_per_replica"], base=scenario)
    rate = np.where(found["meets_slo"], found["capacity_requests_per_s"] / found["chips_per_replica"], np.nan).reshape(len(chips), len(inputs), len(outputs))
    price = [scenario.vary(chip=chip).value("cloud_usd_per_hour_on_demand") for chip in chips]
    return dict(zip(chips, np.asarray(price, float), strict=True)), dict(zip(chips, rate, strict=True))
