"""The command line: parameters are checked first, work ends with 0, the user's mistakes with one line and 2."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

import infertco as ic
from infertco import cli, values

HEAD = "item,parameter,value,unit,low,high,source,date,confidence,note"


@pytest.fixture(autouse=True)
def no_overlay(monkeypatch):
    """An overlay laid by one test does not outlive it."""
    monkeypatch.setenv("INFERTCO_DATA", "")
    yield
    ic.catalog.overlay(None)


@pytest.fixture
def run(capsys):
    """Run a command in this process: (exit status, stdout, stderr)."""

    def command(*args):
        status = 0
        try:
            cli.main([str(arg) for arg in args])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status or 0, out, err

    return command


@pytest.fixture
def fails(run):
    """Run a command that must end with 2 and one line on stderr, which is returned."""

    def command(*args):
        status, out, err = run(*args)
        assert (status, out, err.count("\n")) == (2, "", 1), (status, out, err)
        assert "Traceback" not in err
        return err

    return command


# ---------------------------------------------------------------- what was typed
@pytest.mark.parametrize(
    "name, typed, meant",
    [
        ("batch", "64", 64),
        ("usd_per_kwh", "7e-2", 0.07),
        ("peak_flop_per_s_bf16", "1e15", 1e15),
        ("weight_bits", "4.25", 4.25),
        ("weight_bits", "none", None),
        ("tpot_slo_s", "", None),
        ("batch", None, None),
        ("chip", "h100-sxm", "h100-sxm"),
        ("engine", "vllm", "vllm"),
        ("chips", "h100-sxm, mi300x", ["h100-sxm", "mi300x"]),
        ("chips", ["h100-sxm"], ["h100-sxm"]),
        ("as_of", "2025-06", "2025-06"),
        ("as_of", 2025, "2025"),
    ],
)
def test_what_is_typed_becomes_what_is_meant(name, typed, meant):
    assert cli.parsed(name, typed) == meant


def test_every_field_can_be_typed():
    for name in values.FIELDS:
        assert cli.parameters([f"{name}=1"]) == {name: "1" if name in values.TEXTS else 1}


def test_what_is_typed_goes_before_the_file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("chip: mi300x\nbatch: 8\nchips: [h100-sxm, mi300x]\nas_of: 2026-01-01\nttft_slo_s:\n")
    asked = cli.parameters(["batch=64"], str(file))
    assert asked == dict(chip="mi300x", batch=64, chips=["h100-sxm", "mi300x"], as_of="2026-01-01", ttft_slo_s=None)


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    "pair, said",
    [
        ("chp=h100-sxm", "unknown field 'chp'; did you mean 'chip'?"),
        ("chip=h10O-sxm", "unknown chip 'h10O-sxm'; did you mean 'h100-sxm'?"),
        ("chips=h100-sxm,h10O-sxm", "unknown chip 'h10O-sxm'; did you mean 'h100-sxm'?"),
        ("batch=many", "batch must be a number from 0 to 1e+07, got 'many'"),
        ("hbm_bytes_per_s=-3", "hbm_bytes_per_s must be above 0 and finite, got -3"),
        ("batch=inf", "batch must be"),
        ("ownership=stolen", "ownership"),
        ("batch=8,16", "batch must be a number"),
        ("chips=h100-sxm,", "chips must be ids with commas between them"),
        ("batch", "-p takes field=value, got 'batch'"),
        ("as_of=yesterday", "as_of must be"),
        ("name=x", "name"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_a_wrong_parameter_is_one_line_that_says_what_is_allowed(fails, command, pair, said):
    assert said in fails(command, "-p", pair)


@pytest.mark.parametrize(
    "args, said",
    [
        (["evaluat"], "No such command 'evaluat'"),
        (["evaluate", "--fromat", "csv"], "No such option"),
        (["evaluate", "--format", "xml"], "'xml' is not one of"),
        (["evaluate", "-p", "batch=1", "-p", "clients=2"], "only one of batch, clients"),
        (["evaluate", "--params", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["evaluate", "--data", "nowhere"], "nowhere"),
        (["report", "brifing"], "did you mean 'briefing'?"),
        (["report", "--to", "docx"], "unknown format 'docx'"),
        (["report", "--grid", "nowhere.csv"], "nowhere.csv: No such file or directory"),
        (["catalog", "chips", "h10O-sxm"], "unknown chip 'h10O-sxm'; did you mean 'h100-sxm'?"),
        (["catalog", "chip"], "'chip' is not one of"),
        (["catalog", "links", "nowhere"], "unknown item 'nowhere'"),
        (["catalog", "chips", "-p", "batch=1"], "unknown parameter of the catalog 'batch'"),
        (["catalog", "sources", "nowhere"], "unknown source 'nowhere'"),
        (["sweep", "nowhere.yaml", "--out", "x"], "nowhere.yaml: No such file or directory"),
        (["sweep", "spec.yaml"], "Missing option '--out'"),
    ],
)
def test_a_wrong_command_is_one_line_too(fails, args, said):
    assert said in fails(*args)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", "\xff", "batch: {a: 1}", "batch: [1, 2]"])
def test_a_wrong_parameter_file_is_one_line(fails, tmp_path, content):
    file = tmp_path / "p.yaml"
    file.write_bytes(content.encode("latin-1"))
    assert "p.yaml" in (said := fails("evaluate", "--params", file)) or "batch must be one value" in said


def test_a_bad_unit_in_the_users_own_data_is_named_by_file_and_line(fails, tmp_path):
    file = tmp_path / "chips.csv"
    file.write_text(f"{HEAD}\nmine,hbm_bytes,80,GBB,,,driver-logs,2026,press,\n")
    assert "chips.csv:2: unknown unit 'GBB'" in fails("evaluate", "--data", tmp_path)


def test_a_wrong_row_of_a_grid_is_found_before_anything_runs(fails, tmp_path):
    grid = tmp_path / "params.csv"
    grid.write_text("chip,batch\nh100-sxm,8\nh100-sxm,-8\n")
    out = tmp_path / "out"
    assert "batch must be" in fails("report", "--grid", grid, "--out", out)
    assert not out.exists()


def test_an_unknown_report_parameter_is_found_before_anything_runs(fails, tmp_path):
    assert "did you mean 'chip'?" in fails("report", "-p", "chp=h100-sxm", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["report", "sweep"])
def test_an_output_folder_that_cannot_be_written_is_one_line(fails, tmp_path, command):
    (tmp_path / "file").write_text("")
    (tmp_path / "spec.yaml").write_text("axes: {batch: [1]}\noutputs: [tpot_s]\n")
    name = tmp_path / "spec.yaml" if command == "sweep" else "briefing"
    assert "file" in fails(command, name, "--out", tmp_path / "file" / "out")


# ---------------------------------------------------------------- report
def test_report_hands_over_what_it_checked_and_names_what_was_written(run, monkeypatch, tmp_path):
    from infertco.views import report

    seen = []
    monkeypatch.setattr(report, "build", lambda *args: seen.append(args) or [tmp_path / "briefing.html"])
    (tmp_path / "p.yaml").write_text("batch: 8\nsite: nordics\n")
    asked = ["-p", "chips=h100-sxm,mi300x", "-p", "batch=16", "--params", tmp_path / "p.yaml", "--to", "html"]
    assert run("report", *asked, "--out", tmp_path) == (0, f"{tmp_path / 'briefing.html'}\n", "")
    parameters = dict(batch=16, site="nordics", chips=["h100-sxm", "mi300x"])
    assert seen == [("briefing", parameters, ["html"], str(tmp_path), None)]


# ---------------------------------------------------------------- evaluate
def test_the_default_scenario_as_a_table(run):
    status, out, err = run("evaluate")
    lines = {line.split()[0].rstrip(":"): line for line in out.splitlines()}
    assert (status, err) == (0, "")
    assert "h100-sxm" in lines["chip"]
    assert "ms (" in lines["tpot_s"] and "$" in lines["usd_per_mtok"]
    assert {"tokens_per_usd", "provisioned_j_per_request", "weak"} <= set(lines)
    assert not [name for name in lines if name.endswith(("_low", "_high"))]


def test_csv_and_json_are_the_row_that_python_gives(run):
    row = ic.evaluate(ic.scenario(chip="mi300x", batch=16))
    asked = ["evaluate", "-p", "chip=mi300x", "-p", "batch=16", "--format"]
    table = pd.read_csv(StringIO(run(*asked, "csv")[1]))
    assert list(table) == list(row)
    assert table["tpot_s"][0] == pytest.approx(row["tpot_s"][0], rel=1e-12)
    plain = json.loads(run(*asked, "json")[1])
    assert list(plain) == list(row)
    assert plain["tpot_s"] == row["tpot_s"][0]
    assert plain["meets_slo"] is bool(row["meets_slo"][0])


def test_plurals_are_scenarios_side_by_side(run):
    asked = ["evaluate", "-p", "chips=h100-sxm,mi300x", "-p", "batch=8"]
    rows = json.loads(run(*asked, "--format", "json")[1])
    assert [row["chip"] for row in rows] == ["h100-sxm", "mi300x"]
    assert run(*asked)[1].splitlines()[0].split() == ["chip", "h100-sxm", "mi300x"]


def test_an_infeasible_scenario_is_an_answer(run):
    asked = ["evaluate", "-p", "chip=l4", "-p", "tensor_parallel=1"]
    status, out, err = run(*asked, "--format", "json")
    row = json.loads(out)
    assert (status, err, row["tpot_s"], row["fits_memory"]) == (0, "", None, False)
    assert row["reason"]
    assert f"reason: {row['reason']}\n" in run(*asked)[1]


def test_the_users_own_facts_are_used_and_named_for_the_process_of_a_report(run, tmp_path):
    (tmp_path / "chips.csv").write_text(f"{HEAD}\nh100-sxm,chip_usd,20,USD,,,own,2026-11,press,\n")
    source = "key,kind,title,url,accessed,terms\nown,press,Own,https://example.org/prices,2026-11-01,facts only\n"
    (tmp_path / "sources.csv").write_text(source)
    dear = json.loads(run("evaluate", "--format", "json")[1])["usd_per_mtok"]
    status, out, err = run("evaluate", "--format", "json", "--data", tmp_path)
    assert (status, err) == (0, "")
    assert json.loads(out)["usd_per_mtok"] < dear
    assert os.environ["INFERTCO_DATA"] == str(tmp_path)


# ---------------------------------------------------------------- sweep
def test_a_sweep_is_written_as_csv_and_nothing_else(run, tmp_path):
    spec = tmp_path / "study.yaml"
    spec.write_text("base: {workload: chat}\naxes: {chip: [h100-sxm, mi300x], batch: [1, 8]}\noutputs: [tpot_s]\n")
    status, out, err = run("sweep", spec, "--out", tmp_path / "new" / "out")
    table = pd.read_csv(tmp_path / "new/out/study.csv")
    asked = ic.sweep(ic.scenario(workload="chat"), chip=["h100-sxm", "mi300x"], batch=[1, 8], outputs=["tpot_s"])
    assert (status, err) == (0, "")
    assert "study.csv: 4 rows" in out
    assert list(table) == list(asked)
    assert table["tpot_s"].to_numpy() == pytest.approx(asked["tpot_s"].to_numpy())
    assert [path.name for path in (tmp_path / "new/out").iterdir()] == ["study.csv"]


@pytest.mark.parametrize(
    "spec, said",
    [
        ("axis: {batch: [1]}", "unknown entry 'axis'; did you mean 'axes'?"),
        ("axes: {btch: [1]}", "unknown field 'btch'; did you mean 'batch'?"),
        ("axes: {batch: [1, some]}", "batch must be a number"),
        ("axes: {batch: [1, -1]}", "batch must be"),
        ("axes: [batch]", "axes must hold lines of `name: value`"),
        ("base: {chips: [h100-sxm]}", "unknown field 'chips'; did you mean 'chip'?"),
        ("axes: {batch: [1]}\noutputs: [tpot]", "tpot"),
        ("axes: {batch: [1]}\noutputs: [5]", "5"),
        ("axes: {batch: [1]}\noutputs: 5", "outputs must be a list of columns or 'all', got 5"),
    ],
)
def test_a_wrong_spec_is_one_line_and_leaves_nothing_behind(fails, tmp_path, spec, said):
    (tmp_path / "spec.yaml").write_text(spec)
    assert said in fails("sweep", tmp_path / "spec.yaml", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- validate
MEASURED = """source_id,hardware,n_devices,model,weight_bits,tp,engine,scenario,batch_or_concurrency,input_tokens,output_tokens,metric,value,notes
lab,h100-sxm,8,llama-3.1-70b,16,8,vllm,single-stream,1,128,128,tpot_ms,11.0,"a note, quoted"
lab,h100-sxm,8,llama-3.1-70b,8,8,vllm,concurrency,16,1024,1024,tpot_ms,14.50,
lab,mi300x,8,llama-3.1-70b,16,8,vllm,concurrency,16,1024,1024,ttft_ms,300,
lab,h1000,8,llama-3.1-70b,16,8,vllm,concurrency,16,1024,1024,tpot_ms,14.5,
lab,h100-sxm,8,llama-3.1-70b,16,8,vllm,single-stream,1,,,tpot_ms,11,NaN
"""


@pytest.fixture
def measured(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(MEASURED)
    return file


def lines_of(out, head):
    """The table whose first column has that head, as name: cells."""
    part = out[out.index("\n" + head + " ") + 1 :].split("\n\n")[0].splitlines()
    columns = part[0].removeprefix(head).replace("left out", "left_out").split()
    cells = [line.rsplit(maxsplit=len(columns)) for line in part[1:]]
    return {name: dict(zip(columns, row, strict=True)) for name, *row in cells}


def test_validate_prints_errors_by_task_maker_and_engine(run, measured):
    from infertco.studies import validation

    status, out, err = run("validate", measured)
    assert (status, err) == (0, "")
    table = validation.validate(pd.read_csv(measured))
    by_task = validation.errors(table).set_index("task")
    tasks = lines_of(out, "task")
    assert set(tasks) == {*by_task.index, "all"}
    for task, row in by_task.iterrows():
        assert (tasks[task]["rows"], tasks[task]["scored"]) == (f"{row['rows']:.0f}", f"{row['scored']:.0f}")
        assert tasks[task]["median"] == f"{row['median']:.1f}"
    known = validation.accuracy().query("left_out == 'any'").set_index("task")["median"]
    assert tasks["decode dense"]["left_out"] == f"{known['decode dense']:.1f}"
    assert tasks["all"]["rows"] == "5"
    assert lines_of(out, "maker")["AMD"]["scored"] == "1"
    assert lines_of(out, "serving engine")["vllm"]["rows"] == "5"
    assert {name: row["rows"] for name, row in lines_of(out, "cells").items()} == {"all given": "3", "some assumed": "1", "all": "4"}
    assert "5 rows, 4 scored; 1 not, because\n1  unknown chip 'h1000'\n" in out


def test_validate_writes_the_rows_as_they_were_with_the_predictions_behind(run, measured, tmp_path):
    status, out, err = run("validate", measured, "--out", tmp_path / "new" / "predicted.csv")
    as_text = dict(dtype=str, keep_default_na=False)
    given, made = pd.read_csv(measured, **as_text), pd.read_csv(tmp_path / "new/predicted.csv", **as_text)
    assert (status, err) == (0, "")
    assert "predicted.csv: 5 rows" in out
    assert list(made) == [*given, *cli.PREDICTED]
    pd.testing.assert_frame_equal(made[list(given)], given)
    assert made["scored"].tolist() == ["true", "true", "true", "false", "true"]
    assert made["why_not"].tolist() == ["", "", "", "unknown chip 'h1000'", ""]
    assert made["assumed"].tolist() == ["", "", "", "", "input_tokens;output_tokens"]
    assert made.loc[3, ["predicted", "predicted_low", "predicted_high"]].tolist() == ["", "", ""]
    numbers = made.loc[[0, 1, 2, 4], ["predicted_low", "predicted", "predicted_high"]].astype(float).to_numpy()
    assert (numbers[:, 0] < numbers[:, 1]).all()
    assert (numbers[:, 1] < numbers[:, 2]).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["predicted.csv"]


def test_what_validate_wrote_can_be_validated_again(run, measured):
    first = run("validate", measured, "--out", measured)
    written = measured.read_text()
    assert run("validate", measured, "--out", measured) == first
    assert measured.read_text() == written


def test_only_the_four_needed_columns_are_needed(run, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("hardware,model,metric,value\nh100-sxm,llama-3.1-8b,per_user_tokens_per_s,140\n")
    status, out, err = run("validate", file)
    assert (status, err) == (0, "")
    assert "batch or clients are not published" in out


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "mine.csv: No such file or directory"),
        (b"", "is not a CSV file"),
        (b"\xff\xfe\x00", "is not a CSV file"),
        (b'hardware,model\n"h100', "is not a CSV file"),
        (b"hardware,model\nh100-sxm,llama-3.1-8b\n", "mine.csv: the file has no column 'metric'; needed: hardware, model, metric"),
        (b"hardware,model,metric,value\nh100-sxm,llama-3.1-8b,tpot_ms,fast\n", "mine.csv: row 2: value must be a number, got 'fast'"),
        (b"hardware,model,metric,value,tp\nh100-sxm,llama-3.1-8b,tpot_ms,9,2\nh100-sxm,llama-3.1-8b,tpot_ms,9,two\n", "row 3: tp must be a number, got 'two'"),
        (b"hardware,model,metric,value\nh100-sxm,llama-3.1-8b,tpot_ms\n", "mine.csv: row 2 has 3 cells, expected 4"),
        (b"hardware,model,metric,value,value\n", "a column stands there twice: value"),
    ],
)
def test_a_wrong_file_of_measurements_is_one_line(fails, tmp_path, content, said):
    if content is not None:
        (tmp_path / "mine.csv").write_bytes(content)
    assert said in fails("validate", tmp_path / "mine.csv", "--out", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_many_reasons_are_cut_and_counted(run, tmp_path):
    file = tmp_path / "mine.csv"
    rows = [f"chip-{i},llama-3.1-8b,tpot_ms,9\n" for i in range(cli.MOST_REASONS + 3)]
    file.write_text("hardware,model,metric,value\n" + "".join(rows))
    status, out, _ = run("validate", file)
    assert status == 0
    assert "23 rows, 0 scored; 23 not, because" in out
    assert out.splitlines()[-1].split(maxsplit=1) == ["3", "3 other reasons; see why_not of --out"]


# ---------------------------------------------------------------- calibrate
@pytest.fixture
def calibrated(monkeypatch):
    """What `calibrate` was asked for; the fit itself takes minutes."""
    from infertco.studies import calibration

    seen = []

    def calibrate(out, say):
        seen.append(out)
        say("fitted 3 parameters on 5 rows")
        kinds = ("none", "source", "chip", "model", "any")
        return pd.DataFrame([dict(task="decode dense", left_out=kind, median=10.0 + i) for i, kind in enumerate(kinds)])

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    return seen


def test_calibrate_in_a_clone_writes_the_data(run, calibrated):
    status, out, err = run("calibrate")
    assert (status, err, calibrated) == (0, "", [None])
    assert out.startswith("fitted 3 parameters on 5 rows\n")
    assert "decode dense  10.0        11.0        12.0      13.0       14.0\n" in out
    assert out.endswith(f"{Path(ic.__file__).parents[1] / 'data' / 'efficiency.csv'}\n")


def test_calibrate_installed_needs_a_file(run, fails, calibrated, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "clone", lambda: None)
    assert "name a file with --out" in fails("calibrate")
    assert run("calibrate", "--out", tmp_path / "efficiency.csv")[0] == 0
    assert calibrated == [str(tmp_path / "efficiency.csv")]


@pytest.mark.parametrize("out", ["nowhere/efficiency.csv", ""])
def test_calibrate_finds_a_wrong_place_before_it_works(fails, calibrated, tmp_path, out):
    assert "its folder must exist" in fails("calibrate", "--out", tmp_path / out)
    assert calibrated == []


# ---------------------------------------------------------------- catalog
@pytest.mark.parametrize("kind", cli.LISTED)
def test_the_catalog_lists_every_kind(run, kind):
    status, out, err = run("catalog", kind)
    assert (status, err) == (0, "")
    assert out.splitlines()


def test_a_chip_is_its_facts_with_source_date_and_confidence(run):
    out = run("catalog", "chips", "h100-sxm")[1]
    fact = ic.catalog.fact("chip", "h100-sxm", "hbm_bytes")
    (line,) = [line for line in out.splitlines() if line.startswith("hbm_bytes ")]
    for part in (fact.printed_value, fact.printed_unit, fact.source, fact.date, fact.confidence):
        assert part in line


@pytest.mark.parametrize("kind, item", [("models", "llama-3.1-70b"), ("workloads", "chat"), ("sites", "us-average")])
def test_the_other_kinds_show_an_item_too(run, kind, item):
    status, out, _ = run("catalog", kind, item)
    assert status == 0
    assert out.split()[0] == "parameter"
    assert len(out.splitlines()) > 2


@pytest.mark.parametrize("kind", ["links", "demand", "apis", "sites", "finance", "efficiency"])
def test_every_named_fact_can_be_shown(run, kind):
    item = run("catalog", kind)[1].splitlines()[-1].split()[0]
    status, out, err = run("catalog", kind, item)
    assert (status, err, out.split()[0]) == (0, "", "parameter")


# ---------------------------------------------------------------- lab
@pytest.fixture
def opened(monkeypatch):
    """What `lab` would have become."""
    seen = []
    monkeypatch.setattr(cli.os, "execv", lambda file, args: seen.append(args[1:]))
    return seen


def test_lab_in_a_clone_opens_the_notebooks_where_they_are(run, opened):
    assert run("lab")[0] == 0
    assert opened == [["-m", "jupyterlab", str(Path(ic.__file__).parents[1] / "notebooks")]]


def test_lab_elsewhere_copies_the_notebooks_and_keeps_what_differs(run, opened, monkeypatch, tmp_path):
    installed = tmp_path / "site" / "infertco"
    (installed / "notebooks").mkdir(parents=True)
    (installed / "notebooks" / "00_one.ipynb").write_text("one")
    (installed / "notebooks" / "01_two.ipynb").write_text("two")
    monkeypatch.setattr(ic.catalog, "data_dir", lambda: installed / "data")
    monkeypatch.chdir(tmp_path)
    assert run("lab") == (0, "", "")
    mine = tmp_path / "infertco-notebooks"
    assert sorted(path.name for path in mine.iterdir()) == ["00_one.ipynb", "01_two.ipynb"]
    (mine / "01_two.ipynb").write_text("changed")
    status, _, err = run("lab", mine)
    assert "01_two.ipynb: kept, though it differs" in err
    assert "00_one" not in err
    assert (mine / "01_two.ipynb").read_text() == "changed"
    assert opened == [["-m", "jupyterlab", "infertco-notebooks"], ["-m", "jupyterlab", str(mine)]]


# ---------------------------------------------------------------- the process itself
def test_help_lists_the_commands_and_no_command_is_help(run):
    out = run()[1]
    assert out == run("--help")[1]
    assert [line.split()[0] for line in out.split("Commands:")[1].splitlines() if line] == sorted(cli.cli.commands)


def test_the_module_runs_and_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m infertco.cli catalog chips | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    command = [sys.executable, "-m", "infertco.cli", "evaluate", "-p", "x=1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "content, said",
    [
        ("demand:\n  - {demand: a, demand_requests_per_s: 1, worklod: chat}\n", "demand has no field 'worklod'; did you mean 'workload'?"),
        ("demand:\n  - {demand: a, workload: chat}\n", "demand needs demand_requests_per_s"),
        ("power_cap_w: -1\n", "power_cap_w must be at least 0 and at most 1e+12, got -1"),
        ("power_cap: 1\n", "unknown field 'power_cap'"),
        ("training_need_chips: [64, x]\n", "training_need_chips must be a number, got 'x'"),
        ("power_cap_w: [1.0e+6, -3]\n", "power_cap_w must be at least 0 and at most 1e+12, got -3"),
        ("usd_per_kwh: [0.1, 0.2]\n", "usd_per_kwh must be one value"),
        ("supply: {b200: 5}\n", "unknown chip 'b200'; did you mean 'b200-sxm'?"),
        ("supply: 5\n", "supply must hold lines of `chip: number`, got 5"),
        ("site_power_w: {sweden: lots}\n", "site_power_w of 'sweden' must be a number of at least 0, got 'lots'"),
    ],
)
def test_a_bad_line_of_a_tiering_file_is_told_before_anything_runs(content, said, tmp_path, capsys):
    (tmp_path / "case.yaml").write_text(content)
    with pytest.raises(SystemExit) as left:
        cli.main(["report", "tiering", "--params", str(tmp_path / "case.yaml"), "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert left.value.code == 2 and error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert said in error


def test_a_series_with_a_gap_is_told_before_anything_runs(tmp_path, capsys):
    (tmp_path / "own.csv").write_text("month,users\n2024-01,5\n2024-03,6\n")
    with pytest.raises(SystemExit) as left:
        cli.main(["report", "pivot", "-p", f"series={tmp_path / 'own.csv'}", "--out", str(tmp_path / "out")])
    assert left.value.code == 2 and "2024-02 is missing" in capsys.readouterr().err
