"""The whole command on a reader's own table, English to Chinese: trained, moved, lengthened, built
upon, used."""

import json
import shutil
import signal

import pytest

from helpers.trainer import __main__ as command

pytestmark = pytest.mark.slow

SIZES = "--d-model 32 --heads 2 --d-ff 64 --encoder-layers 1 --decoder-layers 1 --vocabulary 300"
REST = "--tokens 512 --average 2 --beam 2 --precision float32 --kernel fused --device cpu"
SIDES = ["--source", "en", "--target", "zh"]
WHO = {
    "the dog": "狗",
    "the cat": "猫",
    "the child": "孩子",
    "the man": "男人",
    "the woman": "女人",
}
DOES = {"sees": "看见", "finds": "找到", "likes": "喜欢", "has": "有"}
WHAT = {"the ball": "球", "the book": "书", "the house": "房子", "the tree": "树", "the car": "车"}


@pytest.fixture(autouse=True)
def terminated_as_before():
    """The command listens to SIGTERM; a test that has called it must not."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder of a finished run, its table)."""
    folder = tmp_path_factory.mktemp("own")
    rows = [
        f"{a} {b} {c}.\t{x}{y}{z}！"
        for a, x in WHO.items()
        for b, y in DOES.items()
        for c, z in WHAT.items()
    ]
    (folder / "t.tsv").write_text(
        "".join(row + "\n" for row in [*rows, "\t", "alone\t"]), encoding="utf8"
    )
    options = [*SIZES.split(), *REST.split(), *SIDES, "--steps", "120", "--reports", "3"]
    command.main(["--data", str(folder / "t.tsv"), "--out", str(folder / "run"), *options])
    return folder / "run", folder / "t.tsv"


def result(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf8"))


def test_what_was_learned_is_kept_and_scored_for_its_script(run):
    out, _ = run
    found = result(out)
    assert found["test beam"]["bleu"] > 50 and found["test beam"]["chrf"] > 50
    assert "tok:zh" in found["test beam"]["lc signature"] and found["chosen by"] == "by BLEU"
    assert len((out / "test.txt").read_text(encoding="utf8").splitlines()) == 10
    assert "！" in (out / "test.txt").read_text(encoding="utf8")  # as the references have it


def test_it_translates(run, capsys):
    command.main(["translate", str(run[0]), "the dog sees the ball.", "", "the man has the car."])
    first, blank, last, _ = capsys.readouterr().out.split("\n")
    assert blank == "" and first.startswith("狗") and last.startswith("男人")


def test_it_goes_on_with_texts_that_have_moved_and_not_with_others(run, tmp_path, capsys):
    out = shutil.copytree(run[0], tmp_path / "run")
    moved = str(shutil.copy(run[1], tmp_path / "elsewhere.tsv"))
    command.main(["--out", str(out), "--resume", "--data", moved, "--steps", "150"])
    assert result(out)["steps"] == 150
    assert result(out / "finished-at-120") == result(run[0])  # and it can still be used
    command.main(["translate", str(out / "finished-at-120"), "the dog sees the ball."])
    assert capsys.readouterr().out.split("\n")[-2].startswith("狗")
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [40, 80, 120, 150]
    capsys.readouterr()
    with open(moved, "a", encoding="utf8") as file:
        file.write("one more\t多一个\n")
    with pytest.raises(SystemExit):
        command.main(["--out", str(out), "--resume", "--data", moved])
    assert "not those that the run began with: train changed" in capsys.readouterr().err


def test_another_run_begins_where_it_ended(run, tmp_path, capsys):
    out = tmp_path / "new"
    options = [*REST.split(), "--steps", "4", "--reports", "4", "--learning-rate", "1e-7"]
    command.main(["--from", str(run[0]), "--data", str(run[1]), "--out", str(out), *options])
    assert (out / "vocabulary.json").read_bytes() == (run[0] / "vocabulary.json").read_bytes()
    settings = json.loads((out / "settings.json").read_text(encoding="utf8"))
    assert settings["d_model"] == 32 and settings["target"] == "zh"
    reached = result(run[0])
    first = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    before = reached["validation loss"][reached["chosen"]]
    assert first["validation_loss"] == pytest.approx(before, abs=0.01)
