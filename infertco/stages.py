"""The whole model on one screen: facts in, outputs out, one assignment a stage.

`deploy` turns the facts of chip, model and layout into coefficients, once for all rows that share them; `model` takes
them to the load, the latencies and the money of each row. Facts are gathered when a stage reads them; only the stages
that the wanted outputs need are run. Texts stay numbers until the end (`reasons.texts`).
"""

from copy import copy
from typing import NamedTuple

import numpy as np

from .columns import Columns
from .kernel import cost, fleet, layout, queueing, reliability, roofline, serving, step, transformer
from .kernel.rows import chosen, some
from .reasons import NONE, cause, lacking, missed, unfit
from .values import FLEET, INTERVALS, OUTPUTS

SHARES = {"bound", "share_compute", "share_memory", "share_network", "share_overhead"}
MONEY = {"mfu", "mbu", "peak_flop_per_s"} | {n for n in OUTPUTS if "usd" in n or "_j_per" in n or "_g_per" in n or "w_per" in n}
PLAIN = {"mfu", "mbu", "peak_flop_per_s", "usd_per_chip_hour", "usd_per_mtok", "tokens_per_usd", "usd_per_month"}
PLAIN |= {"provisioned_j_per_request", "mean_w_per_chip"}
DETAIL = MONEY - PLAIN - {"energy_j_per_request"}
FLEETED = MONEY | {*FLEET, "utilization"}
ROOFLINE = {n for n in OUTPUTS if n.startswith(("prefill_flop", "decode_flop", "ridge"))} | {"weight_bytes_per_chip", "kv_bytes_per_token"}
SEEN_BATCH, SEEN_TOKENS = 2048, 20_000  # largest of the calibration rows
Z80 = 1.2816  # standard deviations to either end of an 80 % interval


class Engine(NamedTuple):
    """What the engine does to requests, beside its part in the law of a step."""

    prefill_charge: np.ndarray
    first_token_time_s: np.ndarray
    burst_wait: np.ndarray
    overflow_wait: np.ndarray


class Deployed(NamedTuple):
    """A model on its chips, whatever is asked of it: coefficients that many requests, batches and prices share; (deployments)."""

    activation_bits: np.ndarray
    lay: layout.Layout
    held: layout.Memory
    law: step.Law
    engine: Engine
    compute_format: np.ndarray
    peak_flop_per_s: np.ndarray
    active_params: np.ndarray
    head_params: np.ndarray
    pair_flop: np.ndarray
    cached_flop: np.ndarray
    faults: np.ndarray

    def take(self, at, want) -> "Deployed":
        """One entry for each number in `at`, as far as the wanted outputs need it."""

        def taken(x):
            if isinstance(x, np.ndarray):
                return x.take(at, mode="clip") if x.size > 1 else x
            if isinstance(x, tuple):
                return type(x)(*map(taken, x)) if hasattr(x, "_fields") else tuple(map(taken, x))
            return x

        return taken(self if want & SHARES else self._replace(law=self.law._replace(compute_s=())))


def deploy(c: Columns) -> Deployed:
    """What the facts of chip, model and deployment come to; lengths of requests enter where the layout is open."""
    weight_bits = chosen(c.weight_bits, c.published_weight_bits)
    kv_bits = chosen(c.kv_bits, 16.0)
    activation_bits = chosen(c.activation_bits, np.where(weight_bits == 8, 8.0, 16.0))
    shape = transformer.shape(c)
    cut = transformer.cut_params(c, shape)
    lay = layout.layout(c, c, c, cut, c.input_tokens + c.output_tokens, weight_bits, kv_bits)
    form, peak, rates = step.attainable(c, lay, activation_bits, c)
    faults = lacking(c, "model") | lacking(c, "memory") | cause("peak_flop_per_s_bf16", np.isnan(peak)) | _unlinked(c, lay)
    faults = faults | cause("heads", ~layout.divides_heads(c, lay.tensor_parallel)) | cause("experts", ~layout.divides_experts(c, lay))
    return Deployed(
        activation_bits, lay, layout.memory(c, c, c, shape, cut, lay), step.law(c, shape, lay, rates, c),
        Engine(c.prefill_charge, c.first_token_time_s, c.burst_wait, c.overflow_wait), form, peak, transformer.active_params(c, shape), shape.head.params,
        transformer.pair_flop(c), transformer.decode_attention_flop(c), faults,
    )  # fmt: skip


def model(c: Columns, d: Deployed, want: set) -> dict:
    """Outputs of the wanted stages for some rows, by name; and `faults`, the bits of what went wrong."""
    lay, law, held, engine = d.lay, d.law, d.held, d.engine
    new_tokens = np.maximum(c.input_tokens * (1 - c.prefix_hit_rate), 1.0)
    longest = c.input_tokens + c.output_tokens
    pairs = transformer.prefill_pairs(c, c.input_tokens, c.input_tokens - new_tokens)
    prompt = serving.prompt(law, new_tokens, pairs, c.chunk_tokens)
    cached = transformer.cached_tokens(c, c.input_tokens + c.output_tokens / 2)
    holds = layout.most_sequences(lay, held, transformer.cached_tokens(c, longest)) >= lay.attention_data_parallel
    room = np.maximum(np.floor(layout.most_sequences(lay, held, cached)), 1.0)

    drafted = serving.draft(c.draft_tokens, c.draft_acceptance, c.draft_cost_share) if some(c.draft_tokens > 0) else serving.PLAIN

    def latencies(batch):
        ttft_s, tpot_s, step_s = serving.latencies_s(law, batch, lay, cached, c.output_tokens, prompt, engine.prefill_charge, drafted)
        return ttft_s + engine.first_token_time_s, tpot_s, step_s

    most, batch, clients = np.minimum(room, c.max_batch), c.batch, c.clients
    if some(np.isnan(batch)):
        found = serving.largest_batch(most, lambda tried: serving.lateness(*latencies(tried)[:2], c.ttft_slo_s, c.tpot_slo_s))
        batch = chosen(batch, found)
    ttft_s, tpot_s, step_s = latencies(batch)
    requests_per_s = capacity_per_s = batch / (ttft_s + (c.output_tokens - 1) * tpot_s)
    if some(looped := ~np.isnan(clients)):
        first_s, token_s, loop_step_s, running = serving.closed_loop(law, clients, most, lay, cached, c.output_tokens, prompt, engine, drafted)
        ttft_s, tpot_s = np.where(looped, first_s + engine.first_token_time_s, ttft_s), np.where(looped, token_s, tpot_s)
        step_s, batch = np.where(looped, loop_step_s, step_s), np.where(looped, running, batch)
        requests_per_s = np.where(looped, clients / (ttft_s + (c.output_tokens - 1) * tpot_s), requests_per_s)
    tails, saturated = {}, False
    if some(arriving := ~np.isnan(c.arrival_requests_per_s)):
        line = _under_arrivals(c, most, latencies, prompt)
        ttft_s, tpot_s, step_s = (np.where(arriving, x, y) for x, y in ((line.ttft_s, ttft_s), (line.tpot_s, tpot_s), (line.step_s, step_s)))
        batch, requests_per_s = np.where(arriving, line.running, batch), np.where(arriving, c.arrival_requests_per_s, requests_per_s)
        tails, saturated = line.tails, arriving & line.saturated

    faults = d.faults | lacking(c, "workload") | _later(c)
    laid_out = faults == 0
    faults = faults | cause("fit", laid_out & ~holds) | cause("batch", laid_out & holds & (c.batch > room))
    capacity_per_s = np.where(faults == 0, capacity_per_s, np.nan)
    faults = faults | cause("saturated", laid_out & holds & saturated)
    served = faults == 0
    ttft_s, tpot_s, requests_per_s = (np.where(served, x, np.nan) for x in (ttft_s, tpot_s, requests_per_s))

    tokens_per_s = requests_per_s * c.output_tokens
    per_chip = tokens_per_s / lay.chips
    judged_ttft_s, judged_tpot_s = tails.get("judged", (ttft_s, tpot_s))
    faults = faults | cause("ttft", served & (judged_ttft_s > c.ttft_slo_s)) | cause("tpot", served & (judged_tpot_s > c.tpot_slo_s))
    unjudged = served & ~np.isnan(c.slo_quantile) & ~arriving
    faults = faults | cause("quantile", unjudged) | cause("context", served & (longest > c.max_context_tokens))
    batch = np.where(laid_out | ~np.isnan(c.batch), batch, np.nan)
    out = dict(
        weight_bits=lay.weight_bits, kv_bits=lay.kv_bits, activation_bits=d.activation_bits, tensor_parallel=lay.tensor_parallel,
        pipeline_parallel=lay.pipeline_parallel, expert_parallel=lay.expert_parallel, engine=c.engine, batch=batch,
        chips_per_replica=lay.chips, compute_format=d.compute_format, fits_memory=served | laid_out & ~unfit(faults),
        meets_slo=served & ~missed(faults),
        ttft_s=ttft_s, tpot_s=tpot_s, requests_per_s=requests_per_s, capacity_requests_per_s=capacity_per_s,
        output_tokens_per_s=tokens_per_s, output_tokens_per_s_per_chip=per_chip, output_tokens_per_s_per_user=1 / tpot_s,
        most_sequences=room, prefill_s=prompt.alone_s, decode_step_s=step_s, peak_flop_per_s=d.peak_flop_per_s,
    )  # fmt: skip
    if "extrapolated" in want:
        out["extrapolated"] = served & (_beyond(c, d.activation_bits, batch, longest) | (c.draft_tokens > 0))
    for name in {"ttft_p95_s", "tpot_p95_s"} & want:
        out[name] = np.where(served & arriving, tails.get(name, np.nan), np.nan)
    if "prefill_batch_s" in want:
        out["prefill_batch_s"] = batch * serving.prompt_s(prompt, batch)
    if "batch_limit" in want:
        late = latencies(batch + 1)
        out["batch_limit"] = _batch_limit(c, batch, room, late, served)
    if want & FLEETED and some(~np.isnan(c.demand_requests_per_s)):
        c, found, unshaped = _fleet(c, lay.chips, requests_per_s, capacity_per_s, ttft_s + (c.output_tokens - 1) * tpot_s)
        out |= found
        faults = faults | unshaped
    if "utilization" in want:
        out["utilization"] = _utilization(c, requests_per_s, capacity_per_s)
    sequences = np.maximum(batch / lay.pipeline_parallel, 1.0)
    if want & SHARES:
        out |= _shares(c, law, new_tokens, pairs, sequences, cached, engine.prefill_charge, drafted, served)
    if want & (MONEY | ROOFLINE):
        read, written = serving.model_flop(d, new_tokens, pairs, cached)
        step_bytes = serving.decode_bytes(held, law, sequences, cached)
    if want & MONEY:
        out["mfu"] = requests_per_s * (read + c.output_tokens * written) / (lay.chips * d.peak_flop_per_s)
        out["mbu"] = step_bytes * tokens_per_s / (sequences * lay.pipeline_parallel * c.hbm_bytes_per_s)
        phase = hits = None
        if want & DETAIL:
            arrivals = (sequences - 1) / c.output_tokens
            phase = engine.prefill_charge * serving.prompt_s(prompt, arrivals), c.output_tokens * step_s / sequences
            hits = engine.prefill_charge * serving.cached_attention_s(law, pairs, new_tokens, c.input_tokens - new_tokens)
        money, unpriced = _money(c, lay.chips, requests_per_s, capacity_per_s, phase, hits, out["mfu"], out["mbu"], want)
        out |= money
        faults = faults | unpriced
        if "fleet_chips" in out:
            out["usd_per_month"] = out["fleet_chips"] * money["usd_per_chip_hour"] * cost.HOURS / 12
    if want & ROOFLINE:
        out |= _roofline(c, d, sequences, new_tokens, read, written, step_bytes, prompt.alone_s, step_s)
    return out | dict(faults=faults) | _intervals(c, out, want)


class Line(NamedTuple):
    """A replica under random arrivals: means, what runs, quantiles by name, and where there is no steady state."""

    ttft_s: np.ndarray
    tpot_s: np.ndarray
    step_s: np.ndarray
    running: np.ndarray
    saturated: np.ndarray
    tails: dict


def _under_arrivals(c, most, latencies, prompt) -> Line:
    """Latencies of the rows with `arrival_requests_per_s`: a line for one of `most` places, and a line for reading the prompt."""
    rate, most = c.arrival_requests_per_s, np.broadcast_to(most, c.n)
    running = queueing.nodes(most)
    first_s, token_s, step_s = latencies(running)
    served_s = first_s + (c.output_tokens - 1) * token_s
    quantiles = c.slo_quantile if some(~np.isnan(c.slo_quantile)) else np.nan
    levels = (0.95, *np.unique(quantiles[~np.isnan(quantiles)] if np.ndim(quantiles) else [] if quantiles != quantiles else [quantiles]))
    place = queueing.replica(rate, running, served_s, c.arrival_cv, _spread(c, "output"), levels)
    reading = queueing.pool(rate, serving.prompt_s(prompt, 1.0), 1, c.arrival_cv, _spread(c, "input"))
    waiting = queueing.either(place.wait, reading)
    mean = lambda f: np.sum(place.weights * f, axis=0)  # noqa: E731
    first_s = mean(first_s)

    def at(i):
        return first_s + queueing.wait_quantile_s(waiting, levels[i]), latencies(np.maximum(place.beside[i], 1.0))[1]

    tails = dict(zip(("ttft_p95_s", "tpot_p95_s"), at(0), strict=True))
    ttft_s, tpot_s = first_s + queueing.mean_wait_s(waiting), mean(token_s)
    if len(levels) > 1:
        judged = ttft_s, tpot_s
        for i in range(1, len(levels)):
            judged = tuple(np.where(quantiles == levels[i], x, y) for x, y in zip(at(i), judged, strict=True))
        tails["judged"] = judged
    return Line(ttft_s, tpot_s, mean(step_s), place.running, place.saturated | np.isnan(ttft_s), tails)


def _spread(c, which):
    """Squared coefficient of variation of a length: lognormal between its median and its mean; exponential where no median is known."""
    median, mean = getattr(c, f"{which}_tokens_p50"), getattr(c, f"{which}_tokens")
    return chosen(np.clip((mean / median) ** 2 - 1, 0.0, 10.0), 1.0)


def _later(c):
    """Bits of what a later capability will model."""
    return cause("pools", (c.prefill_workers > 0) | (c.decode_workers > 0))


def _beyond(c, activation_bits, batch, longest):
    """True outside what the calibration has seen: class of chip, 4-bit arithmetic elsewhere than on its maker's chips, load, context."""
    four = (activation_bits <= 4) & np.isnan(c.peak_flop_per_s_fp4)
    return (c.calibrated < 1) | four | (batch > SEEN_BATCH) | (longest > SEEN_TOKENS)


def _unlinked(c, lay):
    """Bits of the link figures that the layout crosses and the catalog lacks."""
    inside, outside = (lay.chips > 1) & ~(lay.chips > c.scale_up_domain), lay.chips > c.scale_up_domain
    lone = (lay.chips > 1) & np.isnan(c.scale_up_domain)
    up, out = np.isnan(c.link_bytes_per_s), np.isnan(c.scale_out_bytes_per_s)
    crossing = outside & (out | up & (lay.tensor_parallel > 1) & (lay.tensor_parallel <= c.scale_up_domain))
    return cause("scale_up_domain", lone) | cause("link_bytes_per_s", inside & ~lone & up) | cause("scale_out_bytes_per_s", crossing)


def _batch_limit(c, batch, room, late, served):
    """What stopped the batch: index into reasons.LIMITS."""
    given = ~np.isnan(c.batch) | ~np.isnan(c.clients) | ~np.isnan(c.arrival_requests_per_s)
    tpot, ttft = late[1] > c.tpot_slo_s, late[0] > c.ttft_slo_s
    stops = [~served, given, tpot, ttft, batch >= room]
    return np.select(np.broadcast_arrays(*stops), [5, 3, 1, 2, 0], 4)


def _shares(c, law, new_tokens, pairs, sequences, cached, charge, drafted, served):
    """Shares of one mean step, the prompts read in it included, and the largest."""
    prompts = charge * (sequences - 1) / c.output_tokens * drafted.kept
    prompt = serving.prompt_pass(law, new_tokens, pairs, c.chunk_tokens)
    parts = [d + prompts * p for d, p in zip(step.decode_pass(law, sequences, cached, drafted.checked), prompt, strict=True)]
    if drafted is not serving.PLAIN:
        parts = [part + drafted.cost_share * p for part, p in zip(parts, step.decode_pass(law, sequences, cached), strict=True)]
    total = np.where(served, sum(parts), np.nan)
    shares = [part / total for part in parts]
    bound = np.where(served, np.argmax(np.broadcast_arrays(*shares), axis=0), 4)
    return dict(zip(("share_compute", "share_memory", "share_network", "share_overhead"), shares, strict=True)) | dict(bound=bound)


def _money(c, chips, requests_per_s, capacity_per_s, phase, hits, mfu, mbu, want):
    """Dollars, joules and grams of a replica at its load; and the bits of the facts that lack."""
    utilization = _utilization(c, requests_per_s, capacity_per_s)
    per_chip, served = capacity_per_s * c.output_tokens / chips, capacity_per_s * utilization
    owned, cloud = c.ownership == 0, c.ownership == 2
    rents = (c.cloud_usd_per_hour_on_demand, c.cloud_usd_per_hour_reserved, c.cloud_usd_per_hour_spot)
    active_w = cost.active_w(c.tdp_w, c.idle_power_share, mbu, mfu)
    mean_w = cost.mean_w(c, active_w, c.billing_power_share, utilization)
    hourly = cost.hourly_usd(c, c, c, owned, cloud, _of(c.commitment, rents), mean_w, per_chip * utilization)
    usd_per_chip_hour = sum(hourly)
    usd_per_mtok = cost.usd_per_mtok(usd_per_chip_hour, per_chip, utilization)
    provisioned_j = cost.provisioned_j_per_request(c, c.pue, chips, capacity_per_s)
    energy_j = mean_w * c.pue * chips / served
    out = dict(
        usd_per_chip_hour=usd_per_chip_hour, usd_per_mtok=usd_per_mtok, tokens_per_usd=1e6 / usd_per_mtok,
        provisioned_j_per_request=provisioned_j, energy_j_per_request=energy_j, mean_w_per_chip=mean_w,
    )  # fmt: skip
    if want & DETAIL:
        prompt = cost.phase_share(c.allocation, *phase, c.input_tokens, c.output_tokens)
        per_input = c.output_tokens / c.input_tokens
        of_all = usd_per_mtok / usd_per_chip_hour
        out |= {f"usd_per_mtok_{name}": part * of_all for name, part in zip(hourly._fields, hourly, strict=True)} | dict(
            usd_per_mtok_input=prompt * usd_per_mtok * per_input, usd_per_mtok_output=(1 - prompt) * usd_per_mtok,
            usd_per_mtok_blended=usd_per_mtok / (1 + 1 / per_input), usd_per_mtok_usage=usd_per_mtok * utilization,
            usd_per_mtok_cached=usd_per_mtok * c.output_tokens * hits / sum(phase),
            usd_per_request=usd_per_mtok * c.output_tokens / 1e6,
            provisioned_j_per_served_request=provisioned_j / utilization,
            accelerator_energy_j_per_request=active_w * chips / requests_per_s,
            carbon_g_per_request=energy_j / 3.6e6 * c.grid_g_per_kwh,
            embodied_g_per_request=c.embodied_carbon_g * chips / (served * c.chip_life_years * cost.HOURS * 3600),
        )  # fmt: skip
    lacks = np.where(owned, lacking(c, "owned"), lacking(c, "colo")) | lacking(c, "bought")
    lacks = np.where(cloud, _rent_lacks(c), lacks) if some(cloud) else lacks
    return out, lacks | lacking(c, "power") | lacking(c, "carbon")


def _fleet(c, chips, requests_per_s, capacity_per_s, answer_s):
    """The fleets of the rows with a demand, and the bits of what lacks; their spares stand for availability in what follows."""
    works = reliability.replica(c, chips).availability
    found, utilization = fleet.behind(c, chips, works, requests_per_s, capacity_per_s, answer_s)
    c, demanded = copy(c), ~np.isnan(c.demand_requests_per_s)
    c.utilization, c.availability = np.where(demanded, utilization, c.utilization), np.where(demanded, 1.0, c.availability)
    return c, found, np.where(demanded, lacking(c, "shape") | lacking(c, "power"), NONE)


def _utilization(c, requests_per_s, capacity_per_s):
    """As typed or assumed, or of the fleet; under clients or arrivals without either, the rate over the capacity."""
    loaded = ~np.isnan(c.clients) | ~np.isnan(c.arrival_requests_per_s)
    if not some(loaded):
        return c.utilization
    derived = loaded & np.isnan(c.demand_requests_per_s) & ~np.asarray(c.named().get("utilization", False))
    return np.where(derived, np.minimum(requests_per_s / capacity_per_s, 1.0), c.utilization)


def _rent_lacks(c):
    return _of(c.commitment, [lacking(c, name) for name in ("on_demand", "reserved", "spot")])


def _of(commitment, options):
    return options[commitment] if np.ndim(commitment) == 0 else np.choose(commitment, options)


def _roofline(c, d, sequences, new_tokens, read, written, step_bytes, prefill_s, step_s):
    """Intensity and rate of the two phases on one chip, and what it holds."""
    written = written * sequences / d.lay.ways
    kv = transformer.cached_tokens(c, c.input_tokens) * d.held.token_bytes + d.held.state_bytes
    prefill_bytes = serving.touched_bytes(d.held, d.law, new_tokens) + kv
    return dict(
        ridge_flop_per_byte=roofline.ridge_flop_per_byte(d.peak_flop_per_s, c.hbm_bytes_per_s),
        prefill_flop_per_byte=read / d.lay.ways / prefill_bytes, prefill_flop_per_s_per_chip=read / (d.lay.ways * prefill_s),
        decode_flop_per_byte=written / step_bytes, decode_flop_per_s_per_chip=written / step_s,
        weight_bytes_per_chip=d.held.weight_bytes,
        kv_bytes_per_token=transformer.kv_bytes_per_token_layer(c, d.lay.kv_bits) * (c.n_layers - c.n_linear_layers),
    )  # fmt: skip


def _intervals(c, out, want):
    """80 % intervals of the model's error alone: times spread by the class's residuals, rates and costs with the token time."""
    ends = {}
    for name in INTERVALS:
        if name in out and (name + "_low" in want or name + "_high" in want):
            spread = c.ttft_spread if name == "ttft_s" else c.tpot_spread
            factor = np.exp(Z80 * spread * np.where(c.n_experts > 0, c.moe_spread, 1.0))
            ends |= {name + "_low": out[name] / factor, name + "_high": out[name] * factor}
    return ends
