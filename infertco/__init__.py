"""infertco: the economics of AI compute, from facts with sources to cost per token with error bars.

A scenario is a row; a sweep is a table. `scenario()` makes one, `vary` changes it, `evaluate`, `sweep`, `best` and
`frontier` turn scenarios into tables.
"""

from . import catalog, units, values
from .catalog import chips, models, sites, workloads
from .plans import FleetPlan, PivotPlan, TieringPlan
from .scenario import Scenario, best, evaluate, frontier, scenario, sweep
from .studies.fleet import fleet

__version__ = "0.1.0"
__all__ = [
    "FleetPlan", "PivotPlan", "Scenario", "TieringPlan", "best", "catalog", "chips", "evaluate", "fleet", "frontier", "models", "scenario", "sites", "sweep",
    "units", "values", "workloads",
]  # fmt: skip
