"""Numbers that others have published. First those that reproduce a formula, then those that agree with a measurement."""

from types import SimpleNamespace

import numpy as np
import pytest

import infertco as ic
from infertco.kernel import cost, pools, power, roofline, transformer
from infertco.values import Model


def shipped(id):
    """A model of the catalog as the kernel sees it."""
    return ic.scenario(model=id).model


# --- reproduces a formula


def test_nanogpt_sizing_of_gpt2_is_exact():
    """github.com/karpathy/nanoGPT, transformer_sizing.ipynb: 124,337,664 parameters, 291,648,307,200 FLOP forward at T = 1,024."""
    gpt2 = Model(n_layers=12, d_model=768, n_heads=12, n_kv_heads=12, d_head=64, d_ff=3072, n_ffn_matrices=2, vocab_size=50257, tied_embeddings=1)
    shape = transformer.shape(gpt2)
    ours = transformer.params(gpt2, shape)
    learned_positions, norms = 1024 * 768, 25 * 768  # not part of this package's shape: 0.6 % of the smallest model
    assert ours + learned_positions + norms == 124_337_664
    # the notebook counts the full attention square and the head for every token
    forward = 2 * transformer.active_params(gpt2, shape) * 1024 + 2 * transformer.prefill_attention_flop(gpt2, 1024.0)
    assert forward == 291_648_307_200
    assert 3 * forward == 874_944_921_600


@pytest.mark.parametrize(
    "op, tokens, K, N, flop, moved, intensity",
    [
        # LLM-Viewer, arXiv 2402.16363, table 1: Llama-2-7B, prefill of 2,048 tokens in fp16
        ("q_proj", 2048, 4096, 4096, 68.7e9, 67.1e6, 1024),
        ("gate_proj", 2048, 4096, 11008, 184.7e9, 152.0e6, 1215),
    ],
)
def test_llm_viewer_operators(op, tokens, K, N, flop, moved, intensity):
    ours_flop, ours_moved = 2 * tokens * K * N, 2 * (K * N + tokens * (K + N))
    assert ours_flop == pytest.approx(flop, rel=0.001) and ours_moved == pytest.approx(moved, rel=0.002)
    assert ours_flop / ours_moved == pytest.approx(intensity, rel=0.001)
    # and the operators of the kernel are the same: widths and parameters of Llama-2-7B
    shape = transformer.shape(shipped("llama-2-7b"))
    if op == "gate_proj":  # up and gate are one operator here
        assert shape.up.params == 2 * K * N and shape.up.width_out == 2 * N
    assert intensity > roofline.ridge_flop_per_byte(155e12, 768e9)  # compute-bound on an A6000, as printed


@pytest.mark.parametrize("id, bytes_per_token", [("deepseek-v3", 70_272), ("qwen2.5-72b", 327_680), ("llama-3.1-405b", 516_096)])
def test_kv_bytes_per_token(id, bytes_per_token):
    """DeepSeek-AI, "Insights into DeepSeek-V3", ISCA 2025, arXiv:2505.09343, table 1 (bf16)."""
    assert transformer.kv_bytes(shipped(id), 1, 16) == bytes_per_token


def test_kv_of_a_long_context_of_llama_70b():
    """github.com/kvcache-ai/Mooncake: 128k tokens of Llama-3-70B are about 40 GB (GiB)."""
    assert transformer.kv_bytes(shipped("llama-3-70b"), 131072, 16) / 2**30 == pytest.approx(40.0)


@pytest.mark.parametrize("id, gflop", [("deepseek-v3", 250), ("llama-3.1-405b", 2448)])
def test_training_flop_per_token(id, gflop):
    """Same paper, table 2: 6 N plus causal attention over a 4,096-token sequence."""
    model = shipped(id)
    matrices = 6 * transformer.active_params(model, transformer.shape(model))
    attention = 3 * transformer.prefill_attention_flop(model, 4096.0) / 4096
    assert (matrices + attention) / 1e9 == pytest.approx(gflop, rel=0.03)


def test_scaling_book_model():
    """jax-ml/scaling-book, chapter 7: 18.4 B parameters, 262,144 bytes of int8 KV a token; 16 experts: 212 B, 31 B active."""
    dense = Model(n_layers=64, d_model=4096, n_heads=32, n_kv_heads=8, d_head=256, d_ff=16384, vocab_size=32128, tied_embeddings=1)
    assert transformer.params(dense, transformer.shape(dense)) == 18_385_207_296
    assert transformer.kv_bytes(dense, 1, 8) == 262_144
    moe = Model(
        n_layers=64, d_model=4096, n_heads=32, n_kv_heads=8, d_head=256, d_ff=0, vocab_size=32128, n_experts=16, n_active_experts=2,
        d_ff_expert=16384, n_moe_layers=64, tied_embeddings=1,
    )  # fmt: skip
    shape = transformer.shape(moe)
    assert transformer.params(moe, shape) / 1e9 == pytest.approx(211.7, abs=0.05)
    assert transformer.active_params(moe, shape) / 1e9 == pytest.approx(31.27, abs=0.05)


@pytest.mark.parametrize(
    "kv_gb, times_ms",
    [
        (6.70, {1: 4.98, 8: 12.13, 16: 20.30, 32: 36.65, 64: 69.33, 240: 249.09}),
        (1.34, {1: 4.17, 8: 5.60, 16: 7.23, 32: 10.50, 64: 17.04, 240: 52.99}),
    ],
)
def test_scaling_book_table_of_decoding_on_eight_v5e(kv_gb, times_ms):
    """jax-ml/scaling-book, inference: Llama-2-13B in bf16 on 8 TPU v5e of 0.82 TB/s; bandwidth alone."""
    for batch, ms in times_ms.items():
        time_s = roofline.operator_time_s(0.0, 26e9 + batch * kv_gb * 1e9, 1.0, 8 * 0.82e12)
        assert time_s * 1e3 == pytest.approx(ms, abs=0.006)
    # the cache behind it: 8,192 tokens of Llama-2-13B; with a fifth of the heads, the second row
    assert transformer.kv_bytes(shipped("llama-2-13b"), 8192, 16) / 1e9 == pytest.approx(6.71, abs=0.01)


def test_scaling_book_llama_70b_int8_step():
    """Same book: Llama-3-70B int8, 32 sequences of 8,192 tokens on 8 v5e: about 17 ms."""
    moved = 70e9 + 32 * transformer.kv_bytes(shipped("llama-3-70b"), 8192, 8)
    assert roofline.operator_time_s(0.0, moved, 1.0, 8 * 0.82e12) * 1e3 == pytest.approx(17, rel=0.25)


@pytest.mark.parametrize("tokens, seconds, mfu", [(64 * 2048, None, None), (512 * 2048, 85.2, 0.76), (64 * 64, 1.82, 0.14), (512 * 64, 6.0, 0.33)])
def test_palm_utilization(tokens, seconds, mfu):
    """Pope et al. 2022, arXiv:2211.05102, table 2: PaLM-540B on 64 TPU v4 of 275 TFLOP/s; 2 N FLOP a token."""
    if seconds is None:
        tokens, seconds, mfu = 2048, 0.29, 0.43
    assert 2 * 540e9 * tokens / (seconds * 64 * 275e12) == pytest.approx(mfu, abs=0.01)


def test_deepseek_s_day_closes():
    """DeepSeek, open-infra-index, day 6 (2025): 608e9 tokens in and 168e9 out in 24 h; a node of 8 reads 73.7e3 tokens/s,
    cache hits included, or writes 14.8e3; 226.75 nodes on average. Balanced pools need the same number."""
    read, written = 608e9 / 86400, 168e9 / 86400
    prompt, answer = 1000.0, 1000.0 * 168 / 608  # only their ratio counts
    decoding = written / 14.8e3
    batch, step_s = 14.8e3 * 0.05 * decoding, 0.05  # published: 20 to 22 tokens/s for a user
    reading = pools.balanced_workers(batch, step_s, answer, prompt / 73.7e3)
    assert reading == pytest.approx(read / 73.7e3)
    assert reading + decoding == pytest.approx(226.75, rel=0.002)


def test_crusoe_deepseek_and_inferencemax_unit_conversions():
    """InferenceMAX: tokens/s per all-in MW at a chip's provisioned kW, J/token and dollars per million tokens at its $/h."""
    for kw, per_mw, per_chip, joules, usd_h, usd in [
        (1.73, 0.90e6, 1557, 1.11, 1.30, 0.232),
        (2.17, 2.80e6, 6076, 0.357, 1.95, 0.089),
        (1.79, 0.75e6, 1343, 1.33, 1.12, 0.232),
        (2.65, 2.55e6, 6758, 0.392, 1.48, 0.061),
    ]:
        rated = SimpleNamespace(tdp_w=kw * 1e3, host_w=0.0, network_w=0.0)
        tokens_per_s = per_mw * kw / 1e3
        assert tokens_per_s == pytest.approx(per_chip, rel=0.001)
        assert cost.provisioned_j_per_request(rated, 1.0, 1.0, tokens_per_s) == pytest.approx(joules, rel=0.005)
        assert cost.usd_per_mtok(usd_h, tokens_per_s, 1.0) == pytest.approx(usd, abs=0.001)


def test_epoch_energy_sheet():
    """Epoch AI, February 2025: 100 B active, 500 tokens, 10 % utilization, 1,275 W at 70 %, PUE 1.2: 0.30 Wh."""
    seconds = 2 * 100e9 * 500 / (989e12 * 0.10)
    assert seconds * 1275 * 0.7 * 1.2 / 3600 == pytest.approx(0.301, abs=0.001)


def test_google_energy_of_a_median_prompt():
    """Elsworth et al. 2025, arXiv:2508.15734: 0.14 Wh of accelerators, 0.06 of hosts, 0.02 idle, PUE 1.09: 0.24 Wh and 0.03 g."""
    utilization, hour = 0.7, 1.0  # one prompt an hour: watts are watt-hours a prompt; any utilization splits work and idle
    idle_w = 0.02 / (1 - utilization)
    chip = SimpleNamespace(tdp_w=1.0, idle_power_share=idle_w, host_w=0.06, network_w=0.0)
    wh = power.mean_w(chip, 0.14 / utilization, 1.0, utilization) * hour * 1.09
    assert wh == pytest.approx(0.24, abs=0.005)
    assert wh / 1e3 * 125 == pytest.approx(0.03, abs=0.001)  # g/kWh that the two figures imply


def test_rated_power_of_dgx_systems():
    """NVIDIA's data sheets: 10.2 kW for DGX H100 and 6.5 kW for DGX A100, eight GPUs each; Splitwise caps the former at 7,140 W."""
    for chip, rated_w in (("h100-sxm", 10200), ("a100-80-sxm", 6500)):
        facts = ic.scenario(chip=chip).chip
        assert 8 * (facts.tdp_w + facts.host_w) == pytest.approx(rated_w, rel=0.02)
    capped = power.server_w(ic.scenario(chip="h100-sxm").chip, power.chip_w(ic.scenario(chip="h100-sxm").chip, 0.5, 0.5, 0.7 * 700))
    assert 0.8 * 7140 < 8 * capped < 7140  # a rating holds more than what runs


def test_scaling_book_pop_quiz_and_prefill():
    """Same book: 30 B parameters in int8, 100 kB of KV a token, 16 v5e: batch 4 takes 2.5 ms, batch 256 21 ms; prefill 0.91 s."""
    pod_bytes, pod_flop = 16 * 0.81e12, 16 * 197e12
    four = roofline.operator_time_s(0.0, 30e9 + 4 * 8192 * 100e3, 1.0, pod_bytes)
    assert four * 1e3 == pytest.approx(2.57, abs=0.005)
    many = 2 * 256 * 30e9 / pod_flop + roofline.operator_time_s(0.0, 256 * 8192 * 100e3, 1.0, pod_bytes)
    assert many * 1e3 == pytest.approx(21.05, abs=0.02)
    assert roofline.operator_time_s(2 * 70e9 * 8192, 0.0, 0.4 * pod_flop, 1.0) == pytest.approx(0.91, abs=0.005)


@pytest.mark.parametrize("model, tp, tokens_per_s", [("llama-2-7b", 1, 104.9), ("llama-2-7b", 8, 328.4), ("llama-2-70b", 8, 62.5)])
def test_fixed_time_law_of_single_streams(model, tp, tokens_per_s):
    """gpt-fast on A100: weights at 0.776 of the bandwidth (the head on every chip), 35.2 us a layer, 7.8 + 4.16 log2(TP) us more beyond one chip."""
    shape = shipped(model)
    head = shape.d_model * shape.vocab_size
    read = 2 * ((transformer.active_params(shape, transformer.shape(shape)) - head) / tp + head)
    layer_s = 35.2e-6 + (7.8e-6 + 4.16e-6 * np.log2(tp) if tp > 1 else 0.0)
    seconds = roofline.operator_time_s(0.0, read, 1.0, 0.776 * 2.039e12) + shape.n_layers * layer_s
    assert 1 / seconds == pytest.approx(tokens_per_s, rel=0.03)


# --- agrees with a measurement


@pytest.mark.parametrize(
    "model, tensor_parallel, tokens_per_s, within",
    [
        # gpt-fast on A100-80GB, bf16, batch 1 (github.com/pytorch-labs/gpt-fast, README): decode speed of one stream
        ("llama-2-7b", 1, 104.9, 0.1),
        ("llama-2-7b", 8, 328.4, 0.15),
        ("llama-2-70b", 8, 62.5, 0.15),
    ],
)
def test_single_stream_on_a100(model, tensor_parallel, tokens_per_s, within):
    row = ic.evaluate(
        ic.scenario(chip="a100-80-sxm", model=model, tensor_parallel=tensor_parallel, batch=1, input_tokens=100, output_tokens=200), ["tpot_s"]
    )
    assert 1 / row["tpot_s"][0] == pytest.approx(tokens_per_s, rel=within)


def test_fixed_time_keeps_single_streams_from_scaling_with_chips():
    table = ic.sweep(ic.scenario(chip="a100-80-sxm", model="llama-2-7b", batch=1, input_tokens=100), tensor_parallel=[1, 8], outputs=["tpot_s"])
    speed_up = table["tpot_s"][0] / table["tpot_s"][1]
    assert 2.0 < speed_up < 6.0  # measured 3.1; a plain roofline says 8


@pytest.mark.parametrize("chip, measured", [("h200-sxm", 35_000), ("b200-sxm", 101_527), ("mi300x", 27_804)])
def test_mlperf_offline_llama_2_70b_comes_out_within_half(chip, measured):
    """MLPerf Inference v5.1 closed, Llama-2-70B-99, 8 accelerators, offline tokens/s; 4-bit on B200, 8-bit elsewhere."""
    bits = dict(weight_bits=4.5, activation_bits=4) if chip == "b200-sxm" else dict(weight_bits=8)
    lengths = dict(input_tokens=295, output_tokens=295, ttft_slo_s=float("nan"), tpot_slo_s=float("nan"), max_batch=2048)
    base = ic.scenario(chip=chip, model="llama-2-70b", kv_bits=8, **lengths, **bits)
    table = ic.sweep(base, tensor_parallel=[1, 2, 4, 8], outputs=["output_tokens_per_s_per_chip", "meets_slo", "tpot_s"])
    ours = 8 * table["output_tokens_per_s_per_chip"].max()
    assert 0.5 < ours / measured < 1.5, f"{ours:,.0f} against {measured:,}"


def test_more_interactive_service_costs_throughput_as_measured():
    """MLPerf v5.1, Llama-2-70B on 8 H200: offline over interactive (TPOT 40 ms) is 1.6 to 1.8."""
    lengths = dict(input_tokens=295, output_tokens=295, ttft_slo_s=float("nan"), max_batch=2048)
    base = ic.scenario(chip="h200-sxm", model="llama-2-70b", weight_bits=8, kv_bits=8, **lengths)
    wanted = ["output_tokens_per_s_per_chip", "tpot_s", "meets_slo"]
    free = ic.sweep(base, tensor_parallel=[1, 2, 4], tpot_slo_s=[np.nan], outputs=wanted)["output_tokens_per_s_per_chip"].max()
    bound = ic.sweep(base, tensor_parallel=[1, 2, 4], tpot_slo_s=[0.04], outputs=wanted)
    bound = bound[bound["meets_slo"]]["output_tokens_per_s_per_chip"].max()
    assert 1.1 < free / bound < 2.5
