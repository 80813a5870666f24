"""The kernel by hand: cases small enough to check by head, with the arithmetic beside them."""

from types import SimpleNamespace

import numpy as np
import pytest

from infertco.kernel import cost, layout, network, pools, power, roofline, serving, step, transformer
from infertco.values import Model

# a toy: 2 layers, width 8, 4 query heads and 2 KV heads of width 2, plain FFN of width 32, 10 words, tied
TOY = Model(n_layers=2, d_model=8, n_heads=4, n_kv_heads=2, d_head=2, d_ff=32, n_ffn_matrices=2, vocab_size=10, tied_embeddings=1)
LLAMA = dict(n_layers=80, d_model=8192, n_heads=64, n_kv_heads=8, d_head=128, d_ff=28672, vocab_size=128256)
LLAMA_70B = Model(**LLAMA)
DEEPSEEK = Model(
    n_layers=61, d_model=7168, n_heads=128, n_kv_heads=128, d_head=192, d_ff=18432, vocab_size=129280, q_lora_rank=1536, kv_lora_rank=512,
    d_rope=64, d_nope=128, d_value=128, n_experts=256, n_active_experts=8, n_shared_experts=1, d_ff_expert=2048, d_ff_shared=2048, n_moe_layers=58,
)  # fmt: skip


def params(model):
    return float(np.squeeze(transformer.params(model, transformer.shape(model))))


@pytest.mark.parametrize(
    "model, expected",
    [
        # a layer: qkv 8*(4+2*2)*2 = 128, out 8*8 = 64, up 8*32 = 256, down 256 -> 704; two layers, and 8*10 words once
        (TOY, 2 * 704 + 80),
        # a layer: qkv 8192*80*128, out 8192*64*128, FFN 3*8192*28672; head and table 8192*128256 each
        (LLAMA_70B, 80 * (8192 * 80 * 128 + 8192 * 8192 + 3 * 8192 * 28672) + 2 * 8192 * 128256),
    ],
)
def test_parameters_add_up_by_hand(model, expected):
    assert params(model) == expected


def test_mla_and_experts_give_the_published_total_of_deepseek_v3():
    assert params(DEEPSEEK) == pytest.approx(671e9, rel=0.002)  # published without the MTP head
    active = float(np.squeeze(transformer.active_params(DEEPSEEK, transformer.shape(DEEPSEEK))))
    assert active == pytest.approx(37e9, rel=0.03)


def test_kv_cache_counts_key_and_value_heads_once():
    assert transformer.kv_bytes(TOY, 5, 16) == 2 * 5 * (2 * 2 * 2) * 2  # layers * tokens * (K and V, 2 heads, width 2) * 2 bytes


def test_grouped_heads_enter_capacity_and_decoding_alike():
    many = Model(**(LLAMA | dict(n_kv_heads=64)))
    assert transformer.kv_bytes(many, 100, 16) == 8 * transformer.kv_bytes(LLAMA_70B, 100, 16)
    assert transformer.kv_bytes_per_token_layer(many, 16) == 8 * transformer.kv_bytes_per_token_layer(LLAMA_70B, 16)
    assert transformer.decode_attention_flop(many) == transformer.decode_attention_flop(LLAMA_70B)  # queries, not keys


def test_kv_heads_are_repeated_beyond_one_a_chip():
    whole = transformer.kv_bytes_per_token_layer(LLAMA_70B, 16)
    assert transformer.kv_bytes_per_token_layer(LLAMA_70B, 16, 4) == whole / 4
    assert transformer.kv_bytes_per_token_layer(LLAMA_70B, 16, 8) == whole / 8
    assert transformer.kv_bytes_per_token_layer(LLAMA_70B, 16, 16) == whole / 8
    assert transformer.kv_bytes_per_token_layer(DEEPSEEK, 16, 8) == (512 + 64) * 2  # the latent cache is not cut


def test_windows_cap_what_is_cached_and_attended():
    model = Model(**(LLAMA | dict(window_tokens=100, n_window_layers=60)))
    assert transformer.cached_tokens(model, 50) == 80 * 50
    assert transformer.cached_tokens(model, 1000) == 20 * 1000 + 60 * 100
    full, narrow = (transformer.prefill_attention_flop(m, 1000.0) for m in (LLAMA_70B, model))
    # pairs: full 1000^2/2; window 100*1000 - 100^2/2
    assert narrow / full == pytest.approx((20 * 500_000 + 60 * 95_000) / (80 * 500_000))


def test_cached_prefix_leaves_the_rest_of_the_causal_triangle():
    whole, cached = (transformer.prefill_attention_flop(LLAMA_70B, 1000.0, c) for c in (0.0, 600.0))
    assert cached / whole == pytest.approx(1 - 0.6**2)


@pytest.mark.parametrize("tokens, touched", [(1, 2.0), (2, 3.5), (4, 5.46875), (8, 7.1991), (16, 7.9198)])
def test_mixtral_touches_this_many_experts(tokens, touched):
    assert transformer.experts_touched(SimpleNamespace(n_experts=8.0, n_active_experts=2.0), tokens) == pytest.approx(touched, abs=1e-4)


def test_dense_models_touch_no_experts():
    assert transformer.experts_touched(TOY, 10) == 0


def test_operator_lies_between_its_roofs_and_their_sum():
    flop, moved = np.array([1e9, 1e12, 3e12]), np.array([1e9, 1e9, 4e9])
    time = roofline.operator_time_s(flop, moved, 1e15, 1e12)
    assert np.all(time >= np.maximum(flop / 1e15, moved / 1e12)) and np.all(time <= flop / 1e15 + moved / 1e12)
    assert time[2] == pytest.approx(0.005)  # 3 ms and 4 ms
    assert [step.share(part, 0.005) for part in (0.003, 0.004)] == pytest.approx([0.0018, 0.0032])


NONE = np.nan


@pytest.mark.parametrize(
    "bits, peaks, name",
    [
        (16, (1, 1, 2, 2, 4), "bf16"),
        (16, (NONE, 1, 2, 2, 4), "fp16"),
        (16, (NONE, NONE, 2, 2, 4), ""),  # never narrower
        (8, (1, 1, 2, 2, 4), "fp8"),
        (8, (1, 1, NONE, 2, 4), "int8"),
        (8, (1, 1, NONE, NONE, 4), "bf16"),  # the next wider one
        (4, (1, 1, 2, 2, 4), "fp4"),
        (4, (1, 1, 2, 2, NONE), "fp8"),
        (4, (NONE, 1, NONE, NONE, NONE), "fp16"),
    ],
)
def test_a_width_the_chip_lacks_goes_to_the_next_wider_one(bits, peaks, name):
    peak, _, _, form = roofline.arithmetic(bits, *(np.float64(p) for p in peaks))
    assert roofline.FORMATS[int(form)] == name
    assert np.isnan(peak) == (name == "")


def test_collectives_of_one_chip_are_free_and_published_times_come_out():
    assert network.allreduce_time_s(1.0, 1e9, 1e-5, np.nan) == 0
    # all-gather of 512 MiB over 8 H100 at 450 GB/s: 1.04 ms; half a ring all-reduce
    assert network.allreduce_time_s(8.0, 512 * 2**20, 0.0, 450e9) / 2 == pytest.approx(1.04e-3, rel=0.01)
    assert network.alltoall_time_s(8.0, 512 * 2**20, 0.0, 450e9) == pytest.approx(1.04e-3, rel=0.01)


# --- one replica


def a_law(model=LLAMA_70B, tp=1.0, dp=1.0, pp=1.0, weight_bits=16.0, **changes):
    """A perfect chip of 1 PFLOP/s and 1 TB/s without fixed times, unless changed."""
    rates = dict(
        flop_per_s=1e15, expert_flop_per_s=1e15, expert_bytes_per_s=1e12, head_flop_per_s=1e15, attention_flop_per_s=1e15, bytes_per_s=1e12, head_bytes_per_s=1e12,
        attention_bytes_per_s=1e12, kernel_time_s=0.0, head_kernel_time_s=0.0, group_bytes_per_s=1e18, replica_bytes_per_s=1e18,
    ) | changes  # fmt: skip
    fixed = dict.fromkeys(("layer_time_s", "allreduce_time_s", "step_time_s", "sequence_time_s", "prompt_layer_time_s"), 0.0)
    engine = SimpleNamespace(attention_share=1.0, chunk_tokens=8192.0, **fixed)
    lay = layout.Layout(tp, dp, pp, 1.0, tp * dp, tp * dp * pp, weight_bits, 16.0)
    return step.law(model, transformer.shape(model), lay, step.Rates(**rates), engine), lay


def step_s(law, sequences, context, model=LLAMA_70B):
    return float(np.squeeze(step.decode_time_s(law, sequences, transformer.cached_tokens(model, context))))


def test_lone_decode_step_reads_the_weights_and_the_cache():
    law, _ = a_law()
    weights = (params(LLAMA_70B) - 8192 * 128256) * 2  # the embedding table is looked up, not read
    cache = transformer.kv_bytes(LLAMA_70B, 1000, 16)
    assert step_s(law, 1.0, 1000.0) == pytest.approx((weights + cache) / 1e12, rel=0.001)


def test_decode_depends_on_context():
    law, _ = a_law()
    assert step_s(law, 8.0, 32000.0) > 1.2 * step_s(law, 8.0, 1000.0)


def test_tensor_parallelism_divides_weights_cache_and_arithmetic_but_no_fixed_time():
    one, four = a_law()[0], a_law(tp=4.0)[0]
    assert step_s(four, 16.0, 1000.0) == pytest.approx(step_s(one, 16.0, 1000.0) / 4, rel=0.01)
    fixed = dict(kernel_time_s=1e-5, head_kernel_time_s=1e-5)  # 5 kernels in 80 layers: 4 ms whatever the chips
    one, eight = a_law(**fixed)[0], a_law(tp=8.0, **fixed)[0]
    assert step_s(eight, 1.0, 1000.0) > 1.1 * step_s(one, 1.0, 1000.0) / 8


def test_experts_saturate_instead_of_following_active_parameters():
    law, _ = a_law(DEEPSEEK, weight_bits=8.0)
    one, all_touched = step_s(law, 1.0, 1.0, DEEPSEEK), step_s(law, 512.0, 1.0, DEEPSEEK)
    assert 15 < all_touched / one < 30  # 671/37 times the bytes, and not 512 times


def test_prompt_alone_is_compute_bound_at_two_flop_a_parameter():
    law, _ = a_law(bytes_per_s=1e14, head_bytes_per_s=1e14)
    prompt = serving.prompt(law, 4096.0, transformer.prefill_pairs(LLAMA_70B, 4096.0), 8192.0)
    matrices = 2 * (params(LLAMA_70B) - 2 * 8192 * 128256) * 4096
    attention = 80 * 4 * 64 * 128 * 4096**2 / 2
    assert float(np.squeeze(prompt.alone_s)) == pytest.approx((matrices + attention) / 1e15, rel=0.02)


def test_parts_of_a_pass_add_up_to_its_time():
    law, _ = a_law(kernel_time_s=4e-6, group_bytes_per_s=1e11, tp=4.0)
    cached = transformer.cached_tokens(LLAMA_70B, 1000.0)
    assert step.decode_pass(law, 32.0, cached).total_s == pytest.approx(step.decode_time_s(law, 32.0, cached))
    pairs = transformer.prefill_pairs(LLAMA_70B, 1000.0)
    prompt = serving.prompt(law, 1000.0, pairs, 8192.0)
    assert serving.prompt_pass(law, 1000.0, pairs, 8192.0).total_s == pytest.approx(serving.prompt_s(prompt, 1.0))


def test_a_lone_request_waits_for_nobody_and_a_full_batch_for_the_prompts_of_the_others():
    law, lay = a_law()
    pairs, cached = transformer.prefill_pairs(LLAMA_70B, 1000.0), transformer.cached_tokens(LLAMA_70B, 1100.0)
    prompt = serving.prompt(law, 1000.0, pairs, 8192.0)
    ttft, tpot, step = serving.latencies_s(law, 1.0, lay, cached, 200.0, prompt, 1.0)
    assert (ttft, tpot) == (prompt.alone_s, step)
    ttft, tpot, step = serving.latencies_s(law, 101.0, lay, cached, 200.0, prompt, 1.0)
    assert tpot == pytest.approx(step + 100 / 200 * serving.prompt_s(prompt, 100 / 200))
    assert ttft == pytest.approx(prompt.alone_s + step)


def rates_of(flop_energy_j, tdp_w=350.0):
    chip = {f"peak_flop_per_s_{name}": peak for name, peak in dict(bf16=2e14, fp16=np.nan, fp8=4e14, int8=np.nan, fp4=np.nan).items()}
    chip |= {f"{kind}_{bits}": 0.5 for kind in ("compute_efficiency", "memory_efficiency", "kernel_time_s") for bits in (16, 8, 4)}
    chip |= {f"{kind}_efficiency": 0.5 for kind in ("expert_compute", "expert_memory", "attention_compute", "attention_memory")}
    engine = SimpleNamespace(compute_share=0.8, flop_energy_j=flop_energy_j, link_efficiency=0.5)
    _, lay = a_law()
    return step.attainable(SimpleNamespace(**vars(CHIP), **chip, hbm_bytes_per_s=1e12, tdp_w=tdp_w), lay, 16.0, engine)[2]


def test_rated_power_limits_arithmetic_where_the_engine_s_kernels_take_it():
    free, tight = rates_of(0.0), rates_of(1.75e-12)  # 350 W over 1.75 pJ: 2e14 FLOP/s, as much as the peak
    assert free.flop_per_s == pytest.approx(0.8 * 0.5 * 2e14)
    assert tight.flop_per_s == pytest.approx(free.flop_per_s / 2**0.5)
    assert rates_of(1.75e-12, tdp_w=3500.0).flop_per_s > 0.99 * free.flop_per_s
    assert (tight.bytes_per_s, rates_of(0.0, np.nan)[:-2]) == (free.bytes_per_s, free[:-2])


# --- two pools


def two_pools(clients=1.0, room=1e9, readers=1.0, writers=1.0, burst=0.0, hand_off_s=0.0, tp=8.0):
    law, _ = a_law(tp=tp)
    cached = transformer.cached_tokens(LLAMA_70B, 1250.0)
    prompt = serving.prompt(law, 1000.0, transformer.prefill_pairs(LLAMA_70B, 1000.0), 8192.0)
    group = pools.Pools(np.array(True), writers, np.array(readers), prompt, hand_off_s)

    def token_s(running):
        return step.decode_time_s(law, np.maximum(running / writers, 1.0), cached)

    loop = pools.closed_loop(np.array(clients), readers, np.array(room), token_s, 500.0, group, SimpleNamespace(burst_wait=burst))
    return group, law, cached, [float(np.squeeze(x)) for x in loop]


def test_decode_workers_never_wait_for_prompts():
    group, law, cached, (ttft, tpot, running) = two_pools(clients=64.0, readers=100.0)
    assert tpot == pytest.approx(float(np.squeeze(step.decode_time_s(law, running, cached))), rel=1e-3)
    assert ttft == pytest.approx(float(np.squeeze(group.first_s)), rel=0.05)  # ample prefill: nobody waits
    lone = two_pools(readers=100.0, hand_off_s=0.01)
    assert lone[3][0] == pytest.approx(float(np.squeeze(lone[0].read.alone_s)) + 0.01, rel=1e-3)


@pytest.mark.parametrize("clients, readers, writers", [(1.0, 1.0, 1.0), (64.0, 1.0, 2.0), (2000.0, 1.0, 4.0), (300.0, 6.0, 1.0)])
def test_little_s_law_and_the_slower_pool(clients, readers, writers):
    group, _, _, (ttft, tpot, running) = two_pools(clients, 800.0, readers, writers, burst=0.2)
    rate = clients / (ttft + 499 * tpot)
    assert running <= 800.0
    assert rate < readers / float(np.squeeze(group.read.packed_s))
    assert running == pytest.approx(rate * 499 * tpot, rel=0.02)  # decode pool, a fixed point found in a few passes


def test_pools_are_balanced_where_both_finish_as_much():
    group, law, cached, _ = two_pools()
    step_s = step.decode_time_s(law, 256.0, cached)
    even = pools.balanced_workers(256.0, step_s, 500.0, group.read.packed_s)
    assert even / group.read.packed_s == pytest.approx(256.0 / (500.0 * step_s))
    open_count = pools.prefill_workers(group._replace(prefill_workers=np.array(0.0)), 256.0, step_s, 500.0)
    assert open_count == np.ceil(even)
    rates = [pools.capacity_per_s(group, n, 256.0, step_s, 501.0) for n in (1e-3 * even, even, 1e3 * even)]
    assert rates[0] == pytest.approx(1e-3 * even / group.read.packed_s) and rates[2] == pytest.approx(256.0 / (500.0 * step_s))
    assert rates[1] == pytest.approx(rates[2] / 2**0.25)


def test_the_hand_off_is_hidden_layer_by_layer():
    kv = transformer.kv_bytes(DEEPSEEK, 8000.0, 16)  # 70,272 bytes a token
    assert kv == 8000 * 70272
    assert pools.hand_off_s(kv, 50e9, 1.0, 61) == pytest.approx(kv / 50e9 / 61)
    assert pools.hand_off_s(kv, 50e9, 0.0, 61) == pytest.approx(kv / 50e9)


@pytest.mark.parametrize("acceptance, tokens, kept", [(0.6, 2, 1.96), (0.7, 3, 2.53), (0.8, 5, 3.69), (0.9, 10, 6.86)])
def test_tokens_kept_of_a_draft(acceptance, tokens, kept):
    """Leviathan et al. 2023, arXiv:2211.17192, table 1."""
    assert serving.draft(tokens, acceptance, 0.0).kept == pytest.approx(kept, abs=0.005)
    assert serving.draft(4.0, 1.0, 0.0).kept == 5 and serving.draft(4.0, 0.0, 0.0).kept == 1


def test_drafting_pays_while_reading_weights_and_costs_once_arithmetic_binds():
    law, _ = a_law()
    cached = transformer.cached_tokens(LLAMA_70B, 1.0)
    drafted = serving.draft(3.0, 0.8, 0.05)

    def gain(sequences):
        return float(step.decode_time_s(law, sequences, cached) / (serving.step_s(law, sequences, cached, drafted) / drafted.kept))

    assert gain(1.0) == pytest.approx(drafted.kept / (3 * 0.05 + 1), rel=0.01)  # one pass reads the weights for four tokens
    assert gain(1.0) > gain(100.0) > gain(2000.0) and gain(2000.0) < 1  # four tokens cost four times the arithmetic


def test_verifying_drafts_touches_more_experts():
    law, _ = a_law(DEEPSEEK, weight_bits=8.0)
    dense, _ = a_law()
    cost = [float(np.squeeze(step.decode_time_s(of, 4.0, 1.0, 4.0) / step.decode_time_s(of, 4.0, 1.0))) for of in (law, dense)]
    assert cost[0] > 2 > 1.1 > cost[1]


@pytest.mark.parametrize("most", [1.0, 2.0, 37.0, 5000.0])
@pytest.mark.parametrize("limit", [0.5, 1.0, 1.2, 3.7, 40.0, 1e9])
@pytest.mark.parametrize("power", [0.3, 1.0, 2.5])
def test_search_finds_the_largest_whole_batch(most, limit, power):
    late = lambda batch: batch**power / limit  # noqa: E731
    found = serving.largest_batch(np.array([most]), late)[0]
    whole = np.arange(1, most + 1)
    inside = whole[late(whole) <= 1]
    assert found == (inside.max() if len(inside) else 1.0)


# --- layout


CHIP = SimpleNamespace(hbm_bytes=80e9, scale_up_domain=8.0, link_bytes_per_s=450e9, scale_out_bytes_per_s=50e9)


def a_layout(model=LLAMA_70B, chip=CHIP, context=3000.0, bits=16.0, **asked):
    options = dict(tensor_parallel=np.nan, pipeline_parallel=np.nan, expert_parallel=np.nan, attention_data_parallel=1.0)
    deployment = SimpleNamespace(**(options | dict(memory_reserve=0.1, workspace_bytes=2e9) | asked))
    cut = transformer.cut_params(model, transformer.shape(model))
    return layout.layout(model, chip, deployment, cut, context, bits, 16.0)


def test_fewest_chips_that_hold_the_model_are_chosen():
    assert a_layout().tensor_parallel == 4  # 141 GB; two chips leave 70 GB each
    assert a_layout(bits=8.0).tensor_parallel == 2
    assert a_layout(TOY).tensor_parallel == 1


def test_pipeline_opens_only_where_one_domain_cannot_hold_the_model():
    small = SimpleNamespace(**(vars(CHIP) | dict(hbm_bytes=10e9)))
    found = a_layout(chip=small)  # 141 GB over 7 GB a chip, 8 chips a stage: 2.5 stages
    assert (found.tensor_parallel, found.pipeline_parallel, found.chips) == (8, 3, 24)
    assert a_layout(chip=small, pipeline_parallel=1.0).tensor_parallel == 32  # asked for one stage: beyond the domain


def test_links_change_at_the_edge_of_the_domain():
    assert layout.link_bytes_per_s(CHIP, np.array([1.0, 8.0, 16.0])).tolist() == [450e9, 450e9, 50e9]


@pytest.mark.parametrize("tp, fits", [(1, True), (8, True), (16, True), (3, False), (128, False)])
def test_tensor_parallelism_must_divide_the_heads(tp, fits):
    assert bool(layout.divides_heads(LLAMA_70B, float(tp))) is fits


# --- cost


@pytest.mark.parametrize("rate, years, factor", [(0.07, 20, 0.09439), (0.10, 4, 0.31547), (0.0, 5, 0.2)])
def test_capital_recovery_factor(rate, years, factor):
    assert cost.annuity_factor(rate, years) == pytest.approx(factor, abs=5e-6)


def test_residual_value_is_discounted():
    # 100 dollars, 40 back after 2 years at 10 %: pay 100 - 40/1.21 over two years
    assert cost.capital_usd_per_year(100, 0.4, 0.1, 2) == pytest.approx(cost.annuity_factor(0.1, 2) * (100 - 40 / 1.21))


def test_dollars_per_million_tokens_by_hand():
    assert cost.usd_per_mtok(3.6, 1000.0, 0.5) == pytest.approx(2.0)


# --- columns equal points: every function of the kernel on arrays and on each of their entries

N = 6
RNG = np.random.default_rng(3)


def column(low, high):
    return RNG.uniform(low, high, N)


def whole(*options):
    return RNG.choice(options, N).astype(float)


MODELS = {name: np.full(N, getattr(DEEPSEEK, name)) for name in vars(DEEPSEEK) if isinstance(getattr(DEEPSEEK, name), int | float)}
MODELS |= {name: np.array([getattr(m, name) for m in (TOY, LLAMA_70B, DEEPSEEK) * 2], dtype=float) for name in MODELS}
LAYS = layout.Layout(*(np.array(x) for x in ([1.0, 8, 4, 2, 8, 16], [1.0, 1, 2, 1, 1, 2], [1.0, 2, 1, 1, 1, 1], [1.0] * 6)), *[None] * 4)
LAYS = LAYS._replace(ways=LAYS[0] * LAYS[1], chips=LAYS[0] * LAYS[1] * LAYS[2], weight_bits=whole(4.25, 8, 16), kv_bits=whole(8, 16))
PRICES = {name: column(1.0, 100.0) for name in ("chip_usd", "host_usd", "network_usd", "tdp_w", "host_w", "network_w")} | dict(idle_power_share=column(0.1, 0.4))
PRICES |= dict(power_per_memory_use=column(0.5, 1), power_per_root_compute_use=column(2, 4), server_power_factor=column(1, 1.3), server_w=column(50, 200))
PEAKS = {f"peak_flop_per_s_{form}": whole(1e15, 2e15, np.nan if form != "bf16" else 1e15) for form in ("bf16", "fp16", "fp8", "int8", "fp4")}
SPEEDS = {f"{kind}_{bits}": column(0.5, 0.9) for kind in ("compute_efficiency", "memory_efficiency", "kernel_time_s") for bits in (16, 8, 4)}
SPEEDS |= {f"expert_{kind}_efficiency": column(0.5, 1.1) for kind in ("compute", "memory")}
SPEEDS |= {f"attention_{kind}_efficiency": column(0.5, 0.9) for kind in ("compute", "memory")}
LINKS = dict(hbm_bytes=column(5e10, 2e11), hbm_bytes_per_s=column(1e12, 8e12), link_bytes_per_s=column(1e10, 1e12), scale_up_domain=whole(8, 72))
DEPLOYED = dict(memory_reserve=column(0, 0.2), workspace_bytes=whole(2e9, np.nan), tensor_parallel=whole(1, 4, np.nan), pipeline_parallel=whole(1, 2, np.nan))
DEPLOYED |= dict(expert_parallel=whole(1, np.nan), attention_data_parallel=whole(1, 2))
ENGINE = dict(link_efficiency=column(0.4, 0.8), compute_share=column(0.4, 1.0), attention_share=column(0.2, 1.0), flop_energy_j=whole(0.0, 1e-12), chunk_tokens=whole(512.0))
ENGINE |= {name: column(1e-6, 1e-4) for name in ("layer_time_s", "allreduce_time_s", "step_time_s", "sequence_time_s", "prompt_layer_time_s")}
FINANCE = dict(cost_of_capital=whole(0.0, 0.1), chip_life_years=column(3, 6), residual_share=column(0, 0.2), price_performance_per_year=column(0.1, 0.6), facility_life_years=column(10, 20))
FINANCE |= {name: column(0.01, 0.9) for name in ("maintenance_share", "insurance_share", "facility_maintenance_share", "availability", "other_usd_per_chip", "spares_share", "scale_up_usd")}
FINANCE |= {name: column(1, 90) for name in ("staff_usd_per_kw_year", "software_usd_per_chip_year", "facility_usd_per_w", "colo_usd_per_kw_month")}
FINANCE |= {name: column(0.05, 2) for name in ("pue", "usd_per_kwh", "usd_per_gb_egress")}
ALL = MODELS | PRICES | PEAKS | SPEEDS | LINKS | DEPLOYED | ENGINE | FINANCE | dict(scale_out_bytes_per_s=column(1e10, 1e11))


def whole_replica(c, lay):
    """The coefficients and the latencies of one replica, flat."""
    shape = transformer.shape(c)
    form, peak, rates = step.attainable(c, lay, lay.weight_bits, c)
    pairs, law = transformer.prefill_pairs(c, 1000.0, 300.0), step.law(c, shape, lay, rates, c)
    prompt = serving.prompt(law, 700.0, pairs, 512.0)
    cached = transformer.cached_tokens(c, 1200.0)
    latencies = serving.latencies_s(law, 33.0, lay, cached, 200.0, prompt, 0.8)
    held = layout.memory(c, c, c, shape, transformer.cut_params(c, shape), lay)
    found = serving.largest_batch(np.full_like(latencies[1], 300.0), lambda b: serving.latencies_s(law, b, lay, cached, 200.0, prompt, 0.8)[1] / 0.05)
    flop = SimpleNamespace(
        token_flop=transformer.active_params(c, shape), body_flop=shape.up.params, head_flop=shape.head.params, pair_flop=transformer.pair_flop(c), cached_flop=transformer.decode_attention_flop(c)
    )
    return [
        form, peak, *rates, *latencies, *prompt, found, *step.decode_pass(law, 7.0, cached), *serving.prompt_pass(law, 700.0, pairs, 512.0),
        serving.decode_bytes(held, law, 9.0, cached), *serving.model_flop(flop, 700.0, pairs, cached),
        serving.cached_attention_s(law, pairs, 700.0, 300.0), layout.most_sequences(lay, held, cached), layout.divides_experts(c, lay), *held,
    ]  # fmt: skip


CASES = {
    "params": lambda c, lay: [transformer.params(c, transformer.shape(c)), transformer.active_params(c, transformer.shape(c))],
    "shape": lambda c, lay: [figure for operator in transformer.shape(c) for figure in operator],
    "cache": lambda c, lay: [transformer.kv_bytes(c, 900.0, lay.kv_bits, lay[0]), transformer.experts_touched(c, 5.0), transformer.decode_attention_flop(c)],
    "layout": lambda c, lay: list(layout.layout(c, c, c, transformer.cut_params(c, transformer.shape(c)), 900.0, lay.weight_bits, lay.kv_bits)),
    "heads": lambda c, lay: [layout.divides_heads(c, lay[0]), layout.link_bytes_per_s(c, lay.chips)],
    "serving": whole_replica,
    "network": lambda c, lay: [f(lay.chips, c.hbm_bytes, 1e-5, c.link_bytes_per_s) for f in (network.allreduce_time_s, network.alltoall_time_s)],
    "roofline": lambda c, lay: [step.share(c.pue, c.chip_usd), roofline.ridge_flop_per_byte(c.chip_usd, c.pue), roofline.operator_time_s(c.pue, c.pue, c.tdp_w, 2.0)],
    "capital": lambda c, lay: [cost.capital_usd_per_year(c.chip_usd, c.residual_share, c.cost_of_capital, c.chip_life_years)],
    "value": lambda c, lay: [
        cost.book_share(c.chip_life_years / 2, c.chip_life_years, c.residual_share), cost.residual_share(SimpleNamespace(**vars(c) | dict(residual_share=c.peak_flop_per_s_fp8 * 0))),
        cost.scrap_age_years(c.tdp_w, c.pue, c.price_performance_per_year), cost.break_even_utilization(c.pue, 0.1, c.tdp_w), cost.break_even_hours(c.chip_usd, c.pue, 1.0),
        cost.kept_usd_per_year(c.chip_life_years, c.chip_usd, c.other_usd_per_chip, c.tdp_w, c.price_performance_per_year, c.cost_of_capital, 0.7),
    ],
    "hourly": lambda c, lay: list(cost.hourly_usd(c, c, c, lay.chips > 8, lay.chips == 4, c.pue, c.tdp_w, c.pue)),
    "power": lambda c, lay: [
        power.chip_w(c, c.maintenance_share, 0.2, c.host_w * 5), power.server_w(c, c.tdp_w), power.idle_w(c), power.mean_w(c, c.tdp_w, 0.7, c.availability),
    ],
    "unit": lambda c, lay: [
        cost.residence_j_per_request(c, c.pue, lay.chips, c.tdp_w, 3.0), cost.tokens_per_s_per_mw(c.tdp_w, 100.0), cost.provisioned_j_per_request(c, c.pue, lay.chips, c.tdp_w), cost.phase_share(lay[3], c.pue, c.tdp_w, c.pue, 3.0),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_columns_equal_points(name):
    with np.errstate(all="ignore"):
        columns = CASES[name](SimpleNamespace(**ALL), LAYS)
        for i in range(N):
            point = CASES[name](SimpleNamespace(**{k: float(x[i]) for k, x in ALL.items()}), layout.Layout(*(float(x[i]) for x in LAYS)))
            for k, (rows, one) in enumerate(zip(columns, point, strict=True)):
                expected = np.broadcast_to(rows, N)[i]
                assert np.squeeze(one) == pytest.approx(expected, rel=1e-12, nan_ok=True), (name, k, i)
