"""lessons/wiring_experiment.py: what is measured, what is written down, and how it goes on."""

import importlib.util
import re
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from helpers.batching import collate
from helpers.corpora.multi30k import Multi30k, Unavailable
from helpers.corpora.toy import splits
from helpers.corpora.toy_nested import nested_splits
from helpers.lessons.wiring_experiment import (
    RATE,
    SPEAKERS,
    Row,
    gradients,
    longer,
    on_corpus,
    on_multi30k,
    on_nested,
    read_rows,
    read_said,
    run,
    write_rows,
)
from helpers.lessons.wirings import WIRINGS, WiredTransformer, build
from helpers.transformer import TransformerConfig
from tests.support import ROOT
from tools import notebooks as tools

SMALL = on_corpus(splits(train=200, validation=60, test=20))
CONFIG = TransformerConfig(24, 16, 4, 32, 3, 3, dropout=0.0, norm_first=True, max_length=32)


def built(wiring):
    torch.manual_seed(0)
    return build(wiring, CONFIG).double().eval()


def test_gradients_see_who_is_connected():
    batch = collate([([5, 6, 7], [8, 9]), ([10, 11, 12], [13, 14])])
    by_position, encoder, decoder = gradients(built("full"), batch)
    assert by_position.shape == (4,) and (by_position > 0).all() and encoder > 0 and decoder > 0
    by_position, encoder, decoder = gradients(built("none"), batch)
    assert (by_position == 0).all() and encoder == 0 and decoder > 0


def test_a_longer_task_has_four_times_the_budget_and_another_name():
    more = longer(SMALL)
    assert more.steps == 4 * SMALL.steps and more.name == "corpus longer"
    assert more.train is SMALL.train and more.references is SMALL.references


@pytest.mark.slow
def test_a_run_is_repeatable_and_its_table_survives_the_file(tmp_path):
    first, second = (run("mean", 3, SMALL, steps=6) for _ in range(2))
    assert first == second
    other = run("mean", 3, SMALL, steps=6, rate=1e-2)
    assert {r.rate for r in other} == {1e-2} and len(other) == len(first)
    assert [r.value for r in other] != [r.value for r in first]
    path = tmp_path / "rows.csv"
    write_rows(path, first, ["command: a test"])
    rows, comments = read_rows(path)
    assert comments == ["command: a test"] and len(rows) == len(first)
    for row, wanted in zip(rows, first, strict=True):
        assert row.value == pytest.approx(wanted.value, rel=1e-4, abs=1e-6)
    with pytest.raises(FileNotFoundError, match="make experiment"):
        read_rows(tmp_path / "absent.csv")


@pytest.mark.slow
def test_an_unknown_wiring_is_an_error_and_one_of_your_own_is_trained():
    with pytest.raises(ValueError, match="wiring must be one of .* got 'my mean'"):
        run("my mean", 0, SMALL, steps=4)

    class OnlyTheFirstWord(WiredTransformer):
        def encode(self, source_ids):
            memory, mask = super().encode(source_ids)
            return memory[:, :, :1], mask[..., :1]

    made = []

    def mine(wiring, config):
        made.append(OnlyTheFirstWord(config, "full"))
        return made[-1]

    rows = run("my mean", 0, SMALL, steps=4, model_of=mine)
    assert {r.wiring for r in rows} == {"my mean"} and len(made) == 1
    full = run("full", 0, SMALL, steps=4)
    losses = [[r.value for r in x if r.measure == "validation_loss"] for x in (rows, full)]
    assert losses[0] != losses[1]
    assert not made[0].training  # it is the very model that was trained


@pytest.mark.slow
def test_exercise_5s_beginning_runs_and_trains_what_it_defines(monkeypatch):
    notebook = tools.read(next(tools.NOTEBOOKS.glob("11*.ipynb")))
    (cell,) = [c for c in notebook.cells if "class FirstWordOnly" in c.source]
    code = re.search(r"```python\n(class FirstWordOnly.*?)```", cell.source, re.DOTALL).group(1)
    built = []

    class Watched(WiredTransformer):
        def encode(self, source_ids):
            memory, mask = super().encode(source_ids)
            built.append(memory.shape[2])
            return memory, mask

    short = partial(run, steps=2)
    names = dict(WiredTransformer=Watched, run=short, on_corpus=lambda _: SMALL, splits=int)
    exec(code, names)
    assert {r.wiring for r in names["mine"]} == {"first word"} and max(built) > 1
    memory, mask = names["FirstWordOnly"](SMALL.config, "full").encode(torch.tensor([[5, 6, 7]]))
    assert memory.shape[2] == mask.size(-1) == 1


@pytest.mark.slow
def test_long_sentences_and_real_ones_are_tasks_too():
    long = on_nested(nested_splits(train=40, validation=10, test=10))
    assert long.config.d_model == 32 and long.config.num_decoder_layers == 4
    pairs = [(p.source_text, p.target_text) for p in splits(train=400, validation=8, test=8).train]
    real = on_multi30k(Multi30k(pairs[:380], pairs[380:390], pairs[390:]))
    for task, scores in ((long, {"exact_match", "bleu"}), (real, {"bleu", "chrf"})):
        assert min(low for low, _ in task.lengths) == 1 and max(task.counts) < 99
        rows = run("first only", 0, task, steps=2)
        assert {r.task for r in rows} == {task.name}
        measures = {r.measure for r in rows}
        assert measures == {"parameters", "validation_loss", *scores}
    assert real.written("a small dog") == "a small dog" and real.references[0].islower()


def test_the_committed_table_has_every_wiring_with_three_seeds():
    rows, comments = read_rows()
    corpus = {(r.wiring, r.seed) for r in rows if (r.task, r.rate) == ("corpus", RATE)}
    assert corpus == {(w, s) for w in WIRINGS for s in (0, 1, 2)}
    assert comments[1].startswith("command: ") and "torch" in comments[-1]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks/experiment.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    return bench


def test_an_experiment_goes_on_where_it_stopped(bench, tmp_path, monkeypatch):
    for wiring in WIRINGS:
        rows = [Row("corpus", wiring, RATE, 0, "exact_match", "all", 0.5)]
        write_rows(bench.finished(("corpus", wiring, RATE, 0)), rows)
    output = tmp_path / "written" / "table.csv"
    output.parent.mkdir()
    arguments = ["experiment", "--task", "corpus", "--rates", str(RATE), "--seeds", "0"]
    arguments += ["--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()  # nothing is left to run: it only puts the table together
    assert [r.wiring for r in read_rows(output)[0]] == list(WIRINGS)


def test_the_table_keeps_other_runs_and_leaves_out_gradients_at_other_rates(bench, tmp_path):
    jobs = [("multi30k", "full", RATE, 1), ("corpus", "mean", 1e-2, 0), ("corpus", "full", RATE, 0)]
    for job in jobs:
        measures = ("bleu", "encoder_gradient")
        write_rows(bench.finished(job), [Row(*job, m, "all", 1.0) for m in measures])
    output = tmp_path / "written" / "table.csv"
    output.parent.mkdir()
    bench.write(output)
    rows, comments = read_rows(output)
    assert comments[1] == "command: python -m benchmarks.experiment"
    found = [(r.task, r.wiring, r.rate, r.seed, r.measure) for r in rows]
    assert found == [
        (*jobs[2], "bleu"),
        (*jobs[2], "encoder_gradient"),
        (*jobs[1], "bleu"),
        (*jobs[0], "bleu"),
        (*jobs[0], "encoder_gradient"),
    ]


def test_numbers_of_a_task_that_cannot_be_run_here_stay_in_the_table(bench, tmp_path, monkeypatch):
    def absent():
        raise Unavailable("no network")

    monkeypatch.setattr(bench.multi30k, "load", absent)
    assert not bench.at_hand("multi30k") and bench.at_hand("corpus")
    output = tmp_path / "written" / "table.csv"
    output.parent.mkdir()
    old = [Row("multi30k", "full", RATE, 0, "bleu", "all", 9.0)]
    write_rows(output, [Row("corpus", "full", RATE, 0, "bleu", "all", 1.0), *old])
    new = [Row("corpus", "mean", RATE, 0, "bleu", "all", 2.0)]
    write_rows(bench.finished(("corpus", "mean", RATE, 0)), new)
    bench.write(output)
    assert read_rows(output)[0] == new + old


def test_a_few_translations_are_kept_beside_the_table(bench, tmp_path, monkeypatch):
    pairs = [("ein " * n + "ende", f"A sentence of {n + 1}") for n in (3, 11, 12, 20, 13, 11)]
    monkeypatch.setattr(bench.multi30k, "load", lambda: Multi30k([], [], pairs))
    output = tmp_path / "written" / "said.csv"
    output.parent.mkdir()
    for wiring in SPEAKERS[:2]:
        said = "".join(f"{wiring} {i}\n" for i in range(len(pairs)))
        bench.translated(("multi30k", wiring, RATE, 0)).write_text(said)
    bench.write_said(output)
    assert not output.exists()  # one of the three has not been run
    bench.translated(("multi30k", SPEAKERS[2], RATE, 0)).write_text("one\n" * len(pairs))
    bench.write_said(output)
    said = read_said(output)
    assert [r["by"] for r in said] == ["German", "human", *SPEAKERS] * 3
    assert [r["text"] for r in said if r["by"] == "full"] == ["full 1", "full 2", "full 4"]
    assert said[1]["text"] == "a sentence of 12"
    assert {r["by"] for r in read_said()} == {"German", "human", *SPEAKERS}  # what is committed


def test_the_plan_is_what_the_committed_table_holds(bench):
    ask = SimpleNamespace(task=list(bench.TASKS), wirings=None, rates=None)
    ask.seeds = [0, 1, 2]
    jobs = bench.jobs_of(ask)
    rows, _ = read_rows()
    assert {(r.task, r.wiring, r.rate, r.seed) for r in rows} == set(jobs)
    assert len(jobs) == len(set(jobs)) and [j[3] for j in jobs] == sorted(j[3] for j in jobs)
    ask.task, ask.wirings, ask.rates = ["nested"], ["mean"], [1e-2]
    assert bench.jobs_of(ask) == [("nested", "mean", 1e-2, s) for s in (0, 1, 2)]
