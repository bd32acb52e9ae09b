"""trainer/reports.py: which model is kept, and what is done to its translations."""

import argparse
import math
import sys
import types

import pytest
import torch

from helpers.checkpoints import load_model
from helpers.subwords import Subwords
from helpers.trainer import reports
from helpers.trainer.reports import Reporter, as_lines, one_line, score, with_capital
from tests.support import small_model

CHINESE = [("the dog", "狗在睡觉。"), ("the cat", "猫也在。")]
GERMAN = [("der Hund", "the dog sleeps on the red sofa."), ("die Katze", "the cat sees it.")]


def settings(folder, **changes):
    values = dict(average=0, cased=False, tensorboard=False, patience=0, steps=90, capitals=False)
    return argparse.Namespace(**{**values, "out": folder, "bleu_tokenize": "13a", **changes})


def report_on(monkeypatch, folder, pairs, checkpoints, **changes):
    """A reporter that has seen checkpoints, each (what it says, its validation loss); the number
    of the one that was kept."""
    subwords = Subwords.learn([text for pair in pairs for text in pair], 100)
    reporter = Reporter(settings(folder, **changes), subwords, pairs, [])
    for number, (said, loss) in enumerate(checkpoints):
        monkeypatch.setattr(reports, "translate", lambda *_, said=said, **__: said)
        monkeypatch.setattr(reports, "mean_loss", lambda *_, loss=loss: loss)
        model = small_model()
        with torch.no_grad():
            next(model.parameters()).fill_(number)
        reporter.evaluate(model, number)
    kept = int(next(load_model(folder / "best.safetensors").parameters()).flatten()[0])
    assert kept == reporter.best()["step"]
    return reporter, kept


NOTHING, RIGHT = ["x", "y"], [target for _, target in GERMAN]
NEARLY = [RIGHT[0], "the cat found it."]


@pytest.mark.parametrize(
    "checkpoints, kept, why",
    [
        # BLEU is 0 at every report: the first was kept, though it was the worst
        ([(NOTHING, 5.0), (NOTHING, 3.0), (NOTHING, 2.0)], 2, "because no BLEU reached 1"),
        ([(NOTHING, 5.0), (NOTHING, 2.0), (NOTHING, 3.0)], 1, "because no BLEU reached 1"),
        ([(RIGHT, 3.0), (RIGHT, 2.0), (RIGHT, 2.5)], 1, "by BLEU"),  # equal
        ([(NEARLY, 2.0), (RIGHT, 3.0), (NEARLY, 1.0)], 1, "by BLEU"),
        ([(NOTHING, 1.0), (NEARLY, 3.0)], 1, "by BLEU"),
    ],
)
def test_the_best_model_is_kept(monkeypatch, tmp_path, checkpoints, kept, why):
    reporter, found = report_on(monkeypatch, tmp_path, GERMAN, checkpoints)
    assert found == kept and why in reporter.why(reporter.best())


def test_where_bleu_finds_no_words_the_loss_decides(monkeypatch, tmp_path):
    """13a takes a Chinese sentence for one word: half of them right is BLEU above 1, by luck."""
    half = ["狗在睡觉。" * 3, "猫也在。"]
    checkpoints = [(half, 5.0), (NOTHING, 1.0)]
    reporter, kept = report_on(monkeypatch, tmp_path, CHINESE, checkpoints)
    assert kept == 1 and "BLEU finds no words" in reporter.why(reporter.best())
    (tmp_path / "zh").mkdir()
    _, kept = report_on(monkeypatch, tmp_path / "zh", CHINESE, checkpoints, bleu_tokenize="zh")
    assert kept == 0


def test_without_sacrebleu_the_loss_decides(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    checkpoints = [(RIGHT, 3.0), (RIGHT, 2.0), (RIGHT, 4.0)]
    reporter, kept = report_on(monkeypatch, tmp_path, GERMAN, checkpoints)
    assert kept == 1 and "there is no BLEU" in reporter.why(reporter.best())


def test_patience_ends_when_no_report_is_better(monkeypatch, tmp_path, capsys):
    said = [(RIGHT, loss) for loss in (3.0, 2.0, 2.5, 2.4)]
    row = {"step": 4, "seconds": 1.0, "train_loss": 1.0, "tokens_per_second": 9.0}
    for patience, stops in ((0, False), (3, False), (2, True)):
        folder = tmp_path / str(patience)
        folder.mkdir()
        reporter, _ = report_on(monkeypatch, folder, GERMAN, said, patience=patience)
        assert reporter([{**row, **reporter.rows[-1]}]) is stops
    out = capsys.readouterr().out
    assert out.count("stopping early: no better model in the last 2 reports") == 1
    assert "chrF 100.00" in out


def test_tensorboard_gets_every_number_or_is_missed_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="--tensorboard needs a package: pip install tensorboard"):
        reports.tensorboard(tmp_path)
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            written.append(folder)

        def add_scalar(self, *what):
            written.append(what)

        def flush(self):
            pass

    stub = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stub)
    reports.tensorboard(tmp_path)({"step": 3, "bleu": math.nan, "validation_loss": 2.0})
    assert written == [str(tmp_path), ("validation_loss", 2.0, 3)]


@pytest.mark.parametrize(
    "text, capitals, cased, wanted",
    [
        ("the dog", True, False, "The dog"),
        ("the dog", False, False, "the dog"),  # the texts begin with small letters
        ("the dog", True, True, "the dog"),  # the model knows capitals itself
        ("ქართული", True, False, "ქართული"),  # whose "capitals" are another script
        ("ǆep", True, False, "ǅep"),
        ("", True, False, ""),
    ],
)
def test_a_capital_is_restored_where_the_texts_have_one(text, capitals, cased, wanted):
    assert with_capital(text, settings(None, capitals=capitals, cased=cased)) == wanted


@pytest.mark.parametrize("cased", [True, False])
def test_a_perfect_model_scores_100(monkeypatch, cased):
    """Whatever the references look like."""
    pairs = [("a", "the dog sleeps on the sofa ！"), ("b", "iPhones and 10\u00a0km are here.")]
    said = [target if cased else target.lower() for _, target in pairs]
    monkeypatch.setattr(reports, "translate", lambda *_, **__: said)
    scores, texts = score(None, None, pairs, settings(None, cased=cased), 1)
    assert scores["bleu"] == pytest.approx(100) and scores["chrf"] == pytest.approx(100)
    assert texts == said
    assert ("case:mixed" if cased else "case:lc") in scores["chrf signature"]
    assert "case:lc" in scores["lc signature"] and "case:mixed" in scores["cased signature"]


def test_each_line_of_a_file_has_a_line():
    assert as_lines(["eins", "zwei\ndrei"], [0, None, 1]) == "eins\n\nzwei drei\n"
    assert one_line("a\r\nb") == "a  b"
