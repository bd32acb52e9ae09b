"""trainer/use.py: a run translates what it gets, line for line, and is scored on other files."""

import io
import json
import sys

import pytest
import torch

from helpers.batching import pad
from helpers.checkpoints import save_model
from helpers.decoding import beam_search, log_probability
from helpers.decoding import translate as decode_all
from helpers.special_ids import EOS
from helpers.subwords import Subwords
from helpers.trainer import __main__ as command
from helpers.trainer import use
from helpers.trainer.use import device_for
from tests.support import small_model

TEXTS = ["der hund schläft", "die katze sieht den hund", "the dog sleeps", "the cat sees it"]
SETTINGS = {"source": "de", "target": "en", "cased": False, "capitals": True}


@pytest.fixture
def run(tmp_path):
    """A folder as a run leaves it; the model is untrained, but no two translations are alike."""
    subwords = Subwords.learn(TEXTS, 100, lowercase=True)
    model = small_model(vocab_size=len(subwords), max_length=60).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    (tmp_path / "run").mkdir()
    save_model(model, tmp_path / "run" / "model.safetensors")
    subwords.save(tmp_path / "run" / "vocabulary.json")
    (tmp_path / "run" / "settings.json").write_text(json.dumps(SETTINGS))
    return tmp_path / "run", model, subwords


def said_by(capsys, *options):
    command.main([*map(str, options)])
    return capsys.readouterr()


def test_sentences_files_and_standard_input_are_translated_alike(
    run, tmp_path, capsys, monkeypatch
):
    folder, model, subwords = run
    wanted = decode_all(model, subwords, TEXTS[:2], beam_size=3, length_penalty=1.0)
    wanted = [text[:1].title() + text[1:] for text in wanted]
    wanted = "\n".join([wanted[0], "", wanted[1]]).replace("\r", " ").split("\n")
    lines = [TEXTS[0], "", TEXTS[1]]
    options = ["translate", folder, "--beam", 3]
    (tmp_path / "in.txt").write_text("".join(line + "\n" for line in lines), encoding="utf8")
    typed = io.TextIOWrapper(io.BytesIO((tmp_path / "in.txt").read_bytes()), encoding="ascii")
    monkeypatch.setattr(sys, "stdin", typed)
    for more in (lines, ["--input", tmp_path / "in.txt"], [], [*lines, "--batch-size", 1]):
        out = said_by(capsys, *options, *more).out
        assert out.removesuffix("\n").split("\n") == wanted


def test_scores_are_log_probabilities_over_the_length(run, capsys):
    folder, model, subwords = run
    out = said_by(capsys, "translate", folder, TEXTS[0], "--beam", 1, "--scores").out
    score, text = out.removesuffix("\n").split("\t", 1)
    source = torch.tensor([[*subwords.encode(TEXTS[0]), EOS]])
    ids, _ = beam_search(model, source, 1, 1.0)
    length = int((ids != 0).sum())
    expected = float(log_probability(model, source, ids)) / ((5 + length) / 6)
    assert float(score) == pytest.approx(expected, abs=1e-3)
    assert text.lower() == subwords.decode(ids[0].tolist()).replace("\n", " ").lower()


def test_the_best_few_are_in_order_and_led_by_the_best(run, capsys):
    folder, model, subwords = run
    options = ["translate", folder, TEXTS[0], "", TEXTS[1], "--beam", 4]
    out = said_by(capsys, *options, "--n-best", 3).out.removesuffix("\n").split("\n")
    rows = [line.split(" ||| ") for line in out]
    assert [row[0] for row in rows] == ["1"] * 3 + ["2"] + ["3"] * 3
    for number, best in (("1", 0), ("3", 2)):
        scores = [float(row[2]) for row in rows if row[0] == number]
        assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3
        single = said_by(capsys, *options).out.split("\n")[best]
        assert next(row[1] for row in rows if row[0] == number) == single


def test_n_best_of_a_search_are_all_that_it_finishes():
    model = small_model()
    source = pad([[5, 6, 7, EOS], [8, EOS]])
    one, score = beam_search(model, source, 4, max_length=6)
    many, scores = beam_search(model, source, 4, max_length=6, n_best=4)
    assert many.shape[:2] == scores.shape == (2, 4)
    for i in range(2):
        rows = [[t for t in row if t] for row in many[i].tolist()]
        assert rows[0] == [t for t in one[i].tolist() if t] and scores[i, 0] == score[i]
        assert len(set(map(tuple, rows))) == 4  # no two alike
        assert scores[i].tolist() == sorted(scores[i].tolist(), reverse=True)
        for row, value in zip(rows, scores[i].tolist(), strict=True):
            whole = float(log_probability(model, source[i : i + 1], torch.tensor([row])))
            assert value == pytest.approx(whole / ((5 + len(row)) / 6) ** 0.6, rel=1e-4)
    with pytest.raises(ValueError, match=r"n_best must lie in \[1, beam_size=2\], got 3"):
        beam_search(model, source, 2, n_best=3)


def test_a_line_that_is_too_long_is_left_empty_and_named(run, capsys, monkeypatch):
    """Also beyond the first chunk, and its score is the worst there is, not the best."""
    folder, *_ = run
    monkeypatch.setattr(use, "CHUNK", 2)
    long = "hund " * 70
    options = ["translate", folder, TEXTS[0], long, TEXTS[1], "", long, "--beam", 2]
    said = said_by(capsys, *options)
    assert said.out.split("\n")[1] == "" and len(said.out.strip()) > 0
    for number in (2, 5):
        assert f"line {number} is not translated, because it has" in said.err
    assert said.err.count("reads at most 60") == 2
    scores = [line.split("\t")[0] for line in said_by(capsys, *options, "--scores").out.split("\n")]
    assert scores[1] == scores[4] == "-inf" and scores[3] == "0.0000"
    few = said_by(capsys, *options, "--n-best", 2)
    assert said_by(capsys, *options, "--n-best", 2, "--scores") == few  # each score once
    assert "2 |||  ||| -inf" in few.out


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "utf-8-sig", "utf-16", "utf-16-le", "cp500"])
def test_standard_input_is_read_in_its_encoding(monkeypatch, encoding):
    """A byte-order mark is no part of the text, and a line may lack its end."""
    mark = "\ufeff" if encoding in ("utf-8", "utf8", "utf-16-le") else ""
    text = "der Hund\r\n\nschläft, où\n\x85\u2028é"
    text = text if encoding != "cp500" else "der Hund\r\n\nschläft"
    data = io.BytesIO((mark + text).encode(encoding))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data, encoding="ascii"))
    assert list(use.standard_input(encoding)) == text.split("\n")


@pytest.mark.parametrize(
    "data, encoding, line",
    [
        (b"eins\nzwei\ndr\xe9i\n", "utf-8", 3),
        ("eins".encode("utf-16"), "utf-8", 1),
        ("eins\nzwei".encode("utf-16-le"), "utf-8", 1),
        (b"eins\nzwei\n\xc3", "utf-8", 3),  # cut off within a letter
        (b"eins\nzwei\n", "utf-16", 1),
        (b"eins\n\xfc", "ascii", 2),
    ],
)
def test_standard_input_in_another_encoding_is_named(
    run, capsys, monkeypatch, data, encoding, line
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))
    said = refused(capsys, "translate", run[0], "--encoding", encoding)
    assert f"standard input, line {line}: the text is not {encoding.upper()}" in said
    assert "--encoding cp1252" in said


def refused(capsys, *options):
    with pytest.raises(SystemExit) as caught:
        command.main([*map(str, options)])
    said = capsys.readouterr().err
    assert caught.value.code and "Traceback" not in said
    return " ".join(said.split())


def written(path, *lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf8")
    return path


def test_no_output_replaces_what_was_to_be_scored(run, tmp_path, capsys, monkeypatch):
    folder = run[0]
    monkeypatch.setattr(use, "score", lambda *_: pytest.fail("too late"))
    source, target = written(tmp_path / "a.de", TEXTS[0]), written(tmp_path / "a.en", "the dog")
    (tmp_path / "link.en").hardlink_to(target)  # the same file by another name
    table = written(tmp_path / "a.tsv", "der hund\tthe dog")
    monkeypatch.chdir(tmp_path)
    for data, output, message in (
        ((source, target), target, "is one of the files to score"),
        ((source, target), source, "is one of the files to score"),
        ((source, target), "run/../a.en", "is one of the files to score"),
        ((source, target), "link.en", "is one of the files to score"),
        ((table,), "a.tsv", "is one of the files to score"),
        ((source, target), folder / "settings.json", "is in the run's folder"),
        ((source, target), "run/said.txt", "is in the run's folder"),
        ((source, target), "nowhere/said.txt", "its folder does not exist"),
        ((source, target), tmp_path, "is a folder"),
    ):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert message in refused(capsys, "evaluate", folder, *data, "--output", output)
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert before == after


def test_a_training_text_is_never_scored(run, tmp_path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    for count, part in enumerate(("train", "val", "test"), 1):
        for side, text in (("de", TEXTS[0]), ("en", TEXTS[2])):
            written(texts / f"{part}.{side}", *[text] * count)
    options = ["evaluate", run[0], texts, "--beam", 1]
    out = said_by(capsys, *options).out
    assert "test: 3 pairs" in out and "careful" not in out
    for side in ("de", "en"):  # what was trained on need not be there
        (texts / f"train.{side}").rename(texts / f"elsewhere.{side}")
    assert said_by(capsys, *options).out == out
    for side in ("de", "en"):
        (texts / f"test.{side}").unlink()
    out = said_by(capsys, *options).out
    assert "validation: 2 pairs" in out and "careful: there is no test set" in out
    for side in ("de", "en"):
        (texts / f"val.{side}").unlink()
    said = refused(capsys, *options)
    assert "holds neither test.de nor val.de" in said


@pytest.mark.parametrize(
    "options, message",
    [
        (["translate", "nowhere", "x"], "'nowhere' holds no run"),
        (["translate", "RUN", "x", "--input", "y"], "sentences or --input, not both"),
        (["translate", "RUN", "x", "--beam", "0"], "--beam must be at least 1, got 0"),
        (["translate", "RUN", "x", "--n-best", "9"], r"--n-best must lie in [1, 5]"),
        (["translate", "RUN", "--input", "nowhere.txt"], "nowhere.txt"),
        (["translate", "RUN", "x", "--device", "cuda:77"], "--device cuda:77 cannot be used here"),
        (["evaluate", "RUN", "nowhere.tsv"], "is none"),
        (["evaluate", "RUN", "multi30k"], "a folder with a test set, and 'multi30k' is none"),
        (["evaluate", "RUN", __file__], "is not a table (.tsv, .csv); name its reference too"),
        (["evaluate", "RUN", "a", "b", "c"], "got 3 names"),
        (["evaluate", "RUN", __file__, __file__, "--beam", "0"], "--beam must be at least 1"),
        (["translate", "RUN", "x", "--beam", "1000"], "--beam must be at most"),
        (["translate", "RUN", "x", "--length-penalty", "nan"], "--length-penalty must lie in"),
        (["translate", "RUN", "x", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["translate", "RUN", "hund", "\udcff\udcfe"], "sentence 2 is not text in this terminal's"),
        (["translate", "RUN", "--encoding", "foo"], "an encoding of text, such as utf-8"),
        (["translate", "RUN", "--input", __file__, "--encoding", "rot13"], "got 'rot13'"),
        (["evaluate", "RUN", __file__, "--encoding", "base64"], "got 'base64'"),
        (["--out", "new", "--encoding", "rot13"], "an encoding of text, such as utf-8"),
    ],
)
def test_what_is_wrong_is_named(run, capsys, options, message):
    options = [str(run[0]) if option == "RUN" else option for option in options]
    with pytest.raises(SystemExit) as caught:
        command.main(options)
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said and caught.value.code


def test_other_files_are_scored_line_beside_line(run, tmp_path, capsys):
    folder, model, subwords = run
    said = decode_all(model, subwords, TEXTS[:2], beam_size=2, length_penalty=1.0)
    said = [" ".join(text.split()) for text in said]
    (tmp_path / "a.de").write_text(f"{TEXTS[0]}\n\n{TEXTS[1]}\n", encoding="utf8")
    (tmp_path / "a.en").write_text(f"{said[0]}\nblank\n{said[1]}\n", encoding="utf8")
    files = [tmp_path / "a.de", tmp_path / "a.en"]
    output = tmp_path / "said.txt"
    out = said_by(capsys, "evaluate", folder, *files, "--beam", 2, "--output", output).out
    assert "2 pairs from 3 lines of a.de and a.en; 1 left out" in out
    assert "beam 2: chrF" in out and "nrefs:1|case:lc|eff:no|tok:13a" in out
    lines = output.read_text(encoding="utf8").removesuffix("\n").split("\n")
    assert len(lines) == 3 and lines[1] == "" and lines[0].lower().split() == said[0].split()


def test_a_device_that_is_not_there_is_named():
    assert device_for("cpu").type == "cpu"
    with pytest.raises(ValueError, match="--device toaster cannot be used here"):
        device_for("toaster")
