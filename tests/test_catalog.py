"""The catalog on a small folder of its own: what it refuses, what is in force, what lies over what, what ships."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from infertco import catalog, data_pages, facts, values, vocabulary

LONG = ",".join(vocabulary.LONG)
SHIPPED = dict(
    sources=(
        "key,kind,title,url,accessed,terms",
        "maker,datasheet,Maker's page,https://maker.example/h100,2026-01-02,facts only",
        "ours,estimate,Own reckoning,,2026-01-02,as the package",
    ),
    currencies=("currency,date,usd,source", "EUR,2024-01,1.10,maker", "EUR,2025-01,1.20,maker"),
    efficiency=(
        LONG + ",count",
        "hopper,compute_efficiency_16,0.78,1,,,maker,2022-09,measured,,100",
        "hopper,usual_engine,vllm,text,,,maker,2022-09,measured,,",
        "engine/vllm,layer_time_s,5,us,,,maker,2022-09,measured,,7",
    ),
    chips=(
        LONG,
        "h100-sxm,name,H100 SXM,text,,,maker,2022-09,datasheet,",
        "h100-sxm,kind,gpu,text,,,maker,2022-09,datasheet,",
        "h100-sxm,efficiency_class,hopper,text,,,maker,2022-09,datasheet,",
        "h100-sxm,hbm_bytes,80,GiB,,,maker,2022-09,datasheet,",
        "h100-sxm,hbm_bytes_per_s,3.35,TB/s,,,maker,2022-09,datasheet,",
        "h100-sxm,chip_usd,33600,USD,,,maker,2023-05,press,",
        "h100-sxm,chip_usd,25000,USD,20000,30000,ours,2025-06-30,estimate,street price",
        "h200-sxm,efficiency_class,hopper,text,,,maker,2024-11,datasheet,",
        "h200-sxm,compute_efficiency_16,0.80,1,,,maker,2024-11,measured,",
    ),
    models=(
        "id,n_layers,d_model,training_tokens,active_params,active_params_low,active_params_high,"
        "source,date,confidence,note,weak_fields",
        "llama-3.1-70b,80,8192,15e12,,,,maker,2024-07-23,config,,training_tokens",
        "guess-1t,100,16384,,50e9,30e9,90e9,maker,2025-01,config,from its price,active_params",
    ),
    workloads=(
        "id,input_tokens,ttft_slo_s,ttft_slo_s_low,ttft_slo_s_high,source,date,confidence,note,slo_source,slo_confidence",
        "chat,300,2,1,4,maker,2024,measured,limit by feel,ours,estimate",
    ),
    sites=(
        LONG,
        "price/us-2024,usd_per_kwh,82.6,USD/MWh,60,120,maker,2024,vendor page,",
        "price/eu-2025,usd_per_kwh,0.19,EUR/kWh,,,maker,2025-02,vendor page,",
        "price/eu-old,usd_per_kwh,0.10,EUR/kWh,,,maker,2024,vendor page,",
        "us,usd_per_kwh,price/us-2024,ref,,,,,,",
        "eu,usd_per_kwh,price/eu-2025,ref,,,,,,",
        "eu,place,Somewhere,text,,,maker,2024,vendor page,",
    ),
)


def write(folder: Path, **files) -> Path:
    folder.mkdir(exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """The small catalog in the place of the shipped one; afterwards everything is as it was."""
    folder = write(tmp_path / "data", **SHIPPED)
    monkeypatch.setattr(catalog, "data_dir", lambda: folder)
    monkeypatch.setattr(catalog, "_overlays", ())
    yield folder
    monkeypatch.undo()
    catalog.overlay(None)


def error(tmp_path, name, *lines, header=LONG, folder="mine") -> str:
    """The one line said to someone who lays a file with these lines over the small catalog."""
    with pytest.raises(ValueError) as said:
        catalog.overlay(write(tmp_path / folder, **{name: (header, *lines)}))
    assert "\n" not in str(said.value)
    return str(said.value)


# --- what is refused

WRONG = [
    ("x,hbm_byte,80,GB,,,maker,2025,datasheet,", "unknown parameter 'hbm_byte' for chips; did you mean 'hbm_bytes'?"),
    (
        "x,hbm_bytes,80,GBs,,,maker,2025,datasheet,",
        "unknown unit 'GBs'; did you mean 'GB/s'? hbm_bytes expects byte, kB",
    ),
    ("x,hbm_bytes,80,GB/s,,,maker,2025,datasheet,", "unit 'GB/s' is a unit of byte/s; hbm_bytes expects byte, kB, MB"),
    ("x,hbm_bytes,80,text,,,maker,2025,datasheet,", "unknown unit 'text'"),
    ("x,hbm_bytes,80,GB,,,,2025,datasheet,", "expected a source, a key of sources.csv"),
    ("x,hbm_bytes,80,GB,,,makr,2025,datasheet,", "unknown source 'makr'; did you mean 'maker'? Add it to sources.csv"),
    ("x,hbm_bytes,80,GB,,,maker,2025,sure,", "unknown confidence 'sure'; did you mean 'measured'? Known: measured,"),
    ("x,hbm_bytes,80,GB,,,maker,2025,,", "unknown confidence ''. Known: measured, datasheet"),
    ("x,hbm_bytes,eighty,GB,,,maker,2025,datasheet,", "expected a number for hbm_bytes, got 'eighty'"),
    ("x,hbm_bytes,nan,GB,,,maker,2025,datasheet,", "expected a finite number for hbm_bytes, got 'nan'"),
    ("x,hbm_bytes,,GB,,,maker,2025,datasheet,", "expected a value; leave the line out if there is none"),
    (",hbm_bytes,80,GB,,,maker,2025,datasheet,", "expected the id of an item"),
    ("x,chip_usd,10,kUSD,11,12,maker,2025,press,", "expected low <= value <= high, got 11, 10, 12"),
    ("x,chip_usd,10,kUSD,,9,maker,2025,press,", "expected low <= value <= high, got nan, 10, 9"),
    ("x,chip_usd,10,kUSD,-1,12,maker,2025,press,", "implausible chip_usd"),
    ("x,hbm_bytes,80,TB,,,maker,2025,datasheet,", "implausible hbm_bytes: 8e+13 byte; expected 1e+08 to 4e+12"),
    ("x,hbm_bytes_per_s,-3,TB/s,,,maker,2025,datasheet,", "implausible hbm_bytes_per_s: -3e+12 byte/s; expected 2e+10"),
    ("x,chip_usd,10,kUSD,,,ours,2025,estimate,why", "an estimate of chip_usd needs low, high and, in the note, the"),
    ("x,chip_usd,10,kUSD,8,12,ours,2025,estimate,", "an estimate of chip_usd needs low, high and, in the note, the"),
    (
        "x,kind,gpuu,text,,,maker,2025,datasheet,",
        "unknown kind 'gpuu'; did you mean 'gpu'? Known: gpu, tpu, asic, edge",
    ),
    ("x,kind,gpu,1,,,maker,2025,datasheet,", "kind expects the unit text, got '1'"),
    (
        "x,hbm_bytes,80,GB,,,maker,2025-13,datasheet,",
        "expected a date such as 2025, 2025-06 or 2025-06-30, got '2025-13'",
    ),
    ("x,hbm_bytes,80,GB,,,maker,,datasheet,", "expected a date such as 2025, 2025-06 or 2025-06-30, got ''"),
    ("x,hbm_bytes,h100-sxn,ref,,,,,,", "no item 'h100-sxn' with hbm_bytes to refer to; did you mean 'h100-sxm'?"),
    ("x,tdp_w,h100-sxm,ref,,,,,,", "no item 'h100-sxm' with tdp_w to refer to."),
    ("x,hbm_bytes,x,ref,,,,,,", "'x' refers to itself: x -> x"),
    ("x,hbm_bytes,80,GB,,,maker,2025,datasheet", "expected 10 cells, got 9"),
    ("x,hbm_bytes,80,GB,,,maker,2025,datasheet,", "no efficiency_class for 'x'; known: hopper"),
    (
        "x,efficiency_class,hoper,text,,,maker,2025,datasheet,",
        "unknown efficiency_class 'hoper'; did you mean 'hopper'?",
    ),
    ("h100-sxm,usual_engine,vlm,text,,,maker,2025,datasheet,", "unknown usual_engine 'vlm'; did you mean 'vllm'?"),
    ("h100-sxm,chip_usd,30,kCHF,,,maker,2025,press,", "unknown unit 'kCHF'"),
    (
        "h100-sxm,chip_usd,30000,EUR,,,maker,2023,press,",
        "no EUR rate on or before 2023; expected one in currencies.csv",
    ),
]


@pytest.mark.parametrize("line, said", WRONG, ids=[said[:40] for _, said in WRONG])
def test_a_wrong_line_is_refused_by_file_and_line(shipped, tmp_path, line, said):
    message = error(tmp_path, "chips", line)
    assert message.startswith("mine/chips.csv:2: ")
    assert said in message


def test_a_duplicate_names_the_line_it_repeats(shipped, tmp_path):
    line = "h100-sxm,tdp_w,700,W,,,maker,2025,datasheet,"
    assert error(tmp_path, "chips", line, line) == "mine/chips.csv:3: duplicate of line 2: h100-sxm, tdp_w, 2025"


def test_a_cycle_of_references_is_named(shipped, tmp_path):
    lines = [f"{a},pue,{b},ref,,,,,," for a, b in (("a/1", "b/1"), ("b/1", "c/1"), ("c/1", "a/1"))]
    assert "'a/1' refers to itself: a/1 -> b/1 -> c/1 -> a/1" in error(tmp_path, "sites", *lines)


def test_parameters_of_named_facts_and_of_classes_are_not_mixed_up(shipped, tmp_path):
    line = "us,pue_per_degc,0.015,1,,,maker,2025,press,"
    assert "unknown parameter 'pue_per_degc' for sites. Known: data/README.md" in error(tmp_path, "sites", line)
    line = "engine/x,compute_efficiency_16,0.7,1,,,maker,2025,press,,"
    assert "unknown parameter 'compute_efficiency_16'" in error(
        tmp_path, "efficiency", line, header=LONG + ",count", folder="yours"
    )


def test_a_wrong_header_says_what_was_expected(shipped, tmp_path):
    assert error(tmp_path, "chips", header="id,parameter,value") == f"mine/chips.csv:1: wrong header; expected {LONG}"


WRONG_WIDE = [
    ("id,n_layer,source,date,confidence", "", "unknown column 'n_layer'; did you mean 'n_layers'?"),
    ("id,n_layers,source,date", "", "missing column 'confidence'; expected id,source,date,confidence and fields"),
    ("id,n_layers,n_layers,source,date,confidence", "", "a column stands twice in the header"),
    ("id,n_layers,source,date,confidence", "m,many,maker,2025,config", "expected a number for n_layers, got 'many'"),
    (
        "id,n_layers,source,date,confidence",
        "m,0.5,maker,2025,config",
        "implausible n_layers: 0.5 1; expected 1 to 1000",
    ),
    ("id,n_layers,source,date,confidence", "m,32,maker,2025,estimate", "an estimate of n_layers needs low, high"),
    ("id,n_layers,source,date,confidence,weak_fields", "m,32,maker,2025,config,d_model", "weak_fields names 'd_model'"),
]


@pytest.mark.parametrize("header, line, said", WRONG_WIDE, ids=[said[:40] for *_, said in WRONG_WIDE])
def test_a_wrong_wide_file_is_refused(shipped, tmp_path, header, line, said):
    message = error(tmp_path, "models", line, header=header)
    assert said in message and message.startswith("mine/models.csv:2: " if line else "mine/models.csv:1: ")


WRONG_SOURCES = [
    ("a,datasheet,T,https://a.example,2025,x", "duplicate source 'a'"),
    ("b,blog,T,https://a.example,2025,x", "unknown kind of source 'blog'. Known: datasheet, paper"),
    ("b,press,T,,2025,x", "source 'b' needs a title and, unless an estimate or measured, a url"),
    ("b,press,T,https://a.example,last week,x", "expected a date such as 2025, 2025-06 or 2025-06-30, got 'last week'"),
]


@pytest.mark.parametrize("line, said", WRONG_SOURCES, ids=[said[:30] for _, said in WRONG_SOURCES])
def test_a_wrong_source_is_refused(shipped, tmp_path, line, said):
    first = "a,datasheet,T,https://a.example,2025,x"
    assert f"mine/sources.csv:3: {said}" in error(tmp_path, "sources", first, line, header=SHIPPED["sources"][0])


def test_a_wrong_rate_is_refused(shipped, tmp_path):
    header = SHIPPED["currencies"][0]
    said = error(tmp_path, "currencies", "euro,2025,1.1,maker", header=header)
    assert "currencies.csv:2: expected a currency such as EUR" in said
    assert "expected a number for usd" in error(tmp_path, "currencies", "EUR,2025,x,maker", header=header)


def test_an_overlay_that_is_not_there_or_holds_no_data_file_is_refused(shipped, tmp_path):
    with pytest.raises(ValueError, match="no data file in .*nowhere"):
        catalog.overlay(tmp_path / "nowhere")
    assert "mine/chip.csv: unknown data file 'chip.csv'; did you mean 'chips.csv'?" in error(tmp_path, "chip")


def test_a_refused_overlay_changes_nothing(shipped, tmp_path):
    error(tmp_path, "chips", "h100-sxm,tdp_w,-1,W,,,maker,2025,datasheet,")
    assert np.isnan(catalog.table("chip").columns["tdp_w"]).all()


def test_ids_fields_kinds_and_dates_that_do_not_exist_are_named(shipped):
    with pytest.raises(ValueError) as said:
        catalog.check_id("chip", "h10O")
    assert str(said.value) == "unknown chip 'h10O'; did you mean 'h100-sxm'? Known chips: data/chips.csv"
    with pytest.raises(ValueError, match="unknown chip 'zzz'. Known chips: data/chips.csv"):
        catalog.check_id("chip", "zzz")
    with pytest.raises(ValueError, match="unknown field 'hbm_byte' of chip; did you mean 'hbm_bytes'?"):
        catalog.fact("chip", "h100-sxm", "hbm_byte")
    with pytest.raises(ValueError, match="unknown kind 'chips'; did you mean 'chip'?"):
        catalog.table("chips")
    with pytest.raises(ValueError, match="as_of must be a date such as 2025, 2025-06 or 2025-06-30, got 'May'"):
        catalog.chips(as_of="May")


# --- what is in force


def cell(kind, id, field, as_of=None):
    found = catalog.table(kind, as_of)
    return found.columns[field][found.row[id]]


def test_values_are_in_base_units_and_the_rest_is_missing(shipped):
    assert cell("chip", "h100-sxm", "hbm_bytes") == 80 * 2**30
    assert cell("chip", "h100-sxm", "hbm_bytes_per_s") == 3.35e12
    assert math.isnan(cell("chip", "h100-sxm", "tdp_w")) and cell("chip", "h100-sxm", "vendor") == ""
    assert cell("site", "us", "usd_per_kwh") == pytest.approx(0.0826)  # 82.6 USD/MWh
    assert cell("model", "llama-3.1-70b", "n_experts") == 0  # a blank cell: no experts
    assert set(catalog.table("chip").columns) == {n for n, o in values.OWNER.items() if o == "chip"}


@pytest.mark.parametrize(
    "as_of, price",
    [(None, 25000), ("2025", 25000), ("2025-06", 25000), ("2025-06-29", 33600), ("2023", 33600), ("2023-04", math.nan)],
)
def test_as_of_takes_the_newest_fact_not_later(shipped, as_of, price):
    assert cell("chip", "h100-sxm", "chip_usd", as_of) == pytest.approx(price, nan_ok=True)


def test_what_is_dated_later_does_not_exist(shipped):
    assert catalog.table("chip", "2023").ids == ("h100-sxm",)
    assert catalog.table("chip", "2020").ids == ()
    assert catalog.chips("2020").empty
    assert catalog.data_date() == "2025-06-30" and catalog.data_date("2024") == "2024-11"


def test_the_row_of_finance_stays_though_its_facts_do_not_exist_yet(shipped):
    write(shipped, finance=(LONG, "default,utilization,0.7,1,0.4,0.85,ours,2026,estimate,planning figure"))
    assert cell("finance", "default", "utilization") == 0.7
    assert math.isnan(cell("finance", "default", "utilization", "2020"))
    assert cell("finance", "default", "ownership", "2020") == "colo"  # the field's own default


def test_weak_facts_are_marked(shipped):
    chip, model, workload = (catalog.table(kind) for kind in ("chip", "model", "workload"))
    assert chip.weak["chip_usd"][chip.row["h100-sxm"]] and not chip.weak["hbm_bytes"].any()
    assert not catalog.table("chip", "2024").weak["chip_usd"].any()  # the press price of 2023 is in force
    assert list(model.weak["training_tokens"]) == [True, False]
    assert catalog.fact("model", "llama-3.1-70b", "training_tokens").confidence == "unverified"  # it has no range
    assert catalog.fact("model", "guess-1t", "active_params").confidence == "estimate"  # it has one
    assert workload.weak["ttft_slo_s"][0] and not workload.weak["input_tokens"][0]


def test_a_fact_says_where_it_comes_from(shipped):
    found = catalog.fact("chip", "h100-sxm", "hbm_bytes")
    assert (found.printed_value, found.printed_unit, found.value, found.unit) == ("80", "GiB", 80 * 2**30, "byte")
    assert (found.source, found.date, found.confidence) == ("maker", "2022-09", "datasheet")
    assert (found.file, found.line) == ("data/chips.csv", 5)
    assert catalog.fact("chip", "h100-sxm", "tdp_w") is None
    limit = catalog.fact("workload", "chat", "ttft_slo_s")
    assert (limit.source, limit.confidence, limit.low, limit.high) == ("ours", "estimate", 1, 4)


def test_a_reference_is_the_fact_it_leads_to(shipped):
    found = catalog.fact("site", "us", "usd_per_kwh")
    assert (found.item, found.source, found.date, found.confidence) == ("price/us-2024", "maker", "2024", "vendor page")
    assert (found.low, found.high) == pytest.approx((0.060, 0.120))
    assert catalog.table("site").ids == ("us", "eu")  # named facts cannot be chosen
    assert catalog.fact("site", "us", "usd_per_kwh", "2024") is not None
    assert "us" not in catalog.table("site", "2023").ids  # its fact did not exist yet


def test_currencies_convert_at_the_newest_rate_not_later_than_the_fact(shipped):
    assert cell("site", "eu", "usd_per_kwh") == pytest.approx(0.19 * 1.20)  # February 2025: the rate of January 2025
    prices = {f["item"]: f["value"] for _, f in catalog.facts("sites").iterrows()}
    assert prices["price/eu-old"] == pytest.approx(0.10 * 1.10)  # 2024: the rate of January 2024


def test_efficiencies_come_by_class_unless_the_chip_has_its_own(shipped):
    assert cell("chip", "h100-sxm", "compute_efficiency_16") == 0.78
    assert cell("chip", "h200-sxm", "compute_efficiency_16") == 0.80
    assert cell("chip", "h200-sxm", "usual_engine") == "vllm"
    assert catalog.fact("chip", "h100-sxm", "compute_efficiency_16").item == "hopper"
    assert catalog.table("engine").ids == ("vllm",)
    assert cell("engine", "vllm", "layer_time_s") == pytest.approx(5e-6)


def test_efficiencies_are_fitted_and_do_not_follow_as_of(shipped, tmp_path):
    line = "hopper,compute_efficiency_16,0.75,1,,,maker,2026-05,measured,,120"
    catalog.overlay(write(tmp_path / "mine", efficiency=(LONG + ",count", line)))
    assert cell("chip", "h100-sxm", "compute_efficiency_16", "2023") == 0.75
    assert cell("engine", "vllm", "layer_time_s", "2021") == pytest.approx(5e-6)


def test_forecasts_of_demand_do_not_date_the_data(shipped):
    header = f"{LONG},who,kind"
    write(shipped, demand=(header, "world,spend_usd,5,BUSD,,,maker,2032,press,,Maker,forecast"))
    assert catalog.data_date() == "2025-06-30"
    assert list(catalog.demand().who) == ["Maker"] and catalog.demand("2030").empty


def test_tables_are_kept_and_cannot_be_changed(shipped):
    assert catalog.table("chip") is catalog.table("chip")
    with pytest.raises(ValueError, match="read-only"):
        catalog.table("chip").columns["hbm_bytes"][0] = 1.0


# --- overlays


def test_an_overlay_replaces_whatever_the_dates(shipped, tmp_path):
    line = "h100-sxm,chip_usd,31000,USD,,,maker,2024-01,press,"
    catalog.overlay(write(tmp_path / "mine", chips=(LONG, line)))
    assert cell("chip", "h100-sxm", "chip_usd") == 31000  # though the shipped one is of 2025
    assert cell("chip", "h100-sxm", "chip_usd", "2023") == 33600  # the overlay's does not exist yet
    assert cell("chip", "h100-sxm", "hbm_bytes") == 80 * 2**30
    catalog.overlay(None)
    assert cell("chip", "h100-sxm", "chip_usd") == 25000


def test_overlays_stack_and_the_same_path_is_read_again(shipped, tmp_path):
    first = write(tmp_path / "first", chips=(LONG, "h100-sxm,tdp_w,700,W,,,maker,2025,datasheet,"))
    second = write(tmp_path / "second", chips=(LONG, "h100-sxm,tdp_w,650,W,,,maker,2025,datasheet,"))
    catalog.overlay(first)
    catalog.overlay(second)
    assert cell("chip", "h100-sxm", "tdp_w") == 650
    write(first, chips=(LONG, "h100-sxm,tdp_w,690,W,,,maker,2025,datasheet,"))
    catalog.overlay(first)
    assert cell("chip", "h100-sxm", "tdp_w") == 690


def test_an_overlay_brings_chips_and_sources_of_its_own(shipped, tmp_path):
    sources = ("key,kind,title,url,accessed,terms", "quote,measured,Our quote,,2026-02,own")
    lines = ("x1,efficiency_class,hopper,text,,,quote,2026,press,", "x1,hbm_bytes,96,GB,,,quote,2026,press,")
    catalog.overlay(write(tmp_path / "mine", chips=(LONG, *lines), sources=sources))
    assert catalog.table("chip").ids == ("h100-sxm", "h200-sxm", "x1")
    assert cell("chip", "x1", "compute_efficiency_16") == 0.78
    assert list(catalog.sources().index) == ["maker", "ours", "quote"]
    assert catalog.fact("chip", "x1", "hbm_bytes").file == "mine/chips.csv"


def test_an_overlay_changes_what_references_lead_to(shipped, tmp_path):
    line = "price/us-2024,usd_per_kwh,0.11,USD/kWh,,,maker,2024,press,"
    path = write(tmp_path / "mine", sites=(LONG, line)) / "sites.csv"
    catalog.overlay(path)  # one file instead of a folder
    assert cell("site", "us", "usd_per_kwh") == 0.11


def test_the_line_that_would_supply_a_fact_is_a_line_of_the_file(shipped, tmp_path):
    name, line = catalog.overlay_line("h200-sxm", "chip_usd").split(".csv: ")
    assert line == "h200-sxm,chip_usd,<value>,USD,,,<source>,<date>,press,"
    filled = line.replace("<value>", "32000").replace("<source>", "maker").replace("<date>", "2026")
    catalog.overlay(write(tmp_path / "mine", **{name: (LONG, filled)}))
    assert cell("chip", "h200-sxm", "chip_usd") == 32000
    assert catalog.overlay_line("us", "pue").startswith("sites.csv: us,pue,<value>,1,")
    assert catalog.overlay_line("m", "n_layers").startswith("models.csv: id,n_layers,")


def test_frames_hold_one_row_an_id(shipped):
    chips = catalog.chips()
    assert chips.index.name == "chip" and list(chips.index) == ["h100-sxm", "h200-sxm"]
    assert "chip" not in chips and chips.loc["h100-sxm", "hbm_bytes"] == 80 * 2**30
    assert list(catalog.workloads().index) == ["chat"] and list(catalog.models().index) == ["llama-3.1-70b", "guess-1t"]
    assert catalog.links().empty and {"item", "value", "from", "to"} <= set(catalog.links())


# --- models from a published config.json

DENSE = dict(
    model_type="llama", hidden_size=8192, num_hidden_layers=80, num_attention_heads=64, num_key_value_heads=8,
    intermediate_size=28672, vocab_size=128256, tie_word_embeddings=False, max_position_embeddings=131072,
)  # fmt: skip
MOE = dict(
    model_type="mixtral", hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
    intermediate_size=14336, vocab_size=32000, num_local_experts=8, num_experts_per_tok=2, sliding_window=None,
)  # fmt: skip
MLA = dict(
    model_type="deepseek_v3", hidden_size=7168, num_hidden_layers=61, num_attention_heads=128, num_key_value_heads=128,
    intermediate_size=18432, vocab_size=129280, q_lora_rank=1536, kv_lora_rank=512, qk_rope_head_dim=64,
    qk_nope_head_dim=128, v_head_dim=128, n_routed_experts=256, num_experts_per_tok=8, n_shared_experts=1,
    moe_intermediate_size=2048, first_k_dense_replace=3, moe_layer_freq=1, num_nextn_predict_layers=1,
    tie_word_embeddings=False, quantization_config=dict(quant_method="fp8"),
)  # fmt: skip
WINDOWED = dict(
    model_type="gemma3", quantization_config=None, text_config=dict(
        model_type="gemma3_text", hidden_size=5376, num_hidden_layers=62, num_attention_heads=32, head_dim=128,
        num_key_value_heads=16, intermediate_size=21504, vocab_size=262208, sliding_window=1024,
        sliding_window_pattern=6,
    ),
)  # fmt: skip


def test_a_dense_model_is_read_from_its_config():
    found = catalog.model_from_config(DENSE, "llama-3.1-70b")
    attention = 8192 * 128 * (2 * 64 + 2 * 8)  # queries and output, keys and values
    layers = 80 * (attention + 3 * 8192 * 28672)
    assert found["total_params"] == found["active_params"] == layers + 2 * 128256 * 8192 == 70_552_387_584
    assert (found["d_head"], found["n_kv_heads"], found["d_ff"]) == (128, 8, 28672)
    assert (found["published_weight_bits"], found["max_context_tokens"], found["n_window_layers"]) == (16, 131072, 0)


def test_a_moe_model_is_read_from_its_config():
    found = catalog.model_from_config(MOE, "mixtral-8x7b")
    shared = 32 * (4096 * 128 * (2 * 32 + 2 * 8) + 4096 * 8) + 2 * 32000 * 4096  # attention and router; embeddings
    expert = 32 * 3 * 4096 * 14336
    assert found["total_params"] == shared + 8 * expert == 46_702_526_464
    assert found["active_params"] == shared + 2 * expert == 12_879_659_008
    assert (found["n_moe_layers"], found["d_ff"], found["d_ff_expert"]) == (32, 0, 14336)


def test_an_mla_model_is_read_from_its_config():
    found = catalog.model_from_config(MLA, "deepseek-v3")
    queries = 7168 * 1536 + 1536 * 128 * (128 + 64)
    cache = 7168 * (512 + 64) + 512 * 128 * (128 + 128)
    attention = 61 * (queries + cache + 128 * 128 * 7168)
    dense, expert = 3 * 3 * 7168 * 18432, 58 * 3 * 7168 * 2048
    fixed = attention + dense + expert + 58 * 7168 * 256 + 2 * 129280 * 7168  # + shared expert, router, embeddings
    assert found["total_params"] == fixed + 256 * expert == 671_025_397_760
    assert found["active_params"] == fixed + 8 * expert == 37_551_276_032
    assert (found["kv_lora_rank"], found["d_rope"], found["d_nope"], found["d_value"]) == (512, 64, 128, 128)
    assert (found["published_weight_bits"], found["mtp_layers"], found["n_moe_layers"]) == (8, 1, 58)


def test_a_windowed_multimodal_model_is_read_from_its_text_config():
    found = catalog.model_from_config(WINDOWED, "gemma-3-27b")
    layer = 5376 * 128 * (2 * 32 + 2 * 16) + 3 * 5376 * 21504
    assert found["total_params"] == 62 * layer + 262208 * 5376  # tied embeddings
    assert (found["window_tokens"], found["n_window_layers"]) == (1024, 52)  # every sixth of 62 layers sees all
    assert found["tied_embeddings"] == 1


@pytest.mark.parametrize(
    "changes, field, expected",
    [
        (dict(sliding_window=4096), "n_window_layers", 80),
        (dict(sliding_window=128, layer_types=["sliding_attention", "full_attention"] * 40), "n_window_layers", 40),
        (dict(sliding_window=4096, use_sliding_window=False), "n_window_layers", 0),
        (dict(sliding_window=4096, use_sliding_window=True, max_window_layers=60), "n_window_layers", 20),
        (dict(attention_chunk_size=8192, no_rope_layers=[1, 1, 1, 0] * 20), "n_window_layers", 60),
        (dict(num_experts=64, num_experts_per_tok=4, decoder_sparse_step=2), "n_moe_layers", 40),
        (dict(num_experts=64, num_experts_per_tok=4, mlp_only_layers=[0, 1]), "n_moe_layers", 78),
        (dict(num_experts=64, num_experts_per_tok=4, moe_layer_freq=[0] * 8 + [1] * 72), "n_moe_layers", 72),
        (dict(num_experts=64, num_experts_per_tok=4, shared_expert_intermediate_size=512), "d_ff_shared", 512),
        (dict(num_local_experts=64, num_experts_per_tok=1, interleave_moe_layer_step=2), "n_shared_experts", 1),
        (dict(quantization_config=dict(quant_method="mxfp4")), "published_weight_bits", 4.25),
        (dict(quantization_config=dict(quant_method="awq", bits=4, group_size=128, zero_point=True)),
         "published_weight_bits", 4.15625),  # a 16-bit scale and a 4-bit zero point for 128 weights
        (dict(quantization_config=dict(quant_method="compressed-tensors", config_groups=dict(
            group_0=dict(weights=dict(num_bits=4, group_size=32))))), "published_weight_bits", 4.5),
        (dict(quantization_config=dict(quant_method="modelopt", quant_algo="NVFP4")), "published_weight_bits", 4.5),
        (dict(torch_dtype="float32"), "published_weight_bits", 32),
    ],
)  # fmt: skip
def test_variants_of_the_config_are_understood(changes, field, expected):
    assert catalog.model_from_config(DENSE | changes, "m")[field] == expected


def test_linear_attention_layers_keep_a_state():
    linear = dict(
        layer_types=["linear_attention"] * 60 + ["full_attention"] * 20, linear_num_key_heads=16,
        linear_num_value_heads=32, linear_key_head_dim=128, linear_value_head_dim=128, linear_conv_kernel_dim=4,
    )  # fmt: skip
    found = catalog.model_from_config(DENSE | linear, "m")
    assert found["n_linear_layers"] == 60
    assert found["linear_state_bytes"] == 2 * 32 * 128 * 128 + 2 * 3 * (2 * 16 * 128 + 32 * 128)  # state, convolution


@pytest.mark.parametrize(
    "config, said",
    [
        ({k: v for k, v in DENSE.items() if k != "vocab_size"}, "config.json of 'm' lacks 'vocab_size'"),
        ({k: v for k, v in MOE.items() if k != "num_experts_per_tok"}, "lacks 'num_experts_per_tok'"),
        ({k: v for k, v in MLA.items() if k != "v_head_dim"}, "lacks 'v_head_dim'"),
        (
            DENSE | dict(model_type="jamba", mamba_d_state=16),
            "unknown architecture 'jamba' of 'm': no field for 'mamba_d",
        ),
        (DENSE | dict(quantization_config=dict(quant_method="quip")), "unknown quant_method 'quip' of 'm'"),
        ("nowhere/config.json", "cannot read config.json of 'm'"),
    ],
)
def test_a_config_that_cannot_be_read_names_the_key(config, said):
    with pytest.raises(ValueError) as found:
        catalog.model_from_config(config, "m")
    assert said in str(found.value) and "\n" not in str(found.value)


def test_a_model_is_added_to_a_folder_of_ones_own(shipped, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(MOE))
    folder = tmp_path / "mine"
    catalog.add_model(tmp_path / "config.json", "mixtral-8x7b", folder, date="2023-12-11")
    catalog.add_model(DENSE, "llama-3.1-70b", folder, url="https://maker.example/config.json", date="2024-07-23")
    catalog.add_model(DENSE | dict(vocab_size=1000), "llama-3.1-70b", folder, date="2024-07-23")
    catalog.overlay(folder)
    assert catalog.table("model").ids == ("llama-3.1-70b", "guess-1t", "mixtral-8x7b")
    assert cell("model", "llama-3.1-70b", "vocab_size") == 1000
    assert cell("model", "mixtral-8x7b", "n_experts") == 8
    assert catalog.fact("model", "mixtral-8x7b", "d_model").source == "config-mixtral-8x7b"


# --- the shipped catalog


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setattr(catalog, "_overlays", ())
    catalog.overlay(None)


def test_the_shipped_catalog_passes_its_own_checks(real):
    catalog.check()
    assert all(len(catalog.table(kind).ids) for kind in catalog.KINDS)


def test_the_shipped_catalog_loads_in_a_fifth_of_a_second(real):
    def load():
        catalog.overlay(None)
        start = time.process_time()
        for kind in catalog.KINDS:
            catalog.table(kind)
        return time.process_time() - start

    assert min(load() for _ in range(5)) < 0.2


def test_the_pages_of_the_data_folder_are_current():
    folder = catalog.data_dir()
    assert (folder / "README.md").read_text(encoding="utf-8") == data_pages.readme(), "python -m infertco.data_pages"
    assert (folder / "LICENSE.md").read_text(encoding="utf-8") == data_pages.license(folder)


def test_every_parameter_is_explained_in_the_data_page():
    page = data_pages.readme()
    assert all(f"| `{p}` | {spec['unit']} |" in page for ps in vocabulary.PARAMETERS.values() for p, spec in ps.items())
    assert all(spec["help"] for ps in vocabulary.PARAMETERS.values() for spec in ps.values())


def test_nearest_is_silent_where_nothing_is_near():
    assert facts.nearest("qqq", ["h100-sxm"]) == "." and facts.nearest("x", []) == "."
