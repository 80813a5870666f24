"""Rows per second of `evaluate`, beside the machine's own yardstick. Run by `make bench`; prints, and fails only far off."""

import cProfile
import os
import pstats
import time

import numpy as np
import pandas as pd
import pytest

import infertco as ic
from infertco.columns import Columns
from infertco.stages import deploy, model

OUTPUTS = ["ttft_s", "tpot_s", "output_tokens_per_s_per_chip", "usd_per_mtok", "provisioned_j_per_request", "meets_slo", "reason"]


def scattered(n, seed=0):
    rng = np.random.default_rng(seed)
    pick = lambda *ids: pd.Categorical(rng.choice(ids, n))  # noqa: E731
    return pd.DataFrame(
        dict(
            chip=pick("h100-sxm", "h200-sxm", "b200-sxm", "mi300x", "a100-80-sxm", "tpu-v6e", "gaudi3", "trainium2"),
            model=pick("llama-3.1-70b", "llama-3.1-8b", "qwen3-32b", "mixtral-8x7b", "gpt-oss-120b"), workload=pick("chat", "code", "rag"),
            site=pick("us-average", "nordics"), tensor_parallel=rng.choice([2.0, 4.0, 8.0], n), weight_bits=rng.choice([16.0, 8.0], n),
            batch=rng.integers(1, 64, n).astype(float), input_tokens=rng.uniform(100, 4000, n), usd_per_kwh=rng.uniform(0.03, 0.2, n),
            utilization=rng.uniform(0.3, 0.9, n),
        )
    )  # fmt: skip


def seconds(call, repeat, clock=time.process_time):
    taken = []
    for _ in range(repeat):
        start = clock()
        call()
        taken.append(clock() - start)
    return min(taken)


def user_s():
    """Processor time without the kernel's: fresh pages for large results cost what the machine's owner makes them cost."""
    return os.times().user


PARTS = {  # where the time of a row goes: functions of the package, each with all it calls
    "operators of two passes": {("step.py", "operators_s")}, "gathering coefficients": {("stages.py", "take")},
    "facts of rows": {("columns.py", "__getattr__")}, "draws and dollars": {("bill.py", "draws"), ("bill.py", "money")},
    "reading the frame, finding like rows": {("columns.py", "from_frame"), ("columns.py", "like_rows")}, "texts": {("reasons.py", "texts")},
}  # fmt: skip


def shares(call) -> dict:
    profile = cProfile.Profile()
    profile.runcall(call)
    stats = pstats.Stats(profile)
    taken = {}
    for name, functions in PARTS.items():
        own = [cumulative for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items() if (file.rpartition("/")[2], function) in functions]
        taken[name] = sum(own) / stats.total_tt
    return taken


@pytest.mark.bench
def test_rows_per_second(capsys):
    n = 1_000_000
    frame, x = scattered(n), np.random.default_rng(0).random(16384)
    out = np.empty_like(x)
    multiply = seconds(lambda: [np.multiply(x, x, out=out) for _ in range(2000)], 5) / 2000 / len(x)
    lines = [f"one cached multiply of a float64: {multiply * 1e9:.2f} ns"]
    rates = {}
    few = frame.head(n // 5)
    fleets = few.drop(columns="utilization").assign(demand_requests_per_s=np.random.default_rng(1).uniform(1, 1e4, len(few)))
    for name, rows, outputs in [
        ("batch given, the seven outputs", frame, OUTPUTS), ("batch searched, the seven outputs", few.drop(columns="batch"), OUTPUTS),
        ("batch given, the headline set", few, None), ("a fleet behind each row, the seven outputs", fleets, OUTPUTS),
    ]:  # fmt: skip
        taken = seconds(lambda rows=rows, outputs=outputs: ic.evaluate(rows, outputs), 3) / len(rows)
        rates[name] = 1 / taken
        lines.append(f"{name}: {1e-6 / taken:.2f} million rows/s, {taken / multiply:,.0f} multiplies a row")
    lines += [f"  of a row with its batch given: {name} {share:.0%}" for name, share in shares(lambda: ic.evaluate(frame, OUTPUTS)).items()]
    names = {*OUTPUTS, "faults"}
    for word, changes in (("given", dict(batch=32)), ("searched", {})):
        base = ic.scenario(tensor_parallel=4, **changes)
        columns = Columns(base, 1, {}, {})
        with np.errstate(all="ignore"):
            point = seconds(lambda base=base, columns=columns: [model(c := Columns(base, 1, {}, {}, tables=columns.tables), deploy(c), names) for _ in range(50)], 5) / 50
        lines.append(f"one point in the kernel, batch {word}: {point * 1e6:.0f} us")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert rates["batch given, the seven outputs"] > 1e6 and rates["batch searched, the seven outputs"] > 0.25e6, "half of what a quiet machine reaches"


@pytest.mark.bench
def test_the_whole_bill_costs_at_most_half_as_much_again_as_performance(capsys):
    """Every dollar, joule and gram of a million rows beside the performance columns of the headline set."""
    frame = scattered(1_000_000)
    money = [name for name in ic.values.OUTPUTS if any(word in name for word in ("usd", "_j_per", "_g_per", "wh_per", "_per_mw")) and not name.endswith(("_low", "_high"))]
    performance = [name for name in ic.values.HEADLINE if not any(word in name for word in ("usd", "_j_per", "_g_per"))]
    few = OUTPUTS[:3]
    taken = [seconds(lambda names=names: ic.evaluate(frame, names), 3, user_s) for names in (performance, performance + money, few, few + money)]
    with capsys.disabled():
        print(f"\nthe whole bill ({len(money)} columns): {taken[1] / taken[0]:.2f} times performance; beside {len(few)} columns alone {taken[3] / taken[2]:.2f} times")
    assert taken[1] / taken[0] < 1.5
