"""lessons/wiring_experiment.py: what is measured, what is written down, and how it goes on."""

import importlib.util
import sys

import pytest
import torch

from helpers.batching import collate
from helpers.corpora.toy import splits
from helpers.lessons.wiring_experiment import Row, gradients, read_rows, run, write_rows
from helpers.lessons.wirings import WIRINGS, build
from helpers.transformer import TransformerConfig
from tests.support import ROOT

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


@pytest.mark.slow
def test_a_run_is_repeatable_and_its_table_survives_the_file(tmp_path):
    data = splits(train=200, validation=60, test=20)
    first, second = (run("mean", 3, data, steps=6, max_tokens=256) for _ in range(2))
    assert first == second
    path = tmp_path / "rows.csv"
    write_rows(path, first, ["command: a test"])
    rows, comments = read_rows(path)
    assert comments == ["command: a test"] and len(rows) == len(first)
    for row, wanted in zip(rows, first, strict=True):
        assert row.value == pytest.approx(wanted.value, rel=1e-4, abs=1e-6)
    with pytest.raises(FileNotFoundError, match="make experiment"):
        read_rows(tmp_path / "absent.csv")


def test_the_committed_table_has_every_wiring_with_three_seeds():
    rows, comments = read_rows()
    assert {(r.wiring, r.seed) for r in rows} == {(w, s) for w in WIRINGS for s in (0, 1, 2)}
    assert comments[1].startswith("command: ") and "torch" in comments[2]
    assert all(isinstance(r, Row) for r in rows)


def test_an_experiment_goes_on_where_it_stopped(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("bench", ROOT / "benchmarks/experiment.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    assert bench.finished("first only", 1, 30).name == "first_only-1-30.csv"
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    for wiring in WIRINGS:
        write_rows(bench.finished(wiring, 0, 5), [Row(wiring, 0, "exact_match", "all", 0.5)])
    output = tmp_path / "table.csv"
    arguments = ["experiment", "--seeds", "0", "--steps", "5", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()  # nothing is left to run: it only puts the table together
    assert [r.wiring for r in read_rows(output)[0]] == list(WIRINGS)
