"""The whole model on one screen: facts in, outputs out, one assignment a stage.

`deploy` turns the facts of chip, model and layout into coefficients, once for all rows that share them; `model` takes
them to the load, the latencies and the money of each row. Facts are gathered when a stage reads them; only the stages
that the wanted outputs need are run. Texts stay numbers until the end (`reasons.texts`).
"""

from typing import NamedTuple

import numpy as np

from . import bill
from .columns import Columns
from .kernel import cost, layout, pools, queueing, roofline, serving, step, transformer
from .kernel.rows import chosen, some
from .reasons import cause, lacking, missed, unfit
from .values import INTERVALS, OUTPUTS

SHARES = {"bound", "share_compute", "share_memory", "share_network", "share_overhead"}
ENERGY = {n for n in OUTPUTS if "energy_j" in n or n in ("carbon_g_per_request", "wh_per_request")}
SERVED, BILLED = {"requests_per_s", "output_tokens_per_s", "output_tokens_per_s_per_chip"}, {"usd_per_mtok", "tokens_per_usd", "usd_per_mtok_blended"}
ROOFLINE = {n for n in OUTPUTS if n.startswith(("prefill_flop", "decode_flop", "ridge"))} | {"weight_bytes_per_chip", "kv_bytes_per_token"}
SEEN_BATCH, SEEN_TOKENS = 2048, 20_000  # largest of the calibration rows
Z80 = 1.2816  # standard deviations to either end of an 80 % interval


class Engine(NamedTuple):
    """What the engine does to requests, beside its part in the law of a step."""

    prefill_charge: np.ndarray
    first_token_time_s: np.ndarray
    burst_wait: np.ndarray
    overflow_wait: np.ndarray


class Reader(NamedTuple):
    """A worker that only reads prompts, and how it hands the cache to those that answer; on rows without pools the replica itself."""

    there: np.ndarray
    decode_workers: np.ndarray
    prefill_workers: np.ndarray
    lay: layout.Layout
    held: layout.Memory
    law: step.Law
    bytes_per_s: np.ndarray  # link to the other pool
    token_bytes: np.ndarray  # cache of a token and layer on the chip that sends most
    state_bytes: np.ndarray


class Deployed(NamedTuple):
    """A model on its chips, whatever is asked of it: coefficients that many requests, batches and prices share; (deployments)."""

    activation_bits: np.ndarray
    lay: layout.Layout
    held: layout.Memory
    law: step.Law
    reader: Reader | None
    engine: Engine
    compute_format: np.ndarray
    peak_flop_per_s: np.ndarray
    token_flop: np.ndarray  # of one token on all weights it meets, on those before the head, on the head
    body_flop: np.ndarray
    head_flop: np.ndarray
    pair_flop: np.ndarray
    cached_flop: np.ndarray
    faults: np.ndarray

    def settled(self) -> "Deployed":
        """Figures that all deployments share as one value: cheaper in every formula that follows."""
        return _each(lambda x: x[0] if x.size > 1 and ((x == x[0]).all() or (x != x).all()) else x, self)

    def take(self, at, want) -> "Deployed":
        """One entry for each number in `at`, as far as the wanted outputs need it."""
        needed = self if want & SHARES else self._replace(law=self.law._replace(compute_s=()))
        return _each(lambda x: x.take(at, mode="clip") if x.size > 1 else x, needed)


def _each(change, x):
    """`change` of every array in nested tuples."""
    if isinstance(x, np.ndarray):
        return change(x)
    if not isinstance(x, tuple):
        return x
    changed = (_each(change, part) for part in x)
    return type(x)(*changed) if hasattr(x, "_fields") else tuple(changed)


def deploy(c: Columns) -> Deployed:
    """What the facts of chip, model and deployment come to; lengths of requests enter where the layout is open."""
    weight_bits = chosen(c.weight_bits, c.published_weight_bits)
    kv_bits = chosen(c.kv_bits, 16.0)
    activation_bits = chosen(c.activation_bits, np.where(weight_bits == 8, 8.0, 16.0))
    shape = transformer.shape(c)
    cut = transformer.cut_params(c, shape)
    pooled = c.decode_workers > 0
    reads, writes = pools.workers(c, pooled) if some(pooled) else (c, c)
    lay = layout.layout(c, c, writes, cut, c.input_tokens + c.output_tokens, weight_bits, kv_bits)
    form, peak, rates = step.attainable(c, lay, activation_bits, c)
    reader, engine = None, Engine(c.prefill_charge, c.first_token_time_s, c.burst_wait, c.overflow_wait)
    if some(pooled):
        reader = _reader(c, shape, cut, lay, layout.layout(c, c, reads, cut, c.input_tokens, weight_bits, kv_bits), activation_bits)
        engine = engine._replace(prefill_charge=np.where(pooled, 0.0, engine.prefill_charge))  # answers wait for no prompt
    faults = lacking(c, "model") | lacking(c, "memory") | cause("peak_flop_per_s_bf16", np.isnan(peak)) | _unlinked(c, lay)
    faults = faults | cause("pools", (c.prefill_workers > 0) & (c.decode_workers == 0))
    even = layout.divides_heads(c, lay.tensor_parallel)
    even = even if reader is None else even & layout.divides_heads(c, reader.lay.tensor_parallel)
    faults = faults | cause("heads", ~even) | cause("experts", ~layout.divides_experts(c, lay))
    token_flop, head_flop = 2 * transformer.active_params(c, shape), 2 * shape.head.params
    return Deployed(
        activation_bits, lay, layout.memory(c, c, c, shape, cut, lay), step.law(c, shape, lay, rates, c), reader, engine, form, peak,
        token_flop, token_flop - head_flop, head_flop, transformer.pair_flop(c), transformer.decode_attention_flop(c), faults,
    )  # fmt: skip


def _reader(c, shape, cut, lay, own, activation_bits) -> Reader:
    rates = step.attainable(c, own, activation_bits, c)[2]
    fewest = np.minimum(lay.tensor_parallel * lay.pipeline_parallel, own.tensor_parallel * own.pipeline_parallel)
    chips = c.decode_workers * lay.chips + np.maximum(c.prefill_workers, 1.0) * own.chips
    return Reader(
        c.decode_workers > 0, np.maximum(c.decode_workers, 1.0), c.prefill_workers, own, layout.memory(c, c, c, shape, cut, own),
        step.law(c, shape, own, rates, c), c.kv_transfer_efficiency * layout.link_bytes_per_s(c, chips),
        transformer.kv_bytes_per_token_layer(c, lay.kv_bits, fewest), c.n_linear_layers * c.linear_state_bytes / fewest,
    )  # fmt: skip


def model(c: Columns, d: Deployed, want: set) -> dict:
    """Outputs of the wanted stages for some rows, by name; and `faults`, the bits of what went wrong."""
    lay, law, held, engine = d.lay, d.law, d.held, d.engine
    new_tokens = np.maximum(c.input_tokens * (1 - c.prefix_hit_rate), 1.0)
    longest = c.input_tokens + c.output_tokens
    pairs = transformer.prefill_pairs(c, c.input_tokens, c.input_tokens - new_tokens)
    cached = transformer.cached_tokens(c, c.input_tokens + c.output_tokens / 2)
    holds = layout.most_sequences(lay, held, transformer.cached_tokens(c, longest)) >= lay.attention_data_parallel
    room = np.maximum(np.floor(layout.most_sequences(lay, held, cached)), 1.0)
    pool, workers, pooled = None, 1.0, False
    if d.reader is None:
        prompt = serving.prompt(law, new_tokens, pairs, c.chunk_tokens)
    else:
        pool, reader_holds = _pools(c, d.reader, new_tokens, pairs)
        prompt, workers, pooled, holds = pool.read, pool.decode_workers, pool.there, holds & reader_holds
        room = room * workers
    drafted = serving.draft(c.draft_tokens, c.draft_acceptance, c.draft_cost_share) if some(c.draft_tokens > 0) else serving.PLAIN

    def latencies(batch):
        ttft_s, tpot_s, step_s = serving.latencies_s(law, batch / workers, lay, cached, c.output_tokens, prompt, engine.prefill_charge, drafted)
        ttft_s = ttft_s if pool is None else np.where(pooled, pool.first_s, ttft_s)
        return ttft_s + engine.first_token_time_s, tpot_s, step_s

    most, batch, clients = np.minimum(room, c.max_batch * workers), c.batch, c.clients
    if some(np.isnan(batch)):
        found = serving.largest_batch(most, lambda tried: serving.lateness(*latencies(tried)[:2], c.ttft_slo_s, c.tpot_slo_s))
        batch = chosen(batch, found)
    ttft_s, tpot_s, step_s = latencies(batch)
    requests_per_s = batch / (ttft_s + (c.output_tokens - 1) * tpot_s)
    if pool is not None:
        readers = pools.prefill_workers(pool, batch, step_s, c.output_tokens)
        requests_per_s = np.where(pooled, pools.capacity_per_s(pool, readers, batch, step_s, c.output_tokens), requests_per_s)
    capacity_per_s = requests_per_s
    if some(looped := ~np.isnan(clients)):
        loop = serving.closed_loop(law, clients, most, lay, cached, c.output_tokens, prompt, engine, drafted)
        if pool is not None:
            first_s, token_s, running = pools.closed_loop(clients, readers, most, lambda running: latencies(running)[2], c.output_tokens, pool, engine)
            loop = [np.where(pooled, x, y) for x, y in zip((first_s, token_s, token_s, running), loop, strict=True)]
        ttft_s, tpot_s = np.where(looped, loop[0] + engine.first_token_time_s, ttft_s), np.where(looped, loop[1], tpot_s)
        step_s, batch = np.where(looped, loop[2], step_s), np.where(looped, loop[3], batch)
        requests_per_s = np.where(looped, clients / (ttft_s + (c.output_tokens - 1) * tpot_s), requests_per_s)
    tails, saturated = {}, False
    if some(arriving := ~np.isnan(c.arrival_requests_per_s)):
        line = _under_arrivals(c, most, latencies, prompt, 1.0 if pool is None else np.where(pooled, readers, 1.0))
        ttft_s, tpot_s, step_s = (np.where(arriving, x, y) for x, y in ((line.ttft_s, ttft_s), (line.tpot_s, tpot_s), (line.step_s, step_s)))
        batch, requests_per_s = np.where(arriving, line.running, batch), np.where(arriving, c.arrival_requests_per_s, requests_per_s)
        tails, saturated = line.tails, arriving & line.saturated
    chips = lay.chips if pool is None else np.where(pooled, workers * lay.chips + readers * d.reader.lay.chips, lay.chips)

    faults = d.faults | lacking(c, "workload")
    faults = faults if pool is None else faults | _unlinked(c, lay._replace(chips=chips))
    laid_out = faults == 0
    faults = faults | cause("fit", laid_out & ~holds) | cause("batch", laid_out & holds & (c.batch > room))
    capacity_per_s = np.where(faults == 0, capacity_per_s, np.nan)
    faults = faults | cause("saturated", laid_out & holds & saturated)
    served = faults == 0
    ttft_s, tpot_s, requests_per_s = (np.where(served, x, np.nan) for x in (ttft_s, tpot_s, requests_per_s))

    tokens_per_s = requests_per_s * c.output_tokens
    per_chip = tokens_per_s / chips
    judged_ttft_s, judged_tpot_s = tails.get("judged", (ttft_s, tpot_s))
    faults = faults | cause("ttft", served & (judged_ttft_s > c.ttft_slo_s)) | cause("tpot", served & (judged_tpot_s > c.tpot_slo_s))
    unjudged = served & ~np.isnan(c.slo_quantile) & ~arriving
    faults = faults | cause("quantile", unjudged) | cause("context", served & (longest > c.max_context_tokens))
    batch = np.where(laid_out | ~np.isnan(c.batch), batch, np.nan)
    out = dict(
        weight_bits=lay.weight_bits, kv_bits=lay.kv_bits, activation_bits=d.activation_bits, tensor_parallel=lay.tensor_parallel,
        pipeline_parallel=lay.pipeline_parallel, expert_parallel=lay.expert_parallel, engine=np.asarray(c.engine, np.int8), batch=batch,
        chips_per_replica=chips, compute_format=d.compute_format, fits_memory=served | laid_out & ~unfit(faults),
        meets_slo=served & ~missed(faults),
        ttft_s=ttft_s, tpot_s=tpot_s, requests_per_s=requests_per_s, capacity_requests_per_s=capacity_per_s,
        output_tokens_per_s=tokens_per_s, output_tokens_per_s_per_chip=per_chip, output_tokens_per_s_per_user=1 / tpot_s,
        most_sequences=room, prefill_s=prompt.alone_s, decode_step_s=step_s, peak_flop_per_s=d.peak_flop_per_s,
    )  # fmt: skip
    if "extrapolated" in want:
        out["extrapolated"] = served & (_beyond(c, d.activation_bits, batch / workers, longest) | (c.draft_tokens > 0))
    for name in {"ttft_p95_s", "tpot_p95_s"} & want:
        out[name] = np.where(served & arriving, tails.get(name, np.nan), np.nan)
    if "prefill_batch_s" in want:
        out["prefill_batch_s"] = batch * serving.prompt_s(prompt, batch)
    if "batch_limit" in want:
        late = latencies(batch + 1)
        out["batch_limit"] = _batch_limit(c, batch, room, late, served)
    if want & bill.FLEETED and some(~np.isnan(c.demand_requests_per_s)):
        c, found, unshaped = bill.fleets(c, chips, requests_per_s, capacity_per_s, ttft_s + (c.output_tokens - 1) * tpot_s)
        out |= found
        faults = faults | unshaped
    if "utilization" in want:
        out["utilization"] = bill.utilization_of(c, requests_per_s, capacity_per_s)
    sequences = np.maximum(batch / workers / lay.pipeline_parallel, 1.0)
    if want & SHARES:
        out |= _shares(c, law, new_tokens, pairs, sequences, cached, engine.prefill_charge, drafted, served)
    if want & (bill.MONEY | ROOFLINE):
        read, written = serving.model_flop(d, new_tokens, pairs, cached)
        reader = d if d.reader is None else d.reader  # chips that read the prompts
        moved = serving.prompt_bytes(reader.held, reader.law, new_tokens, transformer.cached_tokens(c, c.input_tokens))
        step_bytes, done = serving.decode_bytes(held, law, sequences, cached), written * sequences
    if want & bill.MONEY:
        if want & {"mfu", "mbu"}:
            out["mfu"] = requests_per_s * (read + c.output_tokens * written) / (chips * d.peak_flop_per_s)
            out["mbu"] = step_bytes * tokens_per_s / (sequences * lay.pipeline_parallel * c.hbm_bytes_per_s) * (lay.chips / chips)
        arrivals, charge = (sequences - 1) / c.output_tokens, engine.prefill_charge
        if pool is not None:
            charge = np.where(pooled, reader.lay.chips / lay.chips, charge)  # chip time of both pools
        phase = charge * serving.prompt_s(prompt, arrivals), c.output_tokens * step_s / sequences
        hits = charge * serving.cached_attention_s(law, pairs, new_tokens, c.input_tokens - new_tokens) if want & bill.DETAIL else None
        uses = [
            (moved_bytes / (c.hbm_bytes_per_s * seconds), flop / (ways * d.peak_flop_per_s * seconds))
            for moved_bytes, flop, ways, seconds in ((moved, read, reader.lay.ways, prompt.alone_s), (step_bytes, done, lay.ways, step_s))
        ]
        money, unpriced = bill.money(c, chips, requests_per_s, capacity_per_s, phase, hits, bill.draws(c, uses, phase, served), want)
        out |= money
        faults = faults | unpriced
        if "fleet_chips" in out:
            out["usd_per_month"] = out["fleet_chips"] * money["usd_per_chip_hour"] * cost.HOURS / 12
    if want & ROOFLINE:
        flop, seconds = (read / reader.lay.ways, done / lay.ways), (prompt.alone_s, step_s)
        out |= _roofline(c, d, flop, (moved, step_bytes), seconds)
    return out | dict(faults=faults) | _intervals(c, out, want)


class Line(NamedTuple):
    """A replica under random arrivals: means, what runs, quantiles by name, and where there is no steady state."""

    ttft_s: np.ndarray
    tpot_s: np.ndarray
    step_s: np.ndarray
    running: np.ndarray
    saturated: np.ndarray
    tails: dict


def _under_arrivals(c, most, latencies, prompt, readers) -> Line:
    """Latencies of the rows with `arrival_requests_per_s`: a line for one of `most` places, and one for the `readers` of prompts."""
    rate, most = c.arrival_requests_per_s, np.broadcast_to(most, c.n)
    running = queueing.nodes(most)
    first_s, token_s, step_s = latencies(running)
    served_s = first_s + (c.output_tokens - 1) * token_s
    quantiles = c.slo_quantile if some(~np.isnan(c.slo_quantile)) else np.nan
    levels = (0.95, *np.unique(quantiles[~np.isnan(quantiles)] if np.ndim(quantiles) else [] if quantiles != quantiles else [quantiles]))
    place = queueing.replica(rate, running, served_s, c.arrival_cv, _spread(c, "output"), levels)
    reading = queueing.pool(rate, serving.prompt_s(prompt, 1.0), readers, c.arrival_cv, _spread(c, "input"))
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


def _pools(c, reader, new_tokens, pairs):
    """(The two pools, prompts fit in the first): how long it reads a prompt and hands its cache over."""
    read = serving.prompt(reader.law, new_tokens, pairs, c.chunk_tokens)
    cached = transformer.cached_tokens(c, c.input_tokens)
    handed = cached * reader.token_bytes + reader.state_bytes
    hand_off_s = np.where(reader.there, pools.hand_off_s(handed, reader.bytes_per_s, read.alone_s, c.n_layers), 0.0)
    holds = layout.most_sequences(reader.lay, reader.held, cached) >= reader.lay.attention_data_parallel
    return pools.Pools(reader.there, reader.decode_workers, reader.prefill_workers, read, hand_off_s), holds


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


def _roofline(c, d, flop, moved_bytes, seconds):
    """Intensity and rate of the two phases on one chip, reading and writing, and what it holds."""
    return dict(
        ridge_flop_per_byte=roofline.ridge_flop_per_byte(d.peak_flop_per_s, c.hbm_bytes_per_s),
        prefill_flop_per_byte=flop[0] / moved_bytes[0], prefill_flop_per_s_per_chip=flop[0] / seconds[0],
        decode_flop_per_byte=flop[1] / moved_bytes[1], decode_flop_per_s_per_chip=flop[1] / seconds[1],
        weight_bytes_per_chip=d.held.weight_bytes,
        kv_bytes_per_token=transformer.kv_bytes_per_token_layer(c, d.lay.kv_bits) * (c.n_layers - c.n_linear_layers),
    )  # fmt: skip


def _intervals(c, out, want):
    """80 % intervals of the model's error alone: times and energies by the class's residuals, rates and costs with the token time."""
    names = [name for name in INTERVALS if name in out and {name + "_low", name + "_high"} & want]
    if not names:
        return {}
    moe, arriving = np.where(c.n_experts > 0, c.moe_spread, 1.0), ~np.isnan(c.arrival_requests_per_s)
    first, energy, token = (np.exp(Z80 * spread) for spread in (c.ttft_spread * moe, c.energy_spread, c.tpot_spread * moe))
    served = billed = token
    if some(arriving):  # then as many are served as arrive
        served, billed = np.where(arriving, 1.0, token), np.where(bill.derived(c, arriving), 1.0, token)
    ends = {}
    for name in names:
        factor = first if name == "ttft_s" else energy if name in ENERGY else served if name in SERVED else billed if name in BILLED else token
        ends |= {name + "_low": out[name] / factor, name + "_high": out[name] * factor}
    return ends
