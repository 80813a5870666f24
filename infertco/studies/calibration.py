"""Fit of the efficiencies to published measurements, and what is left out of a fit to judge it.

Each parameter has a meaning and belongs to a class of chips (share of bandwidth and of peak arithmetic, time of a
kernel), to an engine (fixed time of a layer, a step, a sequence, an all-reduce, a first token) or to all (what 8 and 4
bits change, attention, links, how much of a prefill hides under decoding). They are fitted in the logarithm, with
robust least squares on log(predicted/measured), each held by a wide prior at its start value. No parameter belongs to a
row, a chip or a model. Rows of one source and task weigh together less than their number, so that no sweep decides.
"""

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.studies import validation

PRIOR = 0.6  # standard deviation of a parameter's logarithm around its start
SCALE = 0.15  # residual beyond which a row counts less and less
CLASS = dict(memory=0.8, compute=0.6, kernel=3e-6)  # start values
ENGINE = dict(layer=2e-5, step=3e-4, sequence=3e-6, allreduce=8e-6, first=4e-2, burst=0.2, engine_compute=1.0)
SHARED = dict(
    memory_8=0.95, memory_4=0.95, compute_8=0.9, compute_4=0.6, attention_memory=1.0, attention_compute=0.8, expert_compute=0.8, expert_memory=1.0, link=0.5, charge=0.8, overflow=0.43,
)  # fmt: skip
OWN = dict(  # engines with a value of their own; the others share one
    layer=None, step=("trtllm", "vllm", "sglang"), sequence=("trtllm", "vllm", "sglang"), allreduce=("trtllm", "vllm", "sglang", "compiled"),
    first=("trtllm", "vllm", "sglang"), burst=("trtllm", "vllm", "sglang"), engine_compute=("llama.cpp", "compiled", "vllm-2023", "trtllm-early", "lmdeploy"),
)  # fmt: skip
START = dict(layer={"vllm-2023": 1.5e-4, "trtllm-early": 5e-5, "neuron": 8e-5, "tt-metal": 1e-4, "llama.cpp": 5e-5})


class Problem:
    """Rows to fit on, and the parameters they depend on."""

    def __init__(self, table: pd.DataFrame):
        self.table = table[table["why_not"] == ""].reset_index(drop=True)
        self.names, self.start = [], []
        classes, engines = catalog.table("chip").columns["efficiency_class"], catalog.table("engine").ids
        rows = np.array([catalog.table("chip").row[chip] for chip in self.table["chip"]])
        usual = catalog.table("chip").columns["usual_engine"][rows]
        self.cls, cls_ids = pd.factorize(classes[rows])
        self.eng, eng_ids = pd.factorize(np.where(self.table["engine"] == "", usual, self.table["engine"]))
        self.classes, self.engines = list(cls_ids), list(eng_ids)
        assert set(self.engines) <= set(engines)
        self.at = {}
        for kind, value in CLASS.items():
            self.at[kind] = np.array([self._add(f"{kind}/{name}", value) for name in self.classes])
        for kind, value in ENGINE.items():
            own = OWN[kind]
            shared = None if own is None else self._add(f"{kind}/other", value)
            self.at[kind] = np.array([
                self._add(f"{kind}/{name}", START.get(kind, {}).get(name, value)) if own is None or name in own else shared for name in self.engines
            ])  # fmt: skip
        for kind, value in SHARED.items():
            self.at[kind] = self._add(kind, value)
        self.start = np.log(self.start)
        size = self.table.groupby(["source_id", "task"])["value"].transform("size")
        self.weight = (size / 20).clip(lower=1) ** -0.35

    def _add(self, name, value):
        self.names.append(name)
        self.start.append(value)
        return len(self.names) - 1

    def columns(self, theta) -> dict:
        """Fields of every row under the parameters."""
        value = np.exp(theta)
        of_class = {kind: value[self.at[kind]][self.cls] for kind in CLASS}
        of_engine = {kind: value[self.at[kind]][self.eng] for kind in ENGINE}
        shared = {kind: value[self.at[kind]] for kind in SHARED}
        memory, compute, kernel = of_class["memory"], of_class["compute"], of_class["kernel"]
        charge = self.table["prefill_charge"].to_numpy()
        return dict(
            memory_efficiency_16=memory, memory_efficiency_8=memory * shared["memory_8"], memory_efficiency_4=memory * shared["memory_4"],
            compute_efficiency_16=compute, compute_efficiency_8=compute * shared["compute_8"], compute_efficiency_4=compute * shared["compute_4"],
            kernel_time_s_16=kernel, kernel_time_s_8=kernel, kernel_time_s_4=kernel,
            attention_memory_efficiency=memory * shared["attention_memory"], attention_compute_efficiency=compute * shared["attention_compute"],
            expert_compute_efficiency=shared["expert_compute"], expert_memory_efficiency=shared["expert_memory"], compute_share=of_engine["engine_compute"],
            layer_time_s=of_engine["layer"], step_time_s=of_engine["step"], sequence_time_s=of_engine["sequence"],
            allreduce_time_s=of_engine["allreduce"], first_token_time_s=of_engine["first"], burst_wait=of_engine["burst"],
            link_efficiency=shared["link"], overflow_wait=shared["overflow"], prefill_charge=np.where(np.isnan(charge), shared["charge"], charge),
        )  # fmt: skip

    def log_errors(self, theta) -> np.ndarray:
        """log(predicted/measured) of every row of the table; NaN where nothing is predicted."""
        found = validation.predict(self.table.assign(**{k: np.clip(x, 0, 1.9) for k, x in self.columns(theta).items()}))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(found["predicted"].to_numpy() / found["value"].to_numpy())


def fit(table, left_out=None, start=None, steps=12, verbose=0):
    """Parameters fitted on the rows of `table` that are not `left_out`: (Problem, theta)."""
    from scipy.optimize import least_squares

    problem = Problem(table)
    rows = problem.table.drop_duplicates("row").sort_values("row")
    use = np.ones(len(rows), bool) if left_out is None else ~left_out(rows).to_numpy()
    weight = problem.weight[rows.index].to_numpy()
    theta = problem.start if start is None else start
    valid = np.isfinite(problem.log_errors(theta)) & use

    def residuals(theta):
        errors = problem.log_errors(theta)
        errors = np.where(np.isfinite(errors), errors, 1.5)[valid]
        errors = SCALE * np.sign(errors) * np.sqrt(2 * (np.sqrt(1 + (errors / SCALE) ** 2) - 1)) * weight[valid] / SCALE
        return np.r_[errors, (theta - problem.start) / PRIOR]

    result = least_squares(residuals, theta, diff_step=0.02, max_nfev=steps, verbose=verbose, method="trf")
    return problem, result.x
