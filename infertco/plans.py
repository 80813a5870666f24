"""What a study asks beside the scenario: one frozen value a study, made like the six of `values`.

A field's name is unique across the six values and the plans, so that it is at once a parameter of a report, a line of a
YAML file, a slider and a row of the assumptions. NaN, or no text, is "the story's", "the scenario's" or "the model chooses".
"""

import re
from dataclasses import dataclass, fields, replace

from infertco import values
from infertco.checking import check_numbers, nearest
from infertco.values import ONE, Number, quantity, text

DAY_S = 86400.0
WHOLE = {"periods", "slices"}
MONTH = re.compile(r"(19|20)\d\d-(0[1-9]|1[0-2])")


class Plan:
    """What plans share: each field is checked when one is made, by its own name."""

    def __post_init__(self):
        lengths = set()
        for field in fields(self):
            given, meta = getattr(self, field.name), field.metadata
            if meta["unit"] == "text":
                words = meta["choices"]
                if given and words and given not in words:
                    raise ValueError(f"unknown {field.name} '{given}'{nearest(str(given), words)} It is one of {', '.join(words)}")
                if given and field.name.endswith("_month") and not MONTH.fullmatch(str(given)):
                    raise ValueError(f"{field.name} must be a month as 2026-01, got '{given}'")
                continue
            given = check_numbers(field.name, given, nan_is_none=field.default != field.default, fields={field.name: field}, whole=WHOLE)
            if given.ndim > 1 or given.size == 0:
                raise ValueError(f"{field.name} must be a number or a 1-D array with at least one entry")
            lengths |= {given.size} if given.ndim else set()
            object.__setattr__(self, field.name, given if given.ndim else float(given))
        if len(lengths) > 1:
            raise ValueError(f"arrays of a plan must have one length, got {', '.join(map(str, sorted(lengths)))}")


def made(kind, plan, named: dict, what: str):
    """(Plan with the fields named, the names left that are fields of a scenario).

    Raises
    ------
    ValueError
        For a name that is neither, with the nearest one.
    """
    own = {field.name for field in fields(kind)}
    for name in named:
        if name not in own and name not in values.FIELDS:
            raise ValueError(f"no field of {what} named '{name}'{nearest(name, (*own, *values.FIELDS))}")
    mine = {name: x for name, x in named.items() if name in own}
    return replace(plan or kind(), **mine), {name: x for name, x in named.items() if name not in own}


@dataclass(frozen=True, kw_only=True, eq=False)
class FleetPlan(Plan):
    """Who is served, how reliably, and what is hired; each a number or a 1-D array with one entry a plan."""

    users: Number = quantity("Users", "1", "Users served; NaN: the demand of the scenario", (0, 1e11), above=True)
    nines: Number = quantity("Nines", "1", "Nines of the share of time that enough replicas work; NaN: availability_target of the scenario", (0, 6))
    scale_up_lag_s: Number = quantity("Scale-up lag", "s", "From ordering a hired replica until it serves", (0, 7 * DAY_S), default=600.0)
    reserved_usd_per_hour: Number = quantity("Reserved price", "USD/h", "Of one chip held all the time; NaN: the chip's", (0, 1e4), above=True)
    on_demand_usd_per_hour: Number = quantity("On-demand price", "USD/h", "Of one chip hired by the hour; NaN: the chip's", (0, 1e4), above=True)
    rack_w: Number = quantity("Rack", "W", "Rated IT power of one rack; 41 kW is four servers of eight H100", (0, 1e7), above=True, default=41e3)
    domain_replicas: Number = quantity("Replicas a domain", "1", "Replicas that one rack, row or site takes down with it", (1, 1e6), default=1.0)
    domain_availability: Number = quantity("Domain availability", "1", "Share of time that such a rack, row or site works", (0, 1), above=True, default=1.0)
    part_lead_time_s: Number = quantity("Lead time", "s", "From ordering a chip for the stock to its delivery", (0, 1e9), default=30 * DAY_S)
    stock_fill: Number = quantity("Fill rate", "1", "Share of lead times that the stock of chips lasts", (0, 0.999999), default=0.95)
    usd_per_mtok_sold: Number = quantity("Price sold at", "USD/Mtok", "Revenue of a million output tokens, prompts included; NaN: no word of credits", (0, 1e6))

GROWTH = (0.0, 100.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class PivotPlan(Plan):
    """How demand, training and hardware go on, month by month. What is left out is that of the story (data/stories.csv)."""

    story: str = text("Story", "Id in data/stories.csv: whose demand and training it is", default="enterprise")
    first_month: str = text("First month", "Month the paths begin, as 2024-01")
    last_month: str = text("Last month", "Month the paths end, as 2035-12")
    adoption: str = text("Adoption", "How users come: Bass, logistic, at a constant rate, or all at once", choices=("bass", "logistic", "exponential", "steady"))
    users_at_start: Number = quantity("Users at the start", "1", "Users in the first month", (0, 1e11), above=True)
    market_users: Number = quantity("Users in the end", "1", "Users once all who will have come", (0, 1e11), above=True)
    innovation_rate: Number = quantity("Innovation", "1/year", "Bass p: share of those left who come of themselves, a year", ONE)
    imitation_rate: Number = quantity("Imitation", "1/year", "Bass q: rate at which users bring others, a year", (0, 10))
    user_growth_per_year: Number = quantity("Growth of users", "1/year", "Rise of users a year, logistic or exponential; 1 doubles them", GROWTH)
    request_growth_per_year: Number = quantity("Growth of requests", "1/year", "Rise of the requests of one user a year", GROWTH)
    prompt_growth_per_year: Number = quantity("Growth of prompts", "1/year", "Rise of the prompt length a year", GROWTH)
    reasoning_share_start: Number = quantity("Reasoning at the start", "1", "Share of requests answered by reasoning, first month", ONE)
    reasoning_share_end: Number = quantity("Reasoning in the end", "1", "Share of requests answered by reasoning, in the end", ONE)
    reasoning_multiplier: Number = quantity("Reasoning multiplier", "1", "Answer of a reasoning request over that of another", (1, 1000))
    prefix_share_end: Number = quantity("Prefix hits in the end", "1", "Share of prompt tokens found in the prefix cache in the end; at first the workload's", ONE)
    small_model: str = text("Small model", "Id of the model that serves what needs no large one; none: the scenario's serves all")
    small_share_start: Number = quantity("Small model at the start", "1", "Share of requests that the small model answers, first month", ONE)
    small_share_end: Number = quantity("Small model in the end", "1", "Share of requests that the small model answers, in the end", ONE)
    offline_share: Number = quantity("Work that can wait", "1", "Share of serving without a latency limit", ONE)
    half_years: Number = quantity("Half-way", "year", "Time in which shares go half the way from start to end", (0.01, 100))
    model_growth_per_year: Number = quantity("Growth of models", "1/year", "Rise of the work of a token a year as the models served grow", GROWTH)
    efficiency_gain_per_year: Number = quantity("Model efficiency", "1/year", "Rise of tokens for the same work a year, at equal quality: software, distillation, sparsity", GROWTH)
    trained_model: str = text("Model trained", "Id of the model whose shape is trained; none: the scenario's")
    training_chip: str = text("Training chip", "Id of the chip trained on; none: the scenario's")
    training_chips: Number = quantity("Chips of a run", "1", "Chips of one training job, which set its speed and failures", (1, 1e8))
    runs_per_year: Number = quantity("Final runs a year", "1", "Final training runs a year", (0, 1e4))
    run_tokens: Number = quantity("Tokens of a run", "token", "Tokens of one final run", (0, 1e18))
    experiment_multiple: Number = quantity("Experiments", "1", "Compute of experiments around final runs, over that of the runs", (0, 1000))
    tunes_per_year: Number = quantity("Fine-tunes a year", "1", "Fine-tuning runs a year", (0, 1e6))
    tune_tokens: Number = quantity("Tokens of a fine-tune", "token", "Tokens of one fine-tuning run", (0, 1e18))
    training_growth_per_year: Number = quantity("Growth of training", "1/year", "Rise of training compute a year", GROWTH)
    training_growth_fade: Number = quantity("Fading of that growth", "1/year", "Share of the growth of training that a year takes away", ONE)
    energy_gain_per_year: Number = quantity("Energy efficiency", "1/year", "Rise of work for a joule a year, from one generation of chips to the next", GROWTH)
    training_utilization: Number = quantity("Use of training chips", "1", "Share of their time that training chips have a job", ONE, above=True)
    refresh_years: Number = quantity("Refresh cadence", "year", "Age at which chips leave the training tier", (0.25, 30))
    buy_ahead_years: Number = quantity("Bought ahead", "year", "Chips are bought for the need of so much later: hoarding", (0, 5))
    resale_share: Number = quantity("Resale", "1", "What a buyer pays for a used chip, over its value by price-performance", ONE)
    lead_time_years: Number = quantity("Time to deliver", "year", "From ordering chips to serving with them", (0, 5))
    shortage_multiple: Number = quantity("Shortage", "1", "Cost of an hour of work without a chip for it, over that of a chip-hour: rent, or lost margin", (1, 100))
    fleet_policy: str = text("What is done with old chips", "Handed down to lower tiers, sold, or left idle", choices=("hand_down", "resell", "idle"))
    training_fabric_bytes_per_s: Number = quantity("Fabric for training", "byte/s", "Least scale-out link of a chip in the training tier", (0, 1e13))
    window_months: Number = quantity("Window", "1", "Months added up before inference and training are compared", (1, 120))


@dataclass(frozen=True, kw_only=True, eq=False)
class TieringPlan(Plan):
    """What may be bought and rented to serve classes of demand; a number, or a 1-D array with one entry a period."""

    periods: Number = quantity("Periods", "1", "Periods planned for", (1, 40), default=1.0)
    period_years: Number = quantity("Length of a period", "year", "Years of one period", (0.05, 10), default=1.0)
    power_cap_w: Number = quantity("Power cap", "W", "Rated power of what is bought and held, PUE included; NaN: none", (0, 1e12))
    budget_usd: Number = quantity("Budget", "USD", "Spent on chips in a period; NaN: no limit", (0, 1e15))
    carbon_cap_g: Number = quantity("Carbon cap", "g", "Operational carbon of a period; NaN: none", (0, 1e18))
    vendor_share: Number = quantity("Share of a vendor", "1", "Most of the chips bought in a period that may be of one vendor; NaN: all", ONE)
    tier_nines: Number = quantity("Nines of a pool", "1", "Nines of the share of time that enough replicas work; NaN: availability_target of the scenario", (0, 6))
    wait_share: Number = quantity("Requests that wait", "1", "Share of requests that may find every place taken, at the peak", (0.0001, 0.9999), default=0.2)
    least_replicas: Number = quantity("Smallest pool", "1", "Fewest replicas of a pool in use", (1, 1e4), default=1.0)
    slices: Number = quantity("Slices of a class", "1", "Equal slices of a class, each served by one pool; NaN: any share anywhere", (1, 1e4))
    premium_tpot_s: Number = quantity("Premium limit", "s", "TPOT limit up to which a demand belongs to the premium tier", (0, 60), default=0.03)
    training_tier_chip: str = text("Chips of training", "Ids of the chips that the training tier may hold, commas between them; none: no training tier")
    training_need_chips: Number = quantity("Training need in chips", "1", "Chips that train", (0, 1e8), default=0.0)
    training_need_flop_per_s: Number = quantity("Training need", "FLOP/s", "Sustained model FLOP/s that training takes, failures counted", (0, 1e24), default=0.0)
    training_tier_model: str = text("Model of training", "Id of the model whose shape is trained; none: the scenario's")
    training_cluster_chips: Number = quantity("Smallest training cluster", "1", "Fewest chips of a kind at a site that train, where any do", (0, 1e8), default=0.0)
    resale_fraction: Number = quantity("Resale of a plan", "1", "What a sale fetches of the market value", ONE, default=0.7)
    move_usd_per_chip: Number = quantity("Cost of a move", "USD", "Moving one chip down a tier: cables, staff, idle time", (0, 1e6), default=200.0)
    buys: str = text("What is bought", "Chips bought into an own building, a rented one, or none", choices=("owned", "colo", "nothing"), default="colo")
    rents: str = text("What is rented", "Cloud chips rented", choices=("nothing", "reserved", "on_demand", "both"), default="both")
    mip_gap: Number = quantity("Gap", "1", "Proven distance from the least cost at which the solver may stop", (0, 0.5), default=0.001)
    solver_limit_s: Number = quantity("Time limit", "s", "Time after which the solver hands over the best plan found", (0.1, 36000), default=60.0)


PLANS = (FleetPlan, PivotPlan, TieringPlan)
FIELDS = {field.name: field for plan in PLANS for field in fields(plan)}


def names(plan) -> list[str]:
    """Names of the fields of a plan."""
    return [field.name for field in fields(plan)]
