"""`python -m helpers.trainer`: one process, several, interrupted, resumed: the same run.

Each test runs the real command on a small folder of text: in a process of its own where the
process matters (`start`), and in this one, which has imported torch already, where it doesn't
(`run_here`).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
import torch._dynamo as dynamo

from helpers.checkpoints import load_model
from helpers.corpora.toy import splits
from helpers.decoding import translate
from helpers.trainer import __main__ as command
from helpers.trainer.runs import load_run
from tests.support import needs_shards, needs_signals
from tools.notebooks import ROOT

pytestmark = pytest.mark.slow

SMALL = "--d-model 16 --heads 2 --d-ff 32 --encoder-layers 1 --decoder-layers 2 --vocabulary 300"
RUN = "--steps 12 --reports 4 --tokens 256 --dropout 0 --average 2 --beam 2"
LONGER = ["--steps", "96", "--reports", "16"]  # time enough to be killed in
FIXED = "--precision float32 --kernel fused"  # else measured, which may turn out either way
OPTIONS = [*SMALL.split(), *RUN.split(), *FIXED.split()]
HANGS = 900  # seconds after which a process hangs, however slow the machine


either_way = pytest.mark.parametrize(
    "shard",
    [
        pytest.param([], id="DistributedDataParallel"),
        pytest.param(["--shard"], id="FSDP", marks=needs_shards),
    ],
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A folder with train.de, train.en, …, as a reader would bring."""
    folder, data = tmp_path_factory.mktemp("texts"), splits(train=400, validation=60, test=30)
    for name, pairs in (("train", data.train), ("val", data.validation), ("test", data.test)):
        for side in ("source", "target"):
            lines = "".join(getattr(p, f"{side}_text") + "\n" for p in pairs)
            language = "de" if side == "source" else "en"
            (folder / f"{name}.{language}").write_text(lines, encoding="utf8")
    return folder


def start(out, *options, processes=1, **more):
    """The command as a user types it; with several processes, through torchrun."""
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    arguments = [*launcher, "helpers.trainer", "--out", str(out), *map(str, options)]
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


def finished(process) -> str:
    output, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 0, output[-3000:]
    return output


def run_here(out, *options) -> None:
    """The same command in this process, with one thread as in those of `start`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        command.main(["--out", str(out), *map(str, options)])
    finally:
        torch.set_num_threads(threads)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(scope="module")
def alone(texts, tmp_path_factory):
    """The run that all others are compared with: one process, never interrupted."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    output = finished(start(out, "--data", texts, *OPTIONS))
    return out, output


def history(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def same_run(one, other, tolerance):
    """Loss curves and final weights agree."""
    for a, b in zip(history(one), history(other), strict=True):
        for name in ("train_loss", "validation_loss"):
            assert a[name] == pytest.approx(b[name], abs=tolerance)
    mine, theirs = (
        dict(load_model(out / "step-0000012.safetensors").named_parameters())
        for out in (one, other)
    )
    for name, parameter in mine.items():
        # The same number added to all scores of a row changes no softmax, so a key's bias has no
        # gradient but rounding, and Adam makes steps of full size out of that.
        if not name.endswith("w_k.bias"):
            torch.testing.assert_close(parameter, theirs[name], rtol=0, atol=20 * tolerance)


def test_a_run_leaves_what_its_help_promises(alone):
    out, output = alone
    for name in ("settings.json", "vocabulary.json", "log.jsonl", "result.json", "test.txt"):
        assert (out / name).stat().st_size > 0
    for name in ("last", "best", "model"):
        assert (out / f"{name}.safetensors").is_file()
    assert len(list(out.glob("step-*.safetensors"))) == 2 and not list(out.glob("*.part"))
    for name in ("bleu.png", "loss.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert [row["step"] for row in history(out)] == [3, 6, 9, 12]
    result = json.loads((out / "result.json").read_text())
    assert "case:lc" in result["test beam"]["lc signature"]
    assert result["test beam"]["lc signature"] in output and "tokens/s" in output
    assert f"BLEU {result['test beam']['lc']:.2f}" in output
    trained, whole = result["minutes"], result["minutes in all"]
    assert 0 < trained < whole  # evaluating and scoring are not training
    assert f"{trained:.1f} minutes of training, {whole:.1f} in all" in output


def test_without_sacrebleu_the_validation_loss_chooses_and_the_run_says_so(
    texts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    run_here(tmp_path / "run", "--data", texts, *OPTIONS)
    said = capsys.readouterr().out
    assert "pip install sacrebleu" in said.replace("\n", " ")
    assert "by validation loss, because there is no BLEU" in said
    rows = history(tmp_path / "run")
    best = min(rows, key=lambda row: row["validation_loss"])["step"]
    assert f"the best checkpoint is that of step {best}" in said


def test_the_runs_model_translates_text(alone):
    model, subwords = load_run(alone[0])
    (said,) = translate(model, subwords, ["Der Hund schläft."])
    assert isinstance(said, str) and not model.training


@pytest.mark.parametrize("parts", [3, 40])  # 40: more than a batch has sentences
def test_accumulating_changes_nothing_but_rounding(alone, texts, tmp_path, parts):
    run_here(tmp_path / "two", "--data", texts, *OPTIONS, "--accumulate", parts)
    same_run(alone[0], tmp_path / "two", 1e-4)


@pytest.mark.filterwarnings("default")  # compiling brings warnings of torch to itself
def test_compiling_makes_one_graph_of_the_whole_loss_and_learns_as_well(
    texts, tmp_path, monkeypatch
):
    """The backend runs each graph as it is: no C++ compiler needed. That the compiled loss is the
    same is a promise of tests/trainer/test_engines.py; the batches are others than eager ones."""
    graphs, really = [], torch.compile

    def compile_eagerly(function, mode, **options):
        def backend(graph, inputs):
            graphs.append(graph)
            return graph.forward

        return really(function, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    out = tmp_path / "compiled"
    try:
        run_here(out, "--data", texts, *OPTIONS, "--engine", "compiled")
    finally:
        dynamo.reset()
    assert len(graphs) == 1
    first, *_, last = history(out)
    assert last["train_loss"] < first["train_loss"] - 0.2


@either_way
def test_two_processes_run_as_one_with_the_whole_batch(alone, texts, tmp_path, shard):
    finished(start(tmp_path / "two", "--data", texts, *OPTIONS, *shard, processes=2))
    same_run(alone[0], tmp_path / "two", 1e-4)


def when_reported(process, out, rows):
    """Wait until the run has reported `rows` times."""
    start = time.monotonic()
    while time.monotonic() < start + HANGS:
        if (out / "log.jsonl").is_file() and len(history(out)) >= rows:
            return
        assert process.poll() is None, process.stdout.read()[-3000:]
        time.sleep(0.05)
    raise AssertionError(f"no report in {HANGS} seconds")


def test_kill_minus_nine_loses_nothing(texts, tmp_path):
    options = ["--data", texts, *OPTIONS, *LONGER, "--dropout", 0.2]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_here(whole, *options)
    killed = start(broken, *options)
    when_reported(killed, broken, 2)
    killed.kill()
    killed.communicate()
    assert len(history(broken)) < len(history(whole)) == 16
    finished(start(broken, "--resume"))
    for name in ("train_loss", "validation_loss", "bleu"):
        assert [row[name] for row in history(whole)] == [row[name] for row in history(broken)]
    models = [load_model(out / "model.safetensors") for out in (whole, broken)]
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(p, q)


@needs_signals
@either_way
def test_a_killed_worker_ends_the_job_and_one_process_can_go_on(texts, tmp_path, shard):
    options = ["--data", texts, *OPTIONS, *LONGER]
    out = tmp_path / "run"
    job = start(out, *options, *shard, processes=2)
    when_reported(job, out, 2)
    workers = psutil.Process(job.pid).children(recursive=True)
    (second,) = [w for w in workers if w.environ().get("RANK") == "1"]
    second.send_signal(signal.SIGKILL)
    output, _ = job.communicate(timeout=HANGS)
    assert job.returncode != 0 and "SIGKILL" in output
    assert "--resume" in output, output[-3000:]
    run_here(out, "--resume")  # one process, whatever it was before
    assert len(history(out)) == 16 and (out / "result.json").is_file()


@needs_signals
def test_ctrl_c_says_how_to_go_on(texts, tmp_path):
    out = tmp_path / "run"
    # A shell makes background jobs ignore Ctrl-C, and children inherit that; this one must not.
    listening = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    options = ["--data", texts, *OPTIONS, "--steps", 2400, "--reports", 400]
    process = start(out, *options, preexec_fn=listening)
    when_reported(process, out, 1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 1 and "--resume" in output and "Traceback" not in output


def refused(capsys, *options) -> str:
    with pytest.raises(SystemExit):
        command.main([*map(str, options)])
    return capsys.readouterr().err


def test_what_is_wrong_is_named(alone, texts, tmp_path, capsys):
    out, new = alone[0], tmp_path / "new"
    assert "holds a run" in refused(capsys, "--out", out)
    assert "no run to resume" in refused(capsys, "--out", new, "--resume")
    assert "--d-model is 16" in refused(capsys, "--out", out, "--resume", "--d-model", 32)
    assert "is none" in refused(capsys, "--out", new, "--data", tmp_path / "nowhere")
    assert "neither train.fr" in refused(capsys, "--out", new, "--data", texts, "--source", "fr")
    for option, value, why in (
        ("--steps", 0, "--steps must be at least 1, got 0"),
        ("--minutes", -5, "--minutes must be at least"),
        ("--minutes", "inf", "--minutes must be at least"),
        ("--reports", 0, "--reports must be at least 1"),
        ("--average", -1, "--average must be at least 0"),
        ("--smoothing", 2, "--smoothing must be below 1"),
        ("--tokens", 8, "raise --max-length or --tokens"),
        ("--patience", -1, "--patience must be at least 0"),
        ("--beam", 100_000, "--beam must be at most"),
    ):
        options = [o for o in OPTIONS if option != "--minutes" or o not in ("--steps", "12")]
        said = refused(capsys, "--out", new, "--data", texts, *options, option, value)
        assert why in said
        assert not (new / "settings.json").exists()  # nothing that would be in the way next time


def test_a_run_of_another_version_is_not_resumed_with_other_settings(alone, tmp_path, capsys):
    out = shutil.copytree(alone[0], tmp_path / "run")
    settings = json.loads((out / "settings.json").read_text())
    (out / "settings.json").write_text(json.dumps(settings | {"bpe_dropout": 0.1}))
    said = " ".join(refused(capsys, "--out", out, "--resume").split())
    assert "does not know (bpe_dropout); go on with the version that wrote it" in said


def test_pieces_cut_smaller_that_no_longer_fit_stay_whole(texts, tmp_path):
    """Without some merges sentences grow; none may outgrow a batch or the model's positions."""
    options = [*OPTIONS, "--drop-merges", 0.9, "--tokens", 40]
    run_here(tmp_path / "thin", "--data", texts, *options)
    assert len(history(tmp_path / "thin")) == 4 and (tmp_path / "thin" / "result.json").is_file()
