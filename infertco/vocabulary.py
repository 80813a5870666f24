"""The words of the data files: their columns and parameters, words of confidence, kinds of source.

A parameter of chips, models, workloads, sites and finance is a field of its value type; only links, demand, API prices
and the named facts behind sites and finance have words of their own, below.
"""

from dataclasses import fields

from infertco import plans, values
from infertco.values import quantity, text

LONG = ("item", "parameter", "value", "unit", "low", "high", "source", "date", "confidence", "note")
EXTRA_COLUMNS = dict(efficiency=("count",), links=("from", "to"), demand=("who", "kind"))
WIDE = ("models", "workloads")
WIDE_COLUMNS = ("source", "date", "confidence", "note", "weak_fields", "slo_source", "slo_confidence")
SOURCES = ("key", "kind", "title", "url", "accessed", "terms")
CURRENCIES = ("currency", "date", "usd", "source")
SOURCE_KINDS = ("datasheet", "paper", "filing", "measured", "vendor page", "press", "repository", "estimate")
CONFIDENCE = {
    "measured": "read off an instrument or a trace, by whoever the source names",
    "datasheet": "the maker's datasheet, a filing, a table of a paper",
    "vendor page": "the owner's own page, documentation or statement",
    "config": "the published configuration of a model",
    "secondary config": "that configuration, restated by others",
    "press": "journalism, blogs, price lists of resellers, aggregators",
    "estimate": "an analyst's or our own reckoning: needs low, high and, in the note, the reasoning",
    "unverified": "general knowledge; no source was found",
}
WEAK = ("estimate", "unverified")


def _own(unit, help, low=0.0, high=float("inf"), label=""):
    """A parameter that is no field of a value type."""
    return quantity(label, unit, help, allowed=(min(low, 0.0), float("inf")), usual=(low, high)).metadata


def _fields(value, names=None, leave_out=()):
    return {f.name: f.metadata for f in fields(value) if (names is None or f.name in names) and f.name not in leave_out}


_CHIP = [f.name for f in fields(values.Chip)]
EFFICIENCIES = ("usual_engine", *_CHIP[_CHIP.index("compute_efficiency_16") :])
_TITLE = dict(title=text("Title", "What the item is, in a few words").metadata)
PARAMETERS = {  # file: parameters of its items; "file/": of its named facts, the items with a "/" in their name
    "chips": _fields(values.Chip, leave_out=("chip",)),
    "efficiency": _fields(values.Chip, EFFICIENCIES),
    "efficiency/": _fields(values.Deployment, values.ENGINE_FACTS) | _fields(values.TrainingRates),
    "models": _fields(values.Model, leave_out=("model",)),
    "workloads": _fields(values.Workload, leave_out=("workload",)),
    "sites": _fields(values.Site, leave_out=("site",)),
    "sites/": _fields(values.Site, leave_out=("site",)) | _TITLE | {
        "pue_per_degc": _own("1", "Rise of PUE for one degree of outside temperature", 0, 0.2),
        "building_premium": _own("1", "Extra cost of a building for dense AI racks, share", -0.5, 2),
        "all_in_usd_per_w": _own("USD/W", "Cost of one watt of an AI data center, chips and building together", 1, 200),
        "colo_premium": _own("1", "Rent of large or small blocks against the mean, share", -0.9, 2),
    },
    "finance": _fields(values.Finance),
    "finance/": _fields(values.Finance) | _TITLE | {
        "capex_share": _own("1", "Share of the capital cost of an AI data center", 0, 1),
        "all_in_usd_per_chip": _own("USD", "Capital cost of one chip with its host, network and building", 100, 1e6),
        "unit_cost_usd": _own("USD", "What a chip costs its own operator to make or have made; no market price", 100, 1e6),
        "server_usd": _own("USD", "Price of a server, or of its parts without the chips", 100, 1e7),
        "network_usd_per_hour": _own("USD/h", "Network cost of one chip an hour", 0, 10),
        "network_share": _own("1", "Network cost, share of the server's", 0, 1),
        "staff_per_mw": _own("1", "Full-time staff for one MW of critical IT load", 0, 100),
        "events": _own("1", "Events counted"),
        "events_per_chip_year": _own("1/year", "Events for one chip in a year", 0, 100),
        "failure_share": _own("1/year", "Share of units that fail in a year", 0, 1),
        "overprovision": _own("1", "Chips held as spares, share", 0, 1),
        "service_level": _own("1", "Availability promised or reached, share of the time", 0, 1),
        "credit_share": _own("1", "Share of a month's bill credited below the service level of the same item", 0, 1),
        "effective_time": _own("1", "Share of training time that made progress", 0, 1),
    },
    "links": _TITLE | {
        "bytes_per_s": _own("byte/s", "Bandwidth of one chip or port, one direction", 1e8, 1e13),
        "latency_s": _own("s", "One-way latency of a message", 0, 1e-2),
        "rtt_s": _own("s", "Round-trip time between two places", 0, 2),
        "rtt_s_per_km": _own("s", "Round-trip time added by one km of great circle", 0, 1e-3),
        "rtt_stretch": _own("1", "Round-trip time over the bound set by light in fiber", 1, 10),
        "fiber_km_per_s": _own("1", "Speed of light in fiber, km in a second", 1e5, 3e5),
        "distance_km": _own("km", "Great-circle distance", 0, 20100),
        "pings": _own("1", "Pings behind the round-trip time"),
        "port_w": _own("W", "Power of one port with its optics", 0, 200),
        "port_usd": _own("USD", "Price of one port, or of its cable", 0, 2e4),
        "switch_usd": _own("USD", "Price of one switch, or of a node's cables", 100, 1e6),
        "usd_per_gb": _own("USD/GB", "Price of data moved", 0, 1),
        "efficiency": _own("1", "Share of the rated bandwidth that collectives reach", 0, 1.2),
        "oversubscription": _own("1", "Bandwidth below a switch over bandwidth above it", 1, 20),
    },
    "demand": _TITLE | {
        "inference_share_compute": _own("1", "Inference, share of AI computing", 0, 1),
        "inference_share_spend": _own("1", "Inference, share of AI spending", 0, 1),
        "inference_share_power": _own("1", "Inference, share of data-center power or load", 0, 1),
        "inference_share_contracts": _own("1", "Inference, share of contracted capacity", 0, 1),
        "training_share_spend": _own("1", "Training, share of AI spending", 0, 1),
        "spend_usd": _own("USD", "Spending in the period named by title and date", 1e6, 1e14),
        "spend_usd_per_year": _own("USD/year", "Spending a year", 1e6, 1e14),
        "capex_usd": _own("USD", "Capital spending in the period named by title and date", 1e6, 1e14),
        "capex_guidance_usd": _own("USD", "Capital spending announced for the year", 1e6, 1e14),
        "tokens_per_month": _own("token/month", "Tokens processed a month, input and output", 1e6, 1e18),
        "input_tokens_per_month": _own("token/month", "Input tokens a month", 1e6, 1e18),
        "output_tokens_per_month": _own("token/month", "Output tokens a month", 1e6, 1e18),
        "requests_per_day": _own("request/day", "Requests a day", 1, 1e13),
        "users": _own("1", "Users in the period named by title", 1, 1e10),
        "energy_per_request_j": _own("J", "Energy of one request, boundary as the note says", 1, 1e6),
        "price_decline_per_year": _own("1", "Factor by which a price fell in a year", 0.1, 1000),
        "price_decline_total": _own("1", "Factor by which a price fell over the period of the title", 0.1, 1e4),
        "rental_usd_per_hour": _own("USD/h", "Rent of one chip", 0.01, 200),
        "hbm_bytes": _own("byte", "HBM shipped in the year", 1e12, 1e20),
        "hbm_usd_per_gb": _own("USD/GB", "Price or cost of HBM", 0.1, 500),
        "hbm_price_ratio": _own("1", "Price of HBM over that of the memory in the title", 0.1, 100),
        "hbm_price_change": _own("1", "Change of the price of HBM, share", -0.95, 10),
        "hbm_market_usd": _own("USD", "HBM sold in the year", 1e8, 1e13),
        "hbm_stack_bytes": _own("byte", "Capacity of one stack of HBM", 1e9, 1e12),
        "hbm_stack_bytes_per_s": _own("byte/s", "Peak bandwidth of one stack of HBM", 1e11, 1e13),
        "hbm_bom_share": _own("1", "HBM, share of a chip's bill of materials", 0, 1),
        "bom_usd": _own("USD", "Bill of materials of one chip, memory and package included", 100, 1e5),
        "hbm_wafer_share": _own("1", "HBM, share of DRAM wafers", 0, 1),
    },
    "stories": _TITLE | _fields(plans.PivotPlan, leave_out=("story",)) | {
        name: values.FIELDS[name].metadata for name in (*values.IDS, "tensor_parallel", "requests_per_user_day", "utilization")
    },
    "apis": _TITLE | {
        "vendor": text("Vendor", "Who sells it").metadata,
        "model": text("Model", "Id in models.csv of the model served, where it is known").metadata,
        "usd_per_mtok_input": _own("USD/Mtok", "Price of a million input tokens", 0, 1000),
        "usd_per_mtok_cached": _own("USD/Mtok", "Price of a million cached input tokens", 0, 1000),
        "usd_per_mtok_output": _own("USD/Mtok", "Price of a million output tokens", 0, 5000),
        "batch_discount": _own("1", "Discount for answers within a day, share", 0, 1),
    },
}  # fmt: skip
FILES = tuple(name for name in PARAMETERS if not name.endswith("/"))
