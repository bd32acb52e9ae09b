"""trainer/settings.py, the lock and the messages of the command: one sentence, what to do."""

import argparse
import json
import os
import shlex
import sys

import pytest
import torch
import torch.distributed as dist

from helpers.checkpoints import read_tensors, write_tensors
from helpers.trainer import __main__ as command
from helpers.trainer import train as training
from helpers.trainer.settings import read_arguments, write_settings
from helpers.trainer.train import lengthen, lock


def arguments_of(folder, *options):
    return read_arguments(["--out", str(folder), *map(str, options)])


@pytest.fixture
def begun(tmp_path):
    """The folder of a run that has reported at step 60 of 60, after two minutes."""
    arguments = arguments_of(tmp_path, "--data", "corpus", "--steps", 60, "--precision", "float32")
    write_settings(arguments)
    metadata = {"training": {"steps": 60}, "history": [{"step": 60, "seconds": 120.0}]}
    write_tensors(tmp_path / "last.safetensors", {"a": torch.ones(1)}, metadata)
    return tmp_path


def test_a_run_may_be_lengthened_in_steps_or_minutes(begun):
    for option, value, steps in (("--steps", 90, 90), ("--minutes", 5, 150)):
        arguments = arguments_of(begun, "--resume", option, value)
        lengthen(arguments, begun / "last.safetensors")
        assert arguments.steps == steps
        assert json.loads((begun / "settings.json").read_text())["steps"] == steps
        tensors, metadata = read_tensors(begun / "last.safetensors")
        assert metadata["training"]["steps"] == steps and tensors["a"].tolist() == [1]
        assert metadata["training"]["report_every"] == -(-steps // 20)


@pytest.mark.parametrize("option, value", [("--steps", 60), ("--minutes", 2)])
def test_a_run_is_not_made_shorter(begun, option, value):
    with pytest.raises(ValueError, match=f"{option} must ask for more.*step 60, after 2.0 minutes"):
        lengthen(arguments_of(begun, "--resume", option, value), begun / "last.safetensors")


def test_a_finished_run_that_goes_on_never_serves_its_old_model(begun, capsys):
    """`translate` takes model.safetensors if it is there, so it must not be there any more."""
    for name in ("model.safetensors", "result.json", "test.txt"):
        (begun / name).write_text(f"old {name}")
    (begun / "best.safetensors").write_text("the best so far")
    (begun / "vocabulary.json").write_text("pieces")
    with pytest.raises(ValueError, match="must ask for more"):
        lengthen(arguments_of(begun, "--resume", "--steps", 50), begun / "last.safetensors")
    assert (begun / "model.safetensors").is_file()  # it was not lengthened
    lengthen(arguments_of(begun, "--resume", "--steps", 90), begun / "last.safetensors")
    assert "after step 60 are now in" in capsys.readouterr().out
    for name in ("model.safetensors", "result.json", "test.txt"):
        assert not (begun / name).exists()
        assert (begun / "finished-at-60" / name).read_text() == f"old {name}"
    finished = json.loads((begun / "finished-at-60" / "settings.json").read_text())
    assert finished["steps"] == 60 and (begun / "finished-at-60" / "vocabulary.json").is_file()
    assert (begun / "best.safetensors").is_file() and (begun / "last.safetensors").is_file()
    lengthen(arguments_of(begun, "--resume", "--steps", 95), begun / "last.safetensors")  # again
    assert [path.name for path in begun.glob("finished-at-*")] == ["finished-at-60"]


def test_what_may_change_when_a_run_goes_on(begun, tmp_path, capsys):
    moved = tmp_path / "elsewhere.tsv"
    options = ["--device", "cpu", "--accumulate", 3, "--data", moved, "--encoding", "cp1252"]
    arguments = arguments_of(begun, "--resume", *options)
    assert arguments.data == [str(moved)] and arguments.encoding == "cp1252"
    assert (arguments.device, arguments.accumulate, arguments.steps) == ("cpu", 3, 60)
    for option, value in (("--learning-rate", 1), ("--source", "fr"), ("--bleu-tokenize", "zh")):
        with pytest.raises(SystemExit):
            arguments_of(begun, "--resume", option, value)
        assert f"{option} is" in capsys.readouterr().err


def test_a_run_that_begins_with_another_takes_over_its_shape(begun, tmp_path, capsys):
    new = tmp_path / "new"
    arguments = arguments_of(new, "--from", begun, "--steps", 5)
    assert arguments.vocabulary == 8000 and arguments.data == ["multi30k"]
    settings = json.loads((begun / "settings.json").read_text())
    (begun / "settings.json").write_text(json.dumps({**settings, "d_model": 64, "target": "fr"}))
    arguments = arguments_of(new, "--from", begun)
    assert (arguments.d_model, arguments.target) == (64, "fr")
    for options, message in (
        (["--d-model", 32, "--from", begun], "--d-model is 64 in"),
        (["--from", tmp_path / "none"], "none is not a run: there is no settings.json"),
    ):
        with pytest.raises(SystemExit):
            arguments_of(new, *options)
        assert message in capsys.readouterr().err


def test_a_fine_tuned_run_knows_its_parent_from_anywhere(begun, tmp_path, monkeypatch, capsys):
    new = tmp_path / "new"
    monkeypatch.chdir(tmp_path)
    arguments = arguments_of(new, "--from", ".", "--data", "corpus", "--steps", 5)
    new.mkdir()
    write_settings(arguments)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for same in ([], ["--from", tmp_path], ["--from", ".."]):
        assert arguments_of(new, "--resume", *same).start_from == str(tmp_path)
    with pytest.raises(SystemExit):
        arguments_of(new, "--resume", "--from", "other")
    assert f"--from is {tmp_path} in that run and cannot change" in capsys.readouterr().err


def test_a_fine_tuned_run_goes_on_without_its_parent(tmp_path):
    """Its own weights replace those of the parent, which is only read before there are any."""
    arguments = argparse.Namespace(out=tmp_path, resume=True, start_from=str(tmp_path / "gone"))
    vars(arguments).update(seed=0, d_model=8, heads=2, d_ff=8, encoder_layers=1, decoder_layers=1)
    vars(arguments).update(dropout=0.0, norm="pre", untied=False)
    with pytest.raises(FileNotFoundError, match="gone' holds no run"):
        training.model_of(arguments, 20, 5)
    (tmp_path / "last.safetensors").touch()
    assert training.model_of(arguments, 20, 5).config.vocab_size == 20


def test_a_text_that_has_moved_is_asked_for(begun, tmp_path, capsys):
    settings = json.loads((begun / "settings.json").read_text())
    gone = str(tmp_path / "gone.tsv")
    (begun / "settings.json").write_text(json.dumps({**settings, "data": [gone]}))
    said = refused(capsys, "--out", begun, "--resume")
    assert f"the run's text is no longer at {gone}; name it with --data" in said
    assert "To go on" not in said
    said = refused(capsys, "--out", begun, "--resume", "--data", tmp_path / "wrong.tsv")
    assert "wrong.tsv' is none" in said and "To go on" not in said


@pytest.mark.parametrize(
    "options, message",
    [
        (["--heads", 3], "--d-model must be even and divisible by --heads, got 128 and 3"),
        (["--d-model", 9, "--heads", 3], "got 9 and 3"),
        (["--heads", 0], "--heads must be at least 1, got 0"),
        (["--encoder-layers", 0], "--encoder-layers must be at least 1, got 0"),
        (["--decoder-layers", -1], "--decoder-layers must be at least 1, got -1"),
        (["--d-ff", 0], "--d-ff must be at least 1, got 0"),
        (["--vocabulary", 99], "--vocabulary must be at least 100, got 99"),
        (["--seed", 10**23], "--seed must be below 2**63, got 1" + 23 * "0"),
        (["--seed", -1], "--seed must be at least 0, got -1"),
    ],
)
def test_a_wrong_size_is_named_by_its_option_before_a_text_is_read(
    tmp_path, capsys, options, message
):
    assert message in refused(capsys, "--out", tmp_path / "run", *options)


def test_a_run_goes_on_when_nobody_reads_its_lines(tmp_path, monkeypatch):
    """`train … | head -8`; and whoever prints afterwards finds the old stream in its place."""
    reading, writing = os.pipe()
    ended = []

    def run(*_):
        print("first", flush=True)
        assert os.read(reading, 100) == b"first\n"
        os.close(reading)
        for _ in range(3):
            print("nobody reads this", flush=True)
        print("nor this")
        ended.append(True)

    monkeypatch.setattr(training, "run", run)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    with open(writing, "w", newline="\n") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        command.main(["--out", str(tmp_path / "run"), "--device", "cpu"])
        assert sys.stdout is stream
    assert ended


def test_a_translation_that_nobody_reads_ends_without_a_word(monkeypatch, capsys):
    def translate(_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setitem(command.USES, "translate", translate)
    monkeypatch.setattr(command, "stop_writing", lambda: None)
    with pytest.raises(SystemExit) as caught:
        command.main(["translate", "run"])
    assert caught.value.code == 1 and capsys.readouterr().err == ""


def test_paths_are_kept_whole_and_too_many_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert arguments_of("run", "--data", "a.de", "b.en").data == [
        str(tmp_path / "a.de"),
        str(tmp_path / "b.en"),
    ]
    with pytest.raises(SystemExit):
        arguments_of("run", "--data", "a", "b", "c")
    assert "--data takes one or two names, got 3" in capsys.readouterr().err


def test_a_folder_has_one_run_and_a_lock_that_nobody_holds_locks_nothing(tmp_path):
    (tmp_path / "run.lock").write_text("left by a run that was killed")
    for _ in range(2):
        with lock(tmp_path), pytest.raises(OSError, match="another run is at work in"):
            lock(tmp_path)


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_a_second_run_is_refused_at_once(begun, capsys, monkeypatch, options):
    monkeypatch.setattr(training, "read_texts", lambda *_: pytest.fail("too late"))
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    if not options:
        for path in begun.iterdir():
            path.unlink()
    with lock(begun):
        said = refused(capsys, "--out", begun, *options)
    assert "another run is at work" in said


def refused(capsys, *options):
    with pytest.raises(SystemExit) as caught:
        command.main([*map(str, options)])
    said = capsys.readouterr().err
    assert caught.value.code and "Traceback" not in said
    return said


@pytest.mark.parametrize(
    "error, message",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "--accumulate 4"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (RuntimeError("CUDA error: no kernel image is available"), "--device cpu"),
        (ImportError("No module named 'sacrebleu'"), "No module named 'sacrebleu'"),
        (ValueError("--tokens must be larger"), "error: --tokens must be larger"),
    ],
)
def test_errors_of_the_machine_are_sentences(tmp_path, capsys, monkeypatch, error, message):
    def fail(*_):
        raise error

    monkeypatch.setattr(training, "run", fail)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    assert message in refused(capsys, "--out", tmp_path / "run", "--device", "cpu")


def test_an_error_that_nobody_foresaw_is_shown_as_it_is(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(training, "run", fail)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        command.main(["--out", str(tmp_path / "run")])


def test_a_torch_without_distributed_is_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dist, "is_available", lambda: False)
    said = refused(capsys, "--out", tmp_path / "run")
    assert "built without torch.distributed" in said


def test_the_command_that_goes_on_can_be_pasted_into_a_shell(begun, capsys, monkeypatch):
    folder = begun.rename(begun.parent / "Anna's runs; $HOME")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "run", stop)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    said = refused(capsys, "--out", folder, "--resume")
    words = shlex.split(said.partition("To go on: ")[2])
    assert words == ["python", "-m", "helpers.trainer", "--out", str(folder), "--resume"]
