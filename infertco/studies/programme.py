"""A linear or mixed-integer programme with named variables and named limits, built in blocks and solved by HiGHS.

    minimize c x   subject to   low <= A x <= high,   lower <= x <= upper,   some x whole

Variables and rows come in arrays of any shape; `variables` hands back their column numbers in that shape. Each row
belongs to a group with a name (a power cap, a budget): that is what shadow prices are told by, what a conflict names,
and what may be changed without building anew. Without whole numbers the solver goes on from its last answer, so that
another limit costs a few steps only.
"""

import os
import re
import time
from pathlib import Path
from typing import NamedTuple

import highspy
import numpy as np
from scipy import sparse

OPTIMAL, INFEASIBLE = "optimal", "infeasible"
END = highspy.HighsModelStatus
STATUS = {END.kOptimal: OPTIMAL, END.kInfeasible: INFEASIBLE, END.kTimeLimit: "time limit", END.kInterrupt: "time limit", END.kUnbounded: "unbounded"}
TOLERANCE = 1e-6  # HiGHS: of whole numbers and of rows
FEASIBLE = 2  # HiGHS: a feasible point is held
ROUNDS = 60  # of rows that tighten the relaxation
SMALL_STEP = 5e-6  # rise of the bound that is not worth another round
FIRST_SHARE = 0.4  # of the time left: for the rows that tighten, and for each part of the programme that is searched before the whole


class Solution(NamedTuple):
    """Values by column, objective, proven lower bound, relative gap, status, seconds; shadow prices by row where asked."""

    x: np.ndarray | None
    objective: float
    bound: float
    gap: float
    status: str
    solve_s: float
    shadow: np.ndarray | None = None


class Rows(NamedTuple):
    """Rows to add: coefficients (rows, columns of the programme), sparse, and their least values."""

    matrix: sparse.csr_array
    low: np.ndarray


class Quiet(highspy.Highs):
    """A solver without a banner: highspy prints one as it comes to be, before there is a way to ask it not to."""

    def enableCallbacks(self):
        self.setOptionValue("output_flag", False)
        super().enableCallbacks()


class Programme:
    """Columns and rows as they are added; `solve` and `shadow` read them."""

    def __init__(self):
        self.n, self.m = 0, 0
        self.blocks, self.cost, self.lower, self.upper, self.whole = [], [], [], [], []
        self.entries, self.low, self.high, self.groups, self.periods = [], [], [], [], []
        self._matrix = self._arrays = self._running = None

    def __getstate__(self):
        return self.__dict__ | dict(_running=None)  # a solver at work is not copied

    def _changed(self):
        self._matrix = self._arrays = self._running = None

    def variables(self, name, shape, cost=0.0, lower=0.0, upper=np.inf, whole=False):
        """Column numbers of a new block, in its shape."""
        count = int(np.prod(shape, dtype=int))
        at = np.arange(self.n, self.n + count).reshape(shape)
        for known, given in ((self.cost, cost), (self.lower, lower), (self.upper, upper), (self.whole, whole)):
            known.append(np.broadcast_to(np.asarray(given, dtype=float), shape).ravel())
        self.blocks.append((name, self.n, count))
        self.n += count
        self._changed()
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
        self.m += count
        self._changed()
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
        """(cost, lower, upper, whole, low, high, group, period) as flat arrays; built once."""
        if self._arrays is None:
            parts = self.cost, self.lower, self.upper, self.whole, self.low, self.high, self.groups, self.periods
            self._arrays = tuple(np.concatenate(x) for x in parts)
        return self._arrays

    def _loaded(self, whole, ends=None, least=None, upper=None, more=()) -> highspy.Highs:
        """A solver that holds the programme; `more` are Rows beside its own."""
        cost, lower, most, _, low, high, _, _ = self.arrays()
        low, high = ends or (low, high)
        a = sparse.vstack([self.matrix(), *(rows.matrix for rows in more)], format="csr") if more else self.matrix()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.n, a.shape[0]
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower if least is None else least, most if upper is None else upper
        lp.row_lower_ = np.concatenate([low, *(rows.low for rows in more)])
        lp.row_upper_ = np.concatenate([high, *(np.full(len(rows.low), np.inf) for rows in more)])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = a.indptr, a.indices, a.data
        if whole is not None:
            kinds = highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger
            lp.integrality_ = [kinds[int(w)] for w in whole]
        solver = Quiet()
        solver.passModel(lp)
        return solver

    def solve(self, relax=False, time_limit_s=60.0, gap=1e-3, without=(), ends=None, upper=None, least=None,
              tighten=None, narrow=None, progress=None) -> Solution:  # fmt: skip
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
        tighten : function, optional
            Takes the answer without whole numbers and whether to use that some are whole; gives `Rows` that it breaks and
            that no answer in whole numbers does, or None.
        narrow : function, optional
            Takes the same answer and gives (least, upper) of the columns, parts of the programme to be searched before the whole.
        progress : function, optional
            Is told (seconds, objective of the best so far, proven bound) as the search goes on.
        """
        _, lower, most, whole, low, high, group, _ = self.arrays()
        low, high = ends or (low, high)
        least, upper = lower if least is None else least, most if upper is None else upper
        if len(without):
            free = np.isin(group, list(without))
            low, high = np.where(free, -np.inf, low), np.where(free, np.inf, high)
        clock, ends = Clock(time_limit_s), (low, high)
        if relax or not whole.any():
            return self._relaxed(ends, least, upper, clock)
        if not (tighten and narrow):
            return _run(self._loaded(whole, ends, least, upper), clock, gap=gap, progress=progress)
        solver, cuts = self._loaded(None, ends, least, upper), []
        root = _tightened(solver, tighten, False, cuts, clock)
        if root.x is None:
            return root
        found = None
        for part_least, part_upper in narrow(root.x):
            part = self._loaded(whole, ends, np.maximum(least, part_least), np.minimum(upper, part_upper))
            found = _better(found, _run(part, clock, FIRST_SHARE * clock.left(), gap / 2, found))
            if found and progress:
                progress(clock.taken(), found.objective, root.bound)
        if found and found.objective - root.bound <= gap * abs(found.objective):
            return _closed(found, root.bound, gap, clock)
        root = _tightened(solver, tighten, True, cuts, clock)
        proven = np.inf
        if found:  # what is less than `gap` better than the best so far is not sought: then this much is proven
            proven = found.objective - gap * abs(found.objective)
            dear = np.array(solver.getSolution().col_dual)
            room = np.where((root.x <= least + 1e-9) & (dear > 1e-9), (proven - root.bound) / np.maximum(dear, 1e-9), np.inf)
            upper = np.minimum(upper, least + np.where(whole > 0, np.floor(room + 1e-9), room))
        last = _run(self._loaded(whole, ends, least, upper, _that_hold(solver, cuts, self.m)), clock, gap=gap, start=found, progress=progress, floor=root.bound)
        bound = proven if found and last.status == INFEASIBLE else max(np.fmin(last.bound, proven), root.bound)
        best = _better(found, last)
        return last if best is None else _closed(best, bound, gap, clock)

    def _relaxed(self, ends, least, upper, clock) -> Solution:
        """Without whole numbers, from the last answer on."""
        solver = self._running = self._running or self._loaded(None)
        solver.changeRowsBounds(self.m, np.arange(self.m, dtype=np.int32), *ends)
        solver.changeColsBounds(self.n, np.arange(self.n, dtype=np.int32), least, upper)
        return _run(solver, clock)

    def shadow(self, x=None, ends=None, hold=None) -> Solution:
        """Change of the objective for one more of each row's limit: whole variables held at `x`, or none whole without one.

        `hold` names the blocks that are held, all that are whole if None; the others may then be divided.
        """
        _, lower, upper, whole, *_ = self.arrays()
        if x is not None:
            held = np.zeros(self.n, bool)
            for name, first, count in self.blocks:
                held[first : first + count] = hold is None or name in hold
            lower, upper = (np.where(held & (whole > 0), np.round(x), end) for end in (lower, upper))
        solver, clock = self._loaded(None, ends, lower, upper), Clock(np.inf)
        found = _run(solver, clock)
        return found if found.x is None else found._replace(shadow=np.array(solver.getSolution().row_dual))

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

    def names(self) -> tuple[list[str], list[str]]:
        """Names of columns and rows: the block or group, and the place in it."""
        columns = [f"{name}_{i}" for name, _, count in self.blocks for i in range(count)]
        seen, rows = {}, []
        for group, period in zip(*self.arrays()[6:], strict=True):
            word = re.sub(r"\W+", "_", f"{str(group) or 'row'}_{int(period)}")  # a reader of LP files takes no other signs
            seen[word] = seen.get(word, -1) + 1
            rows.append(f"{word}_{seen[word]}")
        return columns, rows

    def export(self, path):
        """Write the programme as free MPS or, by its ending, as LP; beside its name first, then moved into place.

        Raises
        ------
        ValueError
            If the name ends in neither .mps nor .lp.
        """
        path = Path(path)
        if path.suffix not in (".mps", ".lp"):
            raise ValueError(f"a programme is written as .mps or .lp, got '{path.name}'")
        solver = self._loaded(self.arrays()[3])
        for names, give in zip(self.names(), (solver.passColName, solver.passRowName), strict=True):
            for i, name in enumerate(names):
                give(i, name)
        beside = path.with_name(f"{path.stem}.part{path.suffix}")
        solver.writeModel(str(beside))
        os.replace(beside, path)


class Clock:
    """Seconds since the start, and those left of a limit."""

    def __init__(self, limit_s):
        self.start, self.limit_s = time.perf_counter(), limit_s

    def taken(self):
        return time.perf_counter() - self.start

    def left(self):
        return max(self.limit_s - self.taken(), 0.0)


def _tightened(solver, tighten, whole, cuts, clock) -> Solution:
    """The relaxation in the solver with rows added, to the list `cuts` too, as long as its answer breaks some and they matter."""
    least_left_s, found = (1 - FIRST_SHARE) * clock.left(), _run(solver, clock)
    for _ in range(ROUNDS):
        rows = tighten(found.x, whole) if found.x is not None else None
        if rows is None or clock.left() < least_left_s:
            break
        a, count = rows.matrix, len(rows.low)
        solver.addRows(count, rows.low, np.full(count, np.inf), a.nnz, a.indptr[:-1].astype(np.int32), a.indices.astype(np.int32), a.data)
        cuts.append(rows)
        before, after = found, _run(solver, clock)
        if after.x is None:
            break
        found = after
        if after.objective - before.objective < SMALL_STEP * abs(before.objective):
            break
    return found


def _that_hold(solver, cuts, first) -> list[Rows]:
    """Of the rows added after the `first`, those that hold the answer where it is."""
    price = np.array(solver.getSolution().row_dual)[first:]
    parts = np.split(price != 0, np.cumsum([len(rows.low) for rows in cuts])[:-1]) if cuts else []
    return [Rows(rows.matrix[hold], rows.low[hold]) for rows, hold in zip(cuts, parts, strict=True) if hold.any()]


def _run(solver, clock, limit_s=np.inf, gap=0.0, start=None, progress=None, floor=-np.inf) -> Solution:
    """What a loaded solver finds in the time left, or in `limit_s`."""
    solver.setOptionValue("mip_rel_gap", gap)
    limit_s = max(min(limit_s, clock.left()), 0.01)
    solver.setOptionValue("time_limit", min(solver.getRunTime() + limit_s, 1e30))  # it counts from the first run of a solver that goes on
    if start is not None:
        given = highspy.HighsSolution()
        given.col_value = list(start.x)
        solver.setSolution(given)
    if progress:

        def tell(event):
            best = min(event.data_out.mip_primal_bound, start.objective if start else np.inf)
            progress(clock.taken(), best, max(event.data_out.mip_dual_bound, floor))

        solver.cbMipLogging.subscribe(tell)
        solver.cbMipImprovingSolution.subscribe(tell)
    solver.run()
    if solver.getModelStatus() == END.kUnboundedOrInfeasible:  # presolve leaves open which
        solver.setOptionValue("presolve", "off")
        solver.run()
    info, told = solver.getInfo(), STATUS.get(solver.getModelStatus(), "numerical trouble")
    whole = bool(solver.getLp().integrality_)
    bound = info.mip_dual_bound if whole else info.objective_function_value
    if info.primal_solution_status != FEASIBLE or not (whole or told == OPTIMAL):
        return Solution(None, np.nan, bound if whole and told != INFEASIBLE else np.nan, np.nan, told, clock.taken())
    x = np.array(solver.getSolution().col_value)
    if whole:  # counts that follow from whole numbers are whole up to the solver's tolerance
        x = np.where(np.abs(x - np.round(x)) < TOLERANCE * np.maximum(np.abs(x), 1.0), np.round(x), x)
    found = Solution(x, info.objective_function_value, bound, 0.0, told, clock.taken())
    return _closed(found, bound, gap, clock)


def _better(one, other) -> Solution | None:
    """Of two answers, the one that costs less."""
    return one if other.x is None or (one and one.objective <= other.objective) else other


def _closed(found, bound, gap, clock) -> Solution:
    """An answer with its distance from a proven bound."""
    left = max(found.objective - bound, 0.0) / max(abs(found.objective), 1e-12)
    status = OPTIMAL if left <= gap * (1 + 1e-9) + 1e-12 else STATUS[END.kTimeLimit] if found.status == OPTIMAL else found.status
    return found._replace(bound=bound, gap=left, status=status, solve_s=clock.taken())
