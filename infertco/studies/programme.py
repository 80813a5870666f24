"""A linear or mixed-integer programme with named variables and named limits, built in blocks and solved by HiGHS.

    minimize c x   subject to   low <= A x <= high,   lower <= x <= upper,   some x whole

Variables and rows come in arrays of any shape; `variables` hands back their column numbers in that shape. Each row
belongs to a group with a name (a power cap, a budget): that is what shadow prices are told by, what a conflict names,
and what may be changed without building anew.
"""

import os
import time
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

STATUS = {0: "optimal", 1: "time limit", 2: "infeasible", 3: "unbounded", 4: "numerical trouble"}


class Solution(NamedTuple):
    """Values by column, objective, proven lower bound, relative gap, status, seconds; shadow prices by row where asked."""

    x: np.ndarray | None
    objective: float
    bound: float
    gap: float
    status: str
    solve_s: float
    shadow: np.ndarray | None = None


class Programme:
    """Columns and rows as they are added; `solve`, `relax` and `shadow` read them."""

    def __init__(self):
        self.n, self.m = 0, 0
        self.blocks, self.cost, self.lower, self.upper, self.whole = [], [], [], [], []
        self.entries, self.low, self.high, self.groups, self.periods = [], [], [], [], []
        self._matrix = None

    def variables(self, name, shape, cost=0.0, lower=0.0, upper=np.inf, whole=False):
        """Column numbers of a new block, in its shape."""
        count = int(np.prod(shape, dtype=int))
        at = np.arange(self.n, self.n + count).reshape(shape)
        for known, given in ((self.cost, cost), (self.lower, lower), (self.upper, upper), (self.whole, whole)):
            known.append(np.broadcast_to(np.asarray(given, dtype=float), shape).ravel())
        self.blocks.append((name, self.n, count))
        self.n, self._matrix = self.n + count, None
        return at

    def rows(self, count, terms, low=-np.inf, high=np.inf, group="", period=0):
        """Numbers of `count` new rows; `terms` are (row within the block, column, coefficient) arrays.

        A column of -1 is left out: what does not exist has no coefficient.
        """
        for row, column, coefficient in terms:
            row, column, coefficient = (x.ravel() for x in np.broadcast_arrays(row, column, np.asarray(coefficient, dtype=float)))
            there = (column >= 0) & (coefficient != 0)
            self.entries.append((row[there] + self.m, column[there], coefficient[there]))
        for known, given in ((self.low, low), (self.high, high), (self.periods, period)):
            known.append(np.broadcast_to(np.asarray(given, dtype=float), count))
        self.groups.append(np.broadcast_to(np.asarray(group, dtype=object), count))
        at = np.arange(self.m, self.m + count)
        self.m, self._matrix = self.m + count, None
        return at

    def append(self, other, weight=1.0, name=""):
        """Column numbers of another programme taken over whole, its costs weighted: a scenario beside others."""
        cost, lower, upper, whole, low, high, group, period = other.arrays()
        at = self.variables(name, other.n, weight * cost, lower, upper, whole)
        a = other.matrix().tocoo()
        self.rows(other.m, [(a.row, at[a.col], a.data)], low, high, group, period)
        return at

    def matrix(self):
        """The coefficients, sparse; built once."""
        if self._matrix is None:
            row, column, value = (np.concatenate(x) for x in zip(*self.entries, strict=True))
            self._matrix = sparse.csr_array((value, (row, column)), shape=(self.m, self.n))
        return self._matrix

    def arrays(self):
        """(cost, lower, upper, whole, low, high, group, period) as flat arrays."""
        return tuple(np.concatenate(x) for x in (self.cost, self.lower, self.upper, self.whole, self.low, self.high, self.groups, self.periods))

    def solve(self, relax=False, time_limit_s=60.0, gap=1e-3, without=(), ends=None, upper=None, least=None) -> Solution:
        """The optimum, or the best found in time with its gap.

        Parameters
        ----------
        relax : bool
            Leave out that some variables are whole.
        without : names of groups
            Rows left out.
        ends : (low, high)
            Of the rows, in place of their own.
        upper, least : array
            Highest and lowest values of the columns, in place of their own.
        """
        cost, lower, most, whole, low, high, group, _ = self.arrays()
        low, high = ends or (low, high)
        if len(without):
            free = np.isin(group, list(without))
            low, high = np.where(free, -np.inf, low), np.where(free, np.inf, high)
        start = time.perf_counter()
        found = milp(
            cost, integrality=np.zeros_like(whole) if relax else whole, bounds=Bounds(lower if least is None else least, most if upper is None else upper),
            constraints=LinearConstraint(self.matrix(), low, high), options=dict(time_limit=time_limit_s, mip_rel_gap=gap),
        )  # fmt: skip
        taken = time.perf_counter() - start
        if found.x is None:
            return Solution(None, np.nan, np.nan, np.nan, STATUS[found.status], taken)
        bound = found.fun if relax or found.mip_dual_bound is None else found.mip_dual_bound
        return Solution(found.x, found.fun, bound, max(found.fun - bound, 0.0) / max(abs(found.fun), 1e-12), STATUS[found.status], taken)

    def shadow(self, x=None, ends=None, hold=None) -> Solution:
        """Change of the objective for one more of each row's limit: whole variables held at `x`, or none whole without one.

        `hold` names the blocks that are held, all that are whole if None; the others may then be divided.
        """
        cost, lower, upper, whole, low, high, _, _ = self.arrays()
        low, high = ends or (low, high)
        if x is not None:
            held = np.zeros(self.n, bool)
            for name, first, count in self.blocks:
                held[first : first + count] = hold is None or name in hold
            lower, upper = (np.where(held & (whole > 0), np.round(x), end) for end in (lower, upper))
        a, start = self.matrix(), time.perf_counter()
        same, less, more = low == high, (low != high) & np.isfinite(high), (low != high) & np.isfinite(low)
        found = linprog(
            cost, A_ub=sparse.vstack([a[less], -a[more]]), b_ub=np.r_[high[less], -low[more]], A_eq=a[same], b_eq=high[same],
            bounds=np.column_stack([lower, upper]), method="highs",
        )  # fmt: skip
        if found.x is None:
            return Solution(None, np.nan, np.nan, np.nan, STATUS.get(found.status, "numerical trouble"), time.perf_counter() - start)
        price = np.zeros(self.m)
        price[np.flatnonzero(same)] = found.eqlin.marginals
        price[np.flatnonzero(less)] += found.ineqlin.marginals[: less.sum()]
        price[np.flatnonzero(more)] -= found.ineqlin.marginals[less.sum() :]
        return Solution(found.x, found.fun, found.fun, 0.0, "optimal", time.perf_counter() - start, price)

    def conflict(self, groups, time_limit_s=20.0) -> list[str]:
        """An irreducible set of the groups that cannot be met together: drop any one and the programme solves.

        A deletion filter: a group is left out for good wherever what remains still has no solution. Chinneck,
        "Feasibility and Infeasibility in Optimization" (2008), section 6.1. Empty if leaving out all of them does not help.
        """
        fails = lambda without: self.solve(time_limit_s=time_limit_s, gap=1.0, without=without).status == "infeasible"  # noqa: E731
        groups, dropped = list(groups), []
        if fails(groups):
            return []
        for group in groups:
            if fails([*dropped, group]):
                dropped.append(group)
        return [group for group in groups if group not in dropped]

    def names(self) -> list[str]:
        """A name a column, its block and place."""
        return [f"{name}_{i}" for name, _, count in self.blocks for i in range(count)]

    def export(self, path):
        """Write the programme as free MPS, beside its name first and then moved into place."""
        cost, lower, upper, whole, low, high, group, _ = self.arrays()
        a, names = sparse.csc_array(self.matrix()), self.names()
        same, both = low == high, np.isfinite(low) & np.isfinite(high) & (low != high)
        kind = np.where(same, "E", np.where(np.isfinite(high), "L", np.where(np.isfinite(low), "G", "N")))
        lines = ["* rows: " + ", ".join(dict.fromkeys(str(g) for g in group if g)), "NAME infertco", "ROWS", " N cost"]
        lines += [f" {k} r{i}" for i, k in enumerate(kind)] + ["COLUMNS"]
        for j, name in enumerate(names):
            if whole[j] != (whole[j - 1] if j else 0):
                lines.append(f" M{j} 'MARKER' '{'INTORG' if whole[j] else 'INTEND'}'")
            lines.append(f" {name} cost {float(cost[j])!r}")
            part = slice(a.indptr[j], a.indptr[j + 1])
            lines += [f" {name} r{i} {float(v)!r}" for i, v in zip(a.indices[part], a.data[part], strict=True)]
        lines += [" MEND 'MARKER' 'INTEND'"] if whole[-1] else []
        lines += ["RHS"] + [f" rhs r{i} {float(high[i] if k in 'EL' else low[i])!r}" for i, k in enumerate(kind) if k != "N"]
        lines += ["RANGES"] + [f" rng r{i} {float(high[i] - low[i])!r}" for i in np.flatnonzero(both)] + ["BOUNDS"]
        for j, name in enumerate(names):
            lines += [f" LO bnd {name} {float(lower[j])!r}", f" UP bnd {name} {float(upper[j])!r}" if np.isfinite(upper[j]) else f" PL bnd {name}"]
        beside = f"{path}.part"
        with open(beside, "w", encoding="utf-8") as file:
            file.write("\n".join([*lines, "ENDATA", ""]))
        os.replace(beside, path)
