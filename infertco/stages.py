"""The whole model on one screen: facts in, outputs out, one assignment a stage.

`model` works on the columns of some rows. Facts are gathered when a stage reads them; only the stages that the wanted
outputs need are run. Texts stay numbers until the end (`reasons.texts`).
"""

import numpy as np

from .columns import Columns
from .kernel import cost, layout, pools, roofline, serving, step, transformer
from .kernel.layout import chosen
from .reasons import cause, lacking, missed, unfit
from .values import INTERVALS, OUTPUTS

SHARES = {"bound", "share_compute", "share_memory", "share_network", "share_overhead"}
MONEY = {"mfu", "mbu", "peak_flop_per_s"} | {n for n in OUTPUTS if "usd" in n or "_j_per" in n or "_g_per" in n or "w_per" in n}
DETAIL = MONEY - {"mfu", "mbu", "peak_flop_per_s", "usd_per_chip_hour", "usd_per_mtok", "tokens_per_usd", "provisioned_j_per_request"}
DETAIL -= {"energy_j_per_request", "mean_w_per_chip"}
ROOFLINE = {n for n in OUTPUTS if n.startswith(("prefill_flop", "decode_flop", "ridge"))} | {"weight_bytes_per_chip", "kv_bytes_per_token"}
SEEN_BATCH, SEEN_TOKENS = 2048, 20_000  # largest of the calibration rows
Z80 = 1.2816  # standard deviations to either end of an 80 % interval


def model(c: Columns, want: set) -> dict:
    """Outputs of the wanted stages for some rows, by name; and `faults`, the bits of what went wrong."""
    weight_bits = chosen(c.weight_bits, c.published_weight_bits)
    kv_bits = chosen(c.kv_bits, 16.0)
    activation_bits = chosen(c.activation_bits, np.where(weight_bits == 8, 8.0, 16.0))
    new_tokens = np.maximum(c.input_tokens * (1 - c.prefix_hit_rate), 1.0)
    longest, mean = c.input_tokens + c.output_tokens, c.input_tokens + c.output_tokens / 2

    shape = transformer.shape(c)
    cut = transformer.cut_params(c, shape)
    usable = layout.usable_bytes(c, c)
    pooled, decode_workers = c.decode_workers > 0, np.maximum(c.decode_workers, 1.0)
    reader, writer = pools.workers(c, pooled) if np.any(pooled) else (c, c)
    lay = layout.layout(c, c, writer, cut, longest, weight_bits, kv_bits)
    holds = layout.most_sequences(c, usable, cut, lay, longest) >= lay.attention_data_parallel
    room = decode_workers * np.maximum(np.floor(layout.most_sequences(c, usable, cut, lay, mean)), 1.0)

    form, peak, rates = step.attainable(c, lay, activation_bits, c)
    attention_flop = transformer.prefill_attention_flop(c, c.input_tokens, c.input_tokens - new_tokens)
    law = step.law(c, shape, lay, rates, c, attention_flop)
    cached, charge, prefill_lay = transformer.cached_tokens(c, mean), c.prefill_charge, lay
    if np.any(pooled):
        prefill_lay = layout.layout(c, c, reader, cut, c.input_tokens, weight_bits, kv_bits)
        holds = holds & (layout.most_sequences(c, usable, cut, prefill_lay, c.input_tokens) >= prefill_lay.attention_data_parallel)
        pool = _pools(c, shape, lay, prefill_lay, activation_bits, attention_flop, new_tokens, pooled)
        prompt, charge = pool.read, np.where(pooled, 0.0, charge)
    else:
        prompt = serving.prompt(law, new_tokens, c.chunk_tokens, lay.attention_data_parallel)

    def latencies(batch):
        ttft_s, tpot_s, step_s = serving.latencies_s(law, batch / decode_workers, lay, cached, c.output_tokens, prompt, charge)
        ttft_s = np.where(pooled, pool.first_s, ttft_s) if np.any(pooled) else ttft_s
        return ttft_s + c.first_token_time_s, tpot_s, step_s

    most, batch, clients = np.minimum(room, c.max_batch * decode_workers), c.batch, c.clients
    if np.any(np.isnan(batch)):
        found = serving.largest_batch(most, lambda tried: serving.lateness(*latencies(tried)[:2], c.ttft_slo_s, c.tpot_slo_s))
        batch = chosen(batch, found)
    ttft_s, tpot_s, step_s = latencies(batch)
    in_flight, chips = batch, lay.chips
    capacity_per_s = batch / (ttft_s + (c.output_tokens - 1) * tpot_s)
    if np.any(pooled):
        readers = pools.prefill_workers(pool, batch, step_s, c.output_tokens)
        capacity_per_s = np.where(pooled, pools.capacity_per_s(pool, readers, batch, step_s, c.output_tokens), capacity_per_s)
        in_flight = np.where(pooled, capacity_per_s * (ttft_s + (c.output_tokens - 1) * tpot_s), in_flight)
    if np.any(looped := ~np.isnan(clients)):
        loop = serving.closed_loop(law, clients, most, lay, cached, c.output_tokens, prompt, c)
        if np.any(pooled):
            *apart, looped_readers = pools.closed_loop(law, clients, most, lay, cached, c.output_tokens, pool, c)
            loop = [np.where(pooled, a, b) for a, b in zip((*apart[:2], apart[1], apart[2]), loop, strict=True)]
            readers = np.where(looped, looped_readers, readers)
        ttft_s, tpot_s = np.where(looped, loop[0] + c.first_token_time_s, ttft_s), np.where(looped, loop[1], tpot_s)
        step_s, batch, in_flight = np.where(looped, loop[2], step_s), np.where(looped, loop[3], batch), np.where(looped, clients, batch)

    chips = np.where(pooled, decode_workers * lay.chips + readers * prefill_lay.chips, chips) if np.any(pooled) else chips

    faults = lacking(c, "model") | lacking(c, "workload") | lacking(c, "memory") | _later(c)
    faults = faults | cause("peak_flop_per_s_bf16", np.isnan(peak)) | _unlinked(c, lay._replace(chips=chips)) | _unlinked(c, lay)
    cut_evenly = layout.divides_heads(c, lay.tensor_parallel) & layout.divides_heads(c, prefill_lay.tensor_parallel)
    faults = faults | cause("heads", ~cut_evenly) | cause("experts", ~layout.divides_experts(c, lay))
    laid_out = faults == 0
    faults = faults | cause("fit", laid_out & ~holds) | cause("batch", laid_out & holds & (batch > room))
    served = faults == 0
    ttft_s, tpot_s = np.where(served, ttft_s, np.nan), np.where(served, tpot_s, np.nan)

    requests_per_s = in_flight / (ttft_s + (c.output_tokens - 1) * tpot_s)
    capacity_per_s = np.where(served, capacity_per_s, np.nan)
    tokens_per_s = requests_per_s * c.output_tokens
    per_chip = tokens_per_s / chips
    faults = faults | cause("ttft", ttft_s > c.ttft_slo_s) | cause("tpot", tpot_s > c.tpot_slo_s)
    faults = faults | cause("quantile", served & ~np.isnan(c.slo_quantile)) | cause("context", served & (longest > c.max_context_tokens))
    batch = np.where(laid_out | ~np.isnan(c.batch), batch, np.nan)
    out = dict(
        weight_bits=weight_bits, kv_bits=kv_bits, activation_bits=activation_bits, tensor_parallel=lay.tensor_parallel,
        pipeline_parallel=lay.pipeline_parallel, expert_parallel=lay.expert_parallel, engine=c.engine, batch=batch,
        chips_per_replica=chips, compute_format=form, fits_memory=served | laid_out & ~unfit(faults),
        meets_slo=served & ~missed(faults), extrapolated=served & _beyond(c, activation_bits, batch / decode_workers, longest),
        ttft_s=ttft_s, tpot_s=tpot_s, requests_per_s=requests_per_s, capacity_requests_per_s=capacity_per_s,
        output_tokens_per_s=tokens_per_s, output_tokens_per_s_per_chip=per_chip, output_tokens_per_s_per_user=1 / tpot_s,
        most_sequences=room, prefill_s=prompt.alone_s, decode_step_s=step_s,
    )  # fmt: skip
    if "prefill_batch_s" in want:
        out["prefill_batch_s"] = batch * serving.prompt_s(prompt, batch)
    if "batch_limit" in want:
        late = latencies(batch + 1)
        out["batch_limit"] = _batch_limit(c, batch, room, late, served)
    sequences = np.maximum(batch / decode_workers / lay.pipeline_parallel, 1.0)
    if want & SHARES:
        out |= _shares(c, law, new_tokens, sequences, cached, lay, charge, served)
    if want & (MONEY | ROOFLINE):
        flop = serving.model_flop(c, shape, new_tokens, attention_flop, cached, c.output_tokens)
    if want & MONEY:
        step_bytes = serving.decode_bytes(c, shape, lay, cut, sequences, mean)
        bytes_per_s = step_bytes * tokens_per_s / (sequences * lay.pipeline_parallel) * (lay.chips / chips)
        out |= dict(mfu=requests_per_s * sum(flop) / (chips * peak), mbu=bytes_per_s / c.hbm_bytes_per_s, peak_flop_per_s=peak)
        phase = hits = None
        if want & DETAIL:
            arrivals = (sequences - 1) / c.output_tokens
            charge = np.where(pooled, prefill_lay.chips / lay.chips, charge)  # chip-seconds of both pools
            phase = charge * serving.prompt_s(prompt, arrivals), c.output_tokens * step_s / sequences
            hits = charge * serving.cached_attention_s(law, new_tokens, c.input_tokens - new_tokens)
        money, unpriced = _money(c, chips, requests_per_s, capacity_per_s, phase, hits, out["mfu"], out["mbu"], want)
        out |= money
        faults = faults | unpriced
    if want & ROOFLINE:
        out |= _roofline(c, shape, cut, lay, sequences, new_tokens, mean, flop, prompt.alone_s, step_s, peak)
    return out | dict(faults=faults) | _intervals(c, out, want)



def _pools(c, shape, lay, prefill_lay, activation_bits, attention_flop, new_tokens, pooled):
    """The prefill pool beside the decode pool: how long it reads a prompt and hands its cache over."""
    law = step.law(c, shape, prefill_lay, step.attainable(c, prefill_lay, activation_bits, c)[2], c, attention_flop)
    read = serving.prompt(law, new_tokens, c.chunk_tokens, prefill_lay.attention_data_parallel)
    chips = c.decode_workers * lay.chips + np.maximum(c.prefill_workers, 1.0) * prefill_lay.chips
    link = c.kv_transfer_efficiency * layout.link_bytes_per_s(c, chips)
    fewest = np.minimum(lay.tensor_parallel * lay.pipeline_parallel, prefill_lay.tensor_parallel * prefill_lay.pipeline_parallel)
    handed = transformer.kv_bytes(c, c.input_tokens, lay.kv_bits, fewest)
    hand_off_s = np.where(pooled, pools.hand_off_s(handed, link, read.alone_s, c.n_layers), 0.0)
    return pools.Pools(pooled, np.maximum(c.decode_workers, 1.0), c.prefill_workers, read, hand_off_s)


def _later(c):
    """Bits of what a later capability will model."""
    loaded = ~np.isnan(c.arrival_requests_per_s)
    alone, draft = (c.prefill_workers > 0) & ~(c.decode_workers > 0), c.draft_tokens > 0
    return cause("arrivals", loaded) | cause("pools", alone) | cause("draft", draft)


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
    given = ~np.isnan(c.batch) | ~np.isnan(c.clients)
    tpot, ttft = late[1] > c.tpot_slo_s, late[0] > c.ttft_slo_s
    stops = [~served, given, tpot, ttft, batch >= room]
    return np.select(np.broadcast_arrays(*stops), [5, 3, 1, 2, 0], 4)


def _shares(c, law, new_tokens, sequences, cached, lay, charge, served):
    """Shares of one mean step, the prompts read in it included, and the largest."""
    prompts = charge * (sequences - 1) / c.output_tokens
    prompt = serving.prompt_pass(law, new_tokens, c.chunk_tokens, lay.attention_data_parallel)
    parts = [d + prompts * p for d, p in zip(step.decode_pass(law, sequences, cached), prompt, strict=True)]
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
    lacks = np.where(cloud, _rent_lacks(c), np.where(owned, lacking(c, "owned"), lacking(c, "colo")) | lacking(c, "bought"))
    return out, lacks | lacking(c, "power") | lacking(c, "carbon")


def _utilization(c, requests_per_s, capacity_per_s):
    """As typed or assumed; under clients without a typed one, the rate over the capacity."""
    if np.all(np.isnan(c.clients)):
        return c.utilization
    derived = ~np.isnan(c.clients) & ~np.asarray(c.named().get("utilization", False))
    return np.where(derived, np.minimum(requests_per_s / capacity_per_s, 1.0), c.utilization)


def _rent_lacks(c):
    return _of(c.commitment, [lacking(c, name) for name in ("on_demand", "reserved", "spot")])


def _of(commitment, options):
    return options[commitment] if np.ndim(commitment) == 0 else np.choose(commitment, options)


def _roofline(c, shape, cut, lay, sequences, new_tokens, mean, flop, prefill_s, step_s, peak):
    """Intensity and rate of the two phases on one chip, and what it holds."""
    read, answer = flop
    written = answer / c.output_tokens * sequences / lay.ways
    decode_bytes = serving.decode_bytes(c, shape, lay, cut, sequences, mean)
    kv = transformer.kv_bytes(c, c.input_tokens, lay.kv_bits, lay.tensor_parallel)
    prefill_bytes = serving.touched_bytes(c, shape, lay, cut, new_tokens) + kv
    return dict(
        ridge_flop_per_byte=roofline.ridge_flop_per_byte(peak, c.hbm_bytes_per_s),
        prefill_flop_per_byte=read / lay.ways / prefill_bytes, prefill_flop_per_s_per_chip=read / (lay.ways * prefill_s),
        decode_flop_per_byte=written / decode_bytes, decode_flop_per_s_per_chip=written / step_s,
        weight_bytes_per_chip=(cut[0] / lay.tensor_parallel + cut[1] / lay.ways) * lay.weight_bits / 8 / lay.pipeline_parallel,
        kv_bytes_per_token=transformer.kv_bytes_per_token_layer(c, lay.kv_bits) * (c.n_layers - c.n_linear_layers),
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
