"""The shipped facts: all of them are there, each has a source, and the numbers hang together."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from infertco import catalog, values
from infertco.kernel import transformer

DATA = Path(__file__).parents[1] / "data"
CHIPS = """
a100-40-sxm a100-80-sxm h100-sxm h100-pcie h200-sxm h20 b200-sxm gb200 b300-sxm gb300 rubin rtx-pro-6000 l4 l40s
a10g t4 rtx-4090 rtx-5090 jetson-agx-orin-64 jetson-thor-t5000 mi250x mi300x mi325x mi355x mi455x tpu-v4 tpu-v5e
tpu-v5p tpu-v6e tpu-v7 inferentia1 inferentia2 trainium1 trainium2 trainium3 gaudi2 gaudi3 maia-100 maia-200 mtia-v1
mtia-v2 mtia-300 mtia-400 mtia-450 mtia-500 groq-lpu-v1 cerebras-wse3 sambanova-sn40l tt-wormhole-n300
tt-blackhole-p150 qualcomm-ai100-ultra qualcomm-ai200 hailo-10h etched-sohu d-matrix-corsair furiosa-rngd
ascend-910c ascend-950dt apple-m4-max apple-m3-ultra apple-m5-max epyc-9965 xeon-6980p
""".split()
MEASURED_CHIPS = """
a40 a100-pcie-80gb rtx-3070 rtx-3080-10gb rtx-3080-ti rtx-3090 rtx-3090-ti rtx-4070-ti rtx-4080 rtx-a6000 rtx-4000-ada
rtx-5000-ada rtx-6000-ada rx-7900-xtx h100-nvl-94gb h100-96gb-hbm2e h800-sxm gh200-96gb gh200-144gb mi250x-gcd
apple-m1-7c apple-m1-max-32c apple-m2-ultra-76c apple-m3-max-40c tt-wormhole-n150 tt-wormhole-galaxy-asic
tt-blackhole-p100 xeon-8592-plus dgx-spark ryzen-ai-max-395 h200-nvl mi350x rtx-pro-4500 arc-pro-b50 arc-pro-b60
arc-pro-b70 rtx-2080-ti rtx-5080 ampere-altra-max-m128-30 apple-m4-pro-20c apple-m5-ultra-80c jetson-orin-nano-8gb
""".split()
SECOND_TIERS = ["maia-200-sram", "mtia-v1-sram", "mtia-v2-sram", "sambanova-sn40l-ddr", "d-matrix-corsair-ddr"]
MODELS = """
llama-2-7b llama-2-13b llama-2-70b llama-3-8b llama-3-70b llama-3.1-8b llama-3.1-70b llama-3.1-405b llama-3.2-1b
llama-3.2-3b llama-4-scout llama-4-maverick mistral-7b-v0.1 mixtral-8x7b mixtral-8x22b qwen2.5-0.5b qwen2.5-1.5b
qwen2.5-3b qwen2.5-7b qwen2.5-14b qwen2.5-32b qwen2.5-72b qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b
qwen3-32b qwen3-30b-a3b qwen3-235b-a22b deepseek-v2 deepseek-v3 deepseek-r1 gpt-oss-20b gpt-oss-120b gemma-2-2b
gemma-2-9b gemma-2-27b gemma-3-1b gemma-3-4b gemma-3-12b gemma-3-27b phi-3-mini-4k phi-4 phi-4-mini gpt-3-175b
palm-540b gpt-j-6b falcon-7b falcon-40b falcon-180b opt-175b bloom-176b kimi-k2 glm-4.5 glm-4.5-air mpt-7b mpt-30b
glm-5
""".split()
TRACES = """
azure2023_code azure2023_conv azure2024_code azure2024_conv mooncake_conversation mooncake_synthetic
mooncake_toolagent wildchat_2024_03 arxiv_summarization apex_lmsys apex_creation apex_summarization
sharegpt_llmservingsim sharegpt_vllm alpaca_vllm lmsys_chat_1m burstgpt burstgpt_sessions deepseek_prod_2025_02
mlperf_llama2_70b mlperf_mixtral_8x7b mlperf_llama3_405b mlperf_deepseek_r1 mlperf_gptj
""".split()
WORKLOADS = ["chat", "code", "rag", "reasoning", "agent", "batch", "edge"]
SITES = ["us-average", "us-west", "eu-average", "nordics", "singapore", "colo-us", "edge-site"]
CLASSES = "hopper blackwell ampere ada cdna rdna arc tpu neuron gaudi apple edge cpu sram other".split()
ENGINES = "trtllm vllm sglang rocm llama.cpp neuron jax gaudi mlx generic".split()


def rows(name: str) -> list[dict[str, str]]:
    """The lines of one data file as they are printed."""
    with open(DATA / f"{name}.csv", newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


LONG_FILES = ["chips", "sites", "finance", "links", "demand", "apis", "stories", "efficiency"]
FACTS = [row | {"file": name} for name in LONG_FILES for row in rows(name)]
WIDE = [row | {"file": name} for name in ("models", "workloads") for row in rows(name)]


@pytest.fixture(scope="module", autouse=True)
def shipped():
    """The facts as they ship, without anybody's overlay."""
    catalog.overlay(None)


# --- everything is there


def test_every_chip_ships():
    assert {*CHIPS, *SECOND_TIERS, *MEASURED_CHIPS} <= set(catalog.table("chip").ids)
    assert len(CHIPS) == 63


def test_every_model_ships():
    assert list(catalog.table("model").ids)[:59] == MODELS
    assert len(catalog.table("model").ids) >= 140


def test_every_trace_and_every_named_workload_ships():
    assert list(catalog.table("workload").ids) == WORKLOADS + TRACES


def test_the_named_sites_ship_among_others():
    ids = catalog.table("site").ids
    assert set(SITES) <= set(ids) and len(ids) >= 25


def test_every_link_ships():
    assert len({row["item"] for row in rows("links")}) == 174


def test_every_demand_figure_with_a_number_ships():
    """86 were collected; one has no number at all."""
    assert len([row for row in rows("demand") if row["parameter"] != "title"]) >= 85


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("power-price/us-", 51),
        ("power-price/", 90),
        ("carbon/gcp-", 44),
        ("carbon/aws-", 9),
        ("construction/", 53),
        ("pue/", 10),
    ],
)
def test_the_named_facts_behind_the_sites_ship(prefix, expected):
    assert len({row["item"] for row in rows("sites") if row["item"].startswith(prefix)}) >= expected


def test_every_class_and_engine_ships():
    items = {row["item"] for row in rows("efficiency")}
    assert {item for item in items if "/" not in item} == set(CLASSES)
    assert items >= {f"engine/{name}" for name in ENGINES}


def test_every_class_and_engine_is_complete():
    chip, engine = catalog.table("chip"), catalog.table("engine")
    for field in values.FIELDS:
        if field in engine.columns:
            assert not np.isnan(engine.columns[field].astype(float)).any(), field
    for field in (f for f in chip.columns if "efficiency_" in f and f != "efficiency_class" or "kernel_time" in f):
        assert not np.isnan(chip.columns[field]).any(), field


# --- sources


def test_every_source_that_is_named_exists_and_every_source_is_named():
    known = {row["key"] for row in rows("sources")}
    notes = " ".join(row["note"] for row in FACTS + WIDE)
    named = {row[column] for row in FACTS + WIDE for column in ("source", "slo_source") if row.get(column)}
    named |= {row["source"] for row in rows("currencies")}
    named |= {key for key in re.findall(r"\[([a-z0-9.-]+)\]", notes)}
    assert named == known


def test_every_source_has_terms_and_a_date():
    for row in rows("sources"):
        assert row["terms"] and row["accessed"], row["key"]


def test_no_source_is_a_package_index():
    for row in rows("sources"):
        host = re.sub(r"^https?://(www\.)?", "", row["url"]).split("/")[0]
        assert not re.search(r"(^|\.)(pypi|python[h]osted|npmjs|crates|anaconda|rubygems|conda)\.", host), row["key"]


def test_every_estimate_has_a_range_and_a_reason():
    for row in FACTS:
        if row["confidence"] == "estimate" and row["unit"] != "text":
            assert row["low"] and row["high"] and len(row["note"]) > 8, row
    for row in WIDE:
        for field in row["weak_fields"].split(";") if row["weak_fields"] else ():
            assert row[field], (row["id"], field)


def test_a_fact_of_general_knowledge_is_marked_as_such():
    for row in FACTS:
        if row["source"] == "general-knowledge" and row["unit"] != "text":
            assert row["confidence"] == "unverified", row


def test_nothing_is_dated_later_than_the_reading_except_what_is_forecast():
    for row in FACTS + WIDE:
        assert row["date"] <= "2026-12" or row["file"] == "demand", row


# --- chips


def column(field: str) -> dict[str, float]:
    """{chip: figure} of one field, in base units, where there is one."""
    table = catalog.table("chip")
    return {chip: value for chip, value in zip(table.ids, table.columns[field], strict=True) if value == value}


def test_every_chip_says_what_it_is():
    table = catalog.table("chip")
    for field in ("name", "vendor", "kind", "status", "efficiency_class", "usual_engine", "form"):
        assert all(table.columns[field]), field
    for field in ("generation", "host_w", "network_w", "host_usd", "network_usd", "hbm_bytes"):
        assert not np.isnan(table.columns[field]).any(), field


@pytest.mark.parametrize(
    ("chip", "gib"),
    [
        ("a100-80-sxm", 80),
        ("h100-sxm", 80),
        ("h200-sxm", 141),
        ("h20", 96),
        ("b200-sxm", 180),
        ("gb200", 186),
        ("mi300x", 192),
        ("trainium2", 96),
    ],
)
def test_capacities_are_gib_where_the_maker_prints_gb(chip, gib):
    assert column("hbm_bytes")[chip] == pytest.approx(gib * 2**30, rel=0.01)


def test_the_driver_figure_of_the_h200_is_taken():
    assert column("hbm_bytes")["h200-sxm"] == 143_771 * 2**20


def test_288_gb_are_decimal():
    assert column("hbm_bytes")["b300-sxm"] == pytest.approx(288e9, rel=0.01)


def test_ridge_points_are_plausible():
    bandwidth, memory = column("hbm_bytes_per_s"), catalog.chips()["memory_type"]
    peak = column("peak_flop_per_s_fp16") | column("peak_flop_per_s_bf16")
    for chip in peak:
        if chip in bandwidth and "HBM" in memory[chip]:
            assert 20 < peak[chip] / bandwidth[chip] < 2000, chip


UNEVEN = {  # 8-bit peaks further than 2.2 times above the 16-bit ones, as their makers print them
    "rtx-4090": "GeForce halves bf16 with fp32 accumulation",
    "rtx-5090": "GeForce halves bf16 with fp32 accumulation",
    "rubin": "announced so",
    "trainium3": "3.75 times",
    "maia-200": "4 times",
    "maia-200-sram": "4 times",
    "groq-lpu-v1": "int8 first",
    "qualcomm-ai100-ultra": "int8 first",
    "tt-wormhole-n300": "unverified",
    "tt-wormhole-n150": "unverified",
    "tt-wormhole-galaxy-asic": "unverified",
    "tt-blackhole-p100": "fp8 first",
    "tt-blackhole-p150": "fp8 first",
}
GEFORCE = re.compile(r"rtx-[2-5]0\d\d(?!-ada|-sff)")  # bf16 with fp32 accumulation at half the rate of fp16


def test_peaks_are_dense():
    bf16 = column("peak_flop_per_s_fp16") | column("peak_flop_per_s_bf16")
    for field, most in (("peak_flop_per_s_fp8", 2.2), ("peak_flop_per_s_int8", 2.2), ("peak_flop_per_s_fp4", 9.0)):
        for chip, peak in column(field).items():
            if chip in bf16 and chip not in UNEVEN:
                assert peak <= most * (2 if GEFORCE.match(chip) else 1) * bf16[chip], (chip, field)
    eight = column("peak_flop_per_s_int8") | column("peak_flop_per_s_fp8")
    assert [chip for chip in UNEVEN if eight[chip] <= 2.2 * bf16[chip]] == []


def test_measured_rates_stay_below_the_peaks():
    for width in ("bf16", "fp8"):
        peak = column(f"peak_flop_per_s_{width}")
        for chip, measured in column(f"measured_flop_per_s_{width}").items():
            assert 0.3 * peak[chip] < measured < peak[chip], (chip, width)


def test_the_price_of_the_h100_is_that_of_the_chip():
    """A DGX or HGX price divided by eight holds a share of the server."""
    assert 22_000 <= column("chip_usd")["h100-sxm"] <= 30_000
    assert column("host_usd")["h100-sxm"] >= 4_000


def test_second_tiers_share_the_chip_and_not_the_memory():
    chips = catalog.chips()
    for tier in SECOND_TIERS:
        main = chips.loc[tier.rsplit("-", 1)[0]]
        assert chips.loc[tier, "hbm_bytes"] != main["hbm_bytes"], tier
        assert chips.loc[tier, "tdp_w"] == main["tdp_w"], tier


def test_the_dates_of_two_prices_are_kept():
    assert catalog.fact("chip", "h100-sxm", "cloud_usd_per_hour_reserved", as_of="2025-12").value == 1.70
    assert catalog.fact("chip", "h100-sxm", "cloud_usd_per_hour_reserved").value == 2.35


# --- models


def derived(row) -> tuple[float, float]:
    """Total and active parameters of a model out of its shape; norms, biases and MTP layers are left out."""
    width, query, key = row.d_model, row.n_heads * row.d_head, row.n_kv_heads * row.d_head
    attention = 2 * width * (query + key)
    if row.kv_lora_rank:
        attention = row.q_lora_rank * (width + row.n_heads * (row.d_nope + row.d_rope))
        attention += width * (row.kv_lora_rank + row.d_rope + row.n_heads * row.d_value)
        attention += row.kv_lora_rank * row.n_heads * (row.d_nope + row.d_value)
    dense = (row.n_layers - row.n_moe_layers) * row.n_ffn_matrices * width * row.d_ff
    expert, shared = (row.n_ffn_matrices * width * w for w in (row.d_ff_expert, row.d_ff_shared))
    common = row.n_layers * attention + dense + (2 - row.tied_embeddings) * width * row.vocab_size
    common += row.n_moe_layers * (row.n_shared_experts * shared + width * row.n_experts)
    return common + row.n_moe_layers * row.n_experts * expert, common + row.n_moe_layers * row.n_active_experts * expert


def test_the_shape_of_every_model_gives_its_parameters_as_the_model_counts_them():
    """Constant-state layers and uneven ones included: what is computed and moved follows from this count."""
    columns = catalog.table("model").columns
    model = SimpleNamespace(**{field: column for field, column in columns.items() if column.dtype == float})
    shape = transformer.shape(model)
    off = dict(zip(columns["model"], transformer.params(model, shape) / columns["total_params"] - 1, strict=True))
    assert {id: round(error, 3) for id, error in off.items() if abs(error) > 0.02} == {}
    active = transformer.active_params(model, shape) / columns["active_params"]
    assert {id: round(a, 2) for id, a in zip(columns["model"], active, strict=True) if abs(a - 1) > 0.2} == {}


@pytest.mark.parametrize("model", MODELS)
def test_the_shape_of_a_model_gives_its_parameters(model):
    row = catalog.models().loc[model]
    total, active = derived(row)
    assert total == pytest.approx(row.total_params, rel=0.01)
    if row.n_experts and not model.startswith("gpt-oss"):  # gpt-oss leaves its embeddings out of the active count
        assert active == pytest.approx(row.active_params, rel=0.13)


@pytest.mark.parametrize(
    ("model", "field", "expected"),
    [
        ("llama-4-scout", "n_moe_layers", 48),
        ("llama-4-maverick", "n_moe_layers", 24),
        ("deepseek-v3", "n_moe_layers", 58),
        ("gemma-3-27b", "n_window_layers", 52),
        ("gemma-3-1b", "n_window_layers", 22),
        ("gpt-oss-120b", "n_window_layers", 18),
        ("llama-4-scout", "n_window_layers", 36),
        ("mistral-7b-v0.1", "n_window_layers", 32),
        ("gpt-oss-20b", "published_weight_bits", 4.25),
        ("kimi-k2", "published_weight_bits", 8),
        ("llama-3.1-70b", "published_weight_bits", 16),
    ],
)
def test_layers_are_counted_as_the_pattern_says(model, field, expected):
    assert catalog.models().loc[model, field] == expected


# --- workloads


def test_the_named_workloads_have_lengths_and_the_limits_they_need():
    table = catalog.workloads()
    for workload in WORKLOADS:
        row = table.loc[workload]
        assert row.input_tokens > 1 and row.output_tokens > 1, workload
        assert (np.isnan(row.ttft_slo_s) and np.isnan(row.tpot_slo_s)) == (workload == "batch")
    assert table.loc["agent", "prefix_hit_rate"] > 0.3


def test_limits_are_those_mlperf_prints():
    table = catalog.workloads()
    assert tuple(table.loc["chat", ["ttft_slo_s", "tpot_slo_s"]]) == (1.0, 0.04)  # between two classes, by the longer prompt
    assert tuple(table.loc["reasoning", ["ttft_slo_s", "tpot_slo_s"]]) == (2.0, 0.08)
    fact = catalog.fact("workload", "chat", "ttft_slo_s")
    assert (fact.confidence, fact.low, fact.high) == ("estimate", 0.45, 2.0)
    assert catalog.fact("workload", "reasoning", "ttft_slo_s").source == "mlcommons-r1"


# --- sites and money


def test_every_site_is_complete():
    table = catalog.sites()
    assert table.notna().all(axis=None)
    assert (table["place"] != "").all()


def test_every_default_of_finance_has_a_value():
    table = catalog.table("finance")
    for field, cells in table.columns.items():
        assert field == "residual_share" or cells[0] == cells[0] and cells[0] != "", field  # that follows from price-performance


def test_utilization_is_as_the_contract_says():
    fact = catalog.fact("finance", "default", "utilization")
    assert (fact.value, fact.low, fact.high) == (0.7, 0.4, 0.85)


def test_euro_convert():
    fact = catalog.facts("sites").query("item == 'power-price/eu-avg-nonhh'").iloc[0]
    assert fact.printed_unit == "EUR/kWh" and 1.0 < fact.value / float(fact.printed_value) < 1.3


# --- measurements and names

UNSCORED = {"chip": {"cerebras-wse3-cloud", "groq-cloud"}, "model": {"maxtext-1160b"}}  # data/measured/README.md
COLUMN = {"chip": "hardware", "model": "model"}


@pytest.mark.parametrize("name", ["inference", "training"])
@pytest.mark.parametrize("kind", ["chip", "model"])
def test_every_spelling_of_the_measurements_leads_somewhere_or_is_listed(name, kind):
    spellings = {row[COLUMN[kind]] for row in rows(f"measured/{name}")}
    lost = {text for text in spellings if not catalog.alias(kind, text)}
    assert lost <= UNSCORED[kind]
    page = (DATA / "measured" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{text}`" in page for text in UNSCORED["chip"] | UNSCORED["model"])


def test_the_measurements_name_where_they_were_read():
    for name, least in (("inference", 5000), ("training", 300)):
        found = rows(f"measured/{name}")
        assert len(found) >= least
        assert all(row["source_url_or_repo_path"] and row["value"] and row["metric"] for row in found)


def test_an_alias_is_one_spelling_of_one_thing():
    ids = {kind: set(catalog.table(kind).ids) for kind in ("chip", "model")}
    found = {}
    for row in rows("aliases"):
        key = row["kind"], re.sub(r"[\s_/]+", "-", row["alias"].strip().lower())
        assert key not in found, row
        assert row["id"] in ids[row["kind"]] and key[1] not in ids[row["kind"]], row
        found[key] = row["id"]
    assert len(found) > 1000


@pytest.mark.parametrize(
    ("kind", "text", "id"),
    [
        ("chip", "NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("chip", "H100-SXM", "h100-sxm"),
        ("chip", "h200_sxm", "h200-sxm"),
        ("chip", "GB200", "gb200"),
        ("chip", "MI325X", "mi325x"),
        ("chip", "NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("chip", "Apple M2 Ultra", "apple-m2-ultra-76c"),
        ("chip", "apple-m3-max", ""),  # 300 or 400 GB/s
        ("chip", "A100", ""),  # 40 or 80 GB
        ("model", "meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("model", "llama3.1-70b", "llama-3.1-70b"),
        ("model", "Qwen/Qwen3-32B-FP8", "qwen3-32b"),
        ("model", "nvidia/DeepSeek-R1-0528-FP4", "deepseek-r1"),
        ("model", "deepseek-r1:14b", "qwen2.5-14b"),
        ("model", "llama-3.1-71b", ""),
    ],
)
def test_likely_spellings_join_and_doubtful_ones_do_not(kind, text, id):
    assert catalog.alias(kind, text) == id


def test_each_card_of_a_family_has_what_a_prediction_needs():
    table = catalog.table("chip")
    peak = np.fmax(table.columns["peak_flop_per_s_bf16"], table.columns["peak_flop_per_s_fp16"])
    for chip in (catalog.alias("chip", row["hardware"]) for row in rows("measured/inference")):
        if chip:
            row = table.row[chip]
            assert peak[row] > 0 or table.columns["peak_flop_per_s_fp8"][row] > 0, chip
            assert table.columns["hbm_bytes_per_s"][row] > 0 and table.columns["tdp_w"][row] > 0, chip
