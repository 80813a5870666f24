"""What serving a load takes beside chips: watts, dollars, joules, grams, and the fleet that a demand asks for."""

from copy import copy

import numpy as np

from .kernel import cost, fleet, power, reliability
from .kernel.rows import some
from .reasons import NONE, lacking
from .values import FLEET, OUTPUTS

MONEY = {"mfu", "mbu", "peak_flop_per_s"} | {n for n in OUTPUTS if "usd" in n or "_j_per" in n or "_g_per" in n or "w_per" in n}
MONEY |= {"tokens_per_s_per_mw", "wh_per_request"}
DETAIL = MONEY - {"mfu", "mbu", "peak_flop_per_s", "usd_per_chip_hour", "usd_per_mtok", "tokens_per_usd", "provisioned_j_per_request"}
DETAIL -= {"energy_j_per_request", "mean_w_per_chip", "usd_per_month"}
LINES = {f"{name}{end}" for name in ("tokens_per_usd", "energy_j_per_request") for end in ("", "_low", "_high")}
FLEETED = MONEY | {*FLEET, "utilization"}


def draws(c, uses, phase, served):
    """Draw of one chip while it reads a prompt, in a decoding step, and of both by their time; the prompt's share of the time."""
    prefill_w, decode_w = (power.chip_w(c, *use, c.power_limit_w) for use in uses)
    share = phase[0] / (phase[0] + phase[1])
    active_w = np.where(served, power.active_w(prefill_w, decode_w, share), np.nan)
    return prefill_w, decode_w, active_w, share


def money(c, chips, requests_per_s, capacity_per_s, phase, hits, draw, want):
    """Dollars, joules and grams of a replica at its load; and the bits of the facts that lack.

    Boundaries: `provisioned_*` and `tokens_per_s_per_mw` are ratings of chips, hosts and network with PUE, at capacity;
    `energy_j_per_request`, `wh_per_request` and `carbon_g_per_request` (operational, location-based) the modeled draw of
    the same with its idle share and PUE, for each request served; `accelerator_*` the chips alone, at work;
    `embodied_g_per_request` the making of chips and hosts over their life, and nothing of their operation.
    """
    utilization = utilization_of(c, requests_per_s, capacity_per_s)
    per_chip, served = capacity_per_s * c.output_tokens / chips, capacity_per_s * utilization
    owned, cloud = c.ownership == 0, c.ownership == 2
    rents = (c.cloud_usd_per_hour_on_demand, c.cloud_usd_per_hour_reserved, c.cloud_usd_per_hour_spot)
    prefill_w, decode_w, active_w, read_share = draw
    mean_w = power.mean_w(c, active_w, c.billing_power_share, utilization)
    hourly = cost.hourly_usd(c, c, c, owned, cloud, _of(c.commitment, rents), mean_w, per_chip * utilization)
    usd_per_chip_hour = sum(term for term in hourly if np.ndim(term) or term)
    usd_per_mtok = cost.usd_per_mtok(usd_per_chip_hour, per_chip, utilization)
    provisioned_j = cost.provisioned_j_per_request(c, c.pue, chips, capacity_per_s)
    out = dict(usd_per_chip_hour=usd_per_chip_hour, usd_per_mtok=usd_per_mtok, provisioned_j_per_request=provisioned_j, mean_w_per_chip=mean_w)
    if want & (DETAIL | LINES):
        energy_j = mean_w * c.pue * chips / served
        out |= dict(tokens_per_usd=1e6 / usd_per_mtok, energy_j_per_request=energy_j)
    if want & DETAIL:
        prompt = cost.phase_share(c.allocation, *phase, c.input_tokens, c.output_tokens)
        per_input = c.output_tokens / c.input_tokens
        of_all = usd_per_mtok / usd_per_chip_hour
        chip_j = active_w * chips / requests_per_s
        read_j = read_share * prefill_w / active_w * chip_j
        out |= {f"usd_per_mtok_{name}": part * of_all for name, part in cost.parts(hourly).items()} | dict(
            usd_per_mtok_input=prompt * usd_per_mtok * per_input, usd_per_mtok_output=(1 - prompt) * usd_per_mtok,
            usd_per_mtok_blended=usd_per_mtok / (1 + 1 / per_input), usd_per_mtok_usage=usd_per_mtok * utilization,
            usd_per_mtok_idle=usd_per_mtok - usd_per_mtok * utilization,
            usd_per_mtok_cached=usd_per_mtok * c.output_tokens * hits / sum(phase),
            usd_per_request=usd_per_mtok * c.output_tokens / 1e6,
            usd_per_user_month=usd_per_mtok * c.output_tokens / 1e6 * c.requests_per_user_day * cost.DAYS,
            provisioned_j_per_served_request=provisioned_j / utilization, wh_per_request=energy_j / 3600,
            tokens_per_s_per_mw=cost.tokens_per_s_per_mw(provisioned_j, c.output_tokens),
            prefill_w_per_chip=prefill_w + 0 * active_w, decode_w_per_chip=decode_w + 0 * active_w, active_w_per_chip=active_w, idle_w_per_chip=power.idle_w(c),
            server_w_per_chip=power.server_w(c, active_w), accelerator_energy_j_per_request=chip_j,
            prefill_energy_j_per_request=read_j, decode_energy_j_per_request=chip_j - read_j,
            accelerator_energy_j_per_output_token=chip_j / c.output_tokens, energy_j_per_output_token=energy_j / c.output_tokens,
            carbon_g_per_request=energy_j / 3.6e6 * c.grid_g_per_kwh,
            embodied_g_per_request=c.embodied_carbon_g * chips / (served * c.chip_life_years * cost.HOURS * 3600),
        )  # fmt: skip
    lacks = np.where(owned, lacking(c, "owned"), lacking(c, "colo")) | lacking(c, "bought")
    lacks = np.where(cloud, _rent_lacks(c), lacks) if some(cloud) else lacks
    return out, lacks | lacking(c, "power") | lacking(c, "carbon")


def fleets(c, chips, requests_per_s, capacity_per_s, answer_s):
    """The fleets of the rows with a demand, and the bits of what lacks; their spares stand for availability in what follows."""
    works = reliability.replica(c, chips).availability
    found, utilization = fleet.behind(c, chips, works, requests_per_s, capacity_per_s, answer_s)
    c, demanded = copy(c), ~np.isnan(c.demand_requests_per_s)
    c.utilization, c.availability = np.where(demanded, utilization, c.utilization), np.where(demanded, 1.0, c.availability)
    return c, found, np.where(demanded, lacking(c, "shape") | lacking(c, "power"), NONE)


def derived(c, loaded):
    """Where the load sets the utilization: rows with a load, and neither a demand nor a utilization typed."""
    return loaded & np.isnan(c.demand_requests_per_s) & ~np.asarray(c.named().get("utilization", False))


def utilization_of(c, requests_per_s, capacity_per_s):
    """As typed or assumed, or of the fleet; under clients or arrivals without either, the rate over the capacity."""
    loaded = ~np.isnan(c.clients) | ~np.isnan(c.arrival_requests_per_s)
    if not some(loaded):
        return c.utilization
    return np.where(derived(c, loaded), np.minimum(requests_per_s / capacity_per_s, 1.0), c.utilization)


def _rent_lacks(c):
    return _of(c.commitment, [lacking(c, name) for name in ("on_demand", "reserved", "spot")])


def _of(commitment, options):
    return options[commitment] if np.ndim(commitment) == 0 else np.choose(commitment, options)
