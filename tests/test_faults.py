"""What goes wrong on a reader's machine, one test for each fault; docstrings say what one sees.

Elsewhere: kill -9 and Ctrl-C during training, a lost process (trainer/test_command.py,
test_training.py); damaged, interrupted and refused downloads (corpora/test_multi30k.py); no network
(test_notebooks.py).
"""

import builtins
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from symtable import symtable

import jupyter_client
import nbformat
import pytest
import requests
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from safetensors.torch import save_file

from helpers import checkpoints
from helpers.checkpoints import load_model, read_tensors, save_model, write_tensors
from helpers.corpora import multi30k
from helpers.missing_names import cell_that_makes, made_by
from helpers.trainer import __main__ as command
from helpers.trainer.runs import load_run
from helpers.training import train, translation_loss
from tests.support import (
    SHORT_RUN,
    all_equal,
    batches,
    cache_in,
    copies_of_parameters,
    needs_signals,
    small_model,
)
from tools import notebooks as tools

ROOT = tools.ROOT
PATHS = {path.name[:2]: path for path in tools.paths()}
SIZES = "--d-model 16 --heads 2 --d-ff 32 --encoder-layers 1 --decoder-layers 1 --vocabulary 200"
RUN = "--tokens 256 --average 2 --beam 2 --precision float32 --kernel fused"
OPTIONS = [*SIZES.split(), *RUN.split(), "--steps", "6", "--reports", "2"]


# ---- Places where writing fails --------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """mount(options) -> the folder of a disk of its own, or of the same with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        again = ["-o", f"remount,{options}"] if os.path.ismount(folder) else ["-o", options]
        arguments = ["mount", "-t", "tmpfs", *again, "tmpfs", str(folder)]
        if (
            shutil.which("mount") is None
            or subprocess.run(arguments, capture_output=True).returncode
        ):
            pytest.skip("this user may not mount a small disk (tmpfs); root may")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only(small_disk, tmp_path):
    """read_only(old) -> a folder with the contents of `old` in which nothing can be written."""

    def make(old=None):
        if os.name == "nt":
            pytest.skip("Windows has no permissions that make a folder read-only")
        root = os.geteuid() == 0  # may write wherever the disk allows it
        folder = small_disk("size=8m") / "run" if root else tmp_path / "run"
        shutil.copytree(old, folder) if old else folder.mkdir()
        small_disk("ro") if root else folder.chmod(0o555)
        return folder

    yield make
    if (tmp_path / "run").is_dir():
        (tmp_path / "run").chmod(0o755)


def fill(folder):
    """Leave not one free block."""
    with (folder / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(4096))


# ---- The command in a process of its own -------------------------------------------------------


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A small folder of texts with German letters in every sentence."""
    folder = tmp_path_factory.mktemp("texts")
    for name, count in (("train", 60), ("val", 10), ("test", 10)):
        for side, text in (("de", "Die Bärin sieht {} grüne Äpfel."), ("en", "The bear sees {}.")):
            lines = "".join(text.format(i) + "\n" for i in range(count))
            (folder / f"{name}.{side}").write_text(lines, encoding="utf8")
    return folder


def trainer(*options, **environment):
    """(exit status, all that it said) of the command; a variable that is None is not set."""
    changed = {"OMP_NUM_THREADS": "1", **environment}
    environment = {k: v for k, v in {**os.environ, **changed}.items() if v is not None}
    arguments = [sys.executable, "-m", "helpers.trainer", *map(str, options)]
    done = subprocess.run(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode("utf8", errors="replace")


@pytest.fixture(scope="module")
def run(texts, tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    status, said = trainer("--out", out, "--data", texts, *OPTIONS)
    assert status == 0, said
    return out


def refused(capsys, *options) -> str:
    """What the command, called here, says when it gives up."""
    with pytest.raises(SystemExit):
        command.main([*map(str, options)])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


# ---- Killed, and disks that are full -----------------------------------------------------------


@needs_signals
@pytest.mark.slow
def test_killed_in_the_middle_of_saving(tmp_path):
    """The checkpoint before it is whole; what was half written is removed minutes later."""
    path = tmp_path / "run.safetensors"
    code = f"""
import os, signal
from helpers import files
from helpers.training import train, translation_loss
from tests.support import *
def killed(_):
    os.kill(os.getpid(), signal.SIGKILL)
def report(history):
    files.os.fsync = killed
train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint={str(path)!r}, report=report)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert killed.returncode == -9
    (left,) = tmp_path.glob("run.safetensors.*.part")
    assert sorted(tmp_path.iterdir()) == [path, left]
    os.utime(left, (time.time() - 301,) * 2)
    assert read_tensors(path)[1]["history"][-1]["step"] == 4
    train(small_model(), translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_a_full_disk_while_training(kind, tmp_path, request):
    """OSError with the file's name, "make room", and how to go on; the old checkpoint is whole.

    "disk" is a small one that is really full, "limit" the system's limit for files.
    """
    folder = request.getfixturevalue("small_disk")("size=4m") if kind == "disk" else tmp_path
    path = folder / "run.safetensors"
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail_from_now_on(history):
        if kind == "disk":
            fill(folder)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))

    try:
        with pytest.raises(OSError, match="run.safetensors' was not written.*make room") as caught:
            train(
                small_model(),
                translation_loss,
                batches,
                SHORT_RUN,
                checkpoint=path,
                report=fail_from_now_on,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == (errno.ENOSPC if kind == "disk" else errno.EFBIG)
    assert "step 4 is saved" in caught.value.__notes__[0] and "resume=True" in str(
        caught.value.__notes__
    )
    assert not list(folder.glob("*.part"))
    (folder / "filler").unlink(missing_ok=True)  # what the message asks for
    resumed, whole = small_model(), small_model()
    train(resumed, translation_loss, batches, SHORT_RUN, checkpoint=path, resume=True)
    train(whole, translation_loss, batches, SHORT_RUN)
    assert all_equal(copies_of_parameters(resumed), copies_of_parameters(whole))


@pytest.mark.slow
def test_a_full_disk_under_the_command(small_disk, texts):
    """One line: the file, "make room", and the command that goes on, which then finishes."""
    out = small_disk("size=220k") / "run"
    status, said = trainer("--out", out, "--data", texts, *OPTIONS)
    assert status == 1 and "Traceback" not in said, said
    assert "No space left on device" in said and str(out) in said and "make room" in said
    assert f"--out {out} --resume" in said
    assert not list(out.glob("*.part"))
    small_disk("size=8m")
    status, said = trainer("--out", out, "--resume")
    assert status == 0, said
    assert (out / "result.json").is_file()


def test_a_full_disk_under_a_download(monkeypatch, tmp_path):
    """The disk is named, not the network, and what can be done besides."""

    class Response:
        status_code, headers = 200, {"content-length": "10"}
        raise_for_status = close = lambda self: None

        def iter_content(self, chunk_size):
            yield b"01234"
            raise OSError(errno.ENOSPC, "No space left on device")  # as writing it would

    monkeypatch.setattr(requests, "get", lambda *_, **__: Response())
    with pytest.raises(multi30k.Unavailable, match=r"train\.de\.gz' was not.*make room"):
        multi30k.download("http://x/train.de.gz", tmp_path / "train.de.gz")
    assert not list(tmp_path.iterdir())


# ---- Damaged files -----------------------------------------------------------------------------


@pytest.mark.slow
def test_one_flipped_bit_anywhere_in_a_checkpoint(tmp_path):
    """ValueError: the file is damaged. Never another model, wherever the bit is."""
    path, metadata = tmp_path / "m", {"model": {"d_model": 16}, "history": [{"step": 4}]}
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.tensor(3.0)}
    write_tensors(path, tensors, metadata)
    data, noticed = path.read_bytes(), 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found, found_metadata = read_tensors(path)
        except ValueError as error:
            noticed += 1
            assert str(path) in str(error)
        else:  # the name of the checksum itself: all else is whole
            assert found_metadata == metadata and found.keys() == tensors.keys()
            assert all(
                torch.equal(found[n], t) and found[n].dtype == t.dtype for n, t in tensors.items()
            )
    assert noticed > len(data) - 10


def test_a_damaged_model_says_what_to_do(tmp_path):
    """The file's name, that its contents changed, and that another copy is needed."""
    path = tmp_path / "model.safetensors"
    save_model(small_model(), path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="model.safetensors' is damaged.*checksum.*another copy"):
        load_model(path)


def test_a_file_from_before_checksums_loads(tmp_path):
    """Nothing: as before."""
    tensors = {name: p.detach().clone() for name, p in small_model().named_parameters()}
    metadata = json.dumps({"model": checkpoints.asdict(small_model().config)})
    save_file(tensors, tmp_path / "old", metadata={checkpoints.KEY: metadata})
    assert all_equal(
        copies_of_parameters(load_model(tmp_path / "old")), copies_of_parameters(small_model())
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, damage, message",
    [
        ("last.safetensors", "flipped", "best model so far is in best.safetensors"),
        ("last.safetensors", "cut", "name another --out"),
        ("settings.json", "cut", "models beside it stay as they are"),
        ("vocabulary.json", "cut", "is not a saved vocabulary"),
    ],
)
def test_a_damaged_run_is_not_resumed(run, tmp_path, capsys, name, damage, message):
    """The damaged file, what is whole, and what to do instead; nothing in the folder changes."""
    out = tmp_path / "run"
    shutil.copytree(run, out)
    data = bytearray((out / name).read_bytes())
    data[-3] ^= 1
    (out / name).write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    said = refused(capsys, "--out", out, "--resume")
    assert name in said and message in said
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    if name == "last.safetensors":
        load_run(out)


# ---- Folders that cannot be written, no network, no home, another alphabet ----------------------


def test_a_read_only_folder_in_a_notebook(read_only):
    """OSError before the first step of training, with the file's name and what to do."""

    def never(start):
        raise AssertionError("training has begun")

    path = read_only() / "run.safetensors"
    with pytest.raises(OSError, match="run.safetensors' was not written.*that you may write to"):
        train(small_model(), translation_loss, never, SHORT_RUN, checkpoint=path)


@pytest.mark.parametrize("which", ["the folder", "its parent"])
def test_a_read_only_folder_under_the_command(read_only, texts, capsys, which):
    """One line that names the folder, before texts are read and anything is measured."""
    out = read_only() if which == "the folder" else read_only() / "new"
    said = refused(capsys, "--out", out, "--data", texts.parent / "not read", *OPTIONS)
    assert str(out) in said and "that you may write to" in said


@pytest.mark.slow
def test_a_run_that_became_read_only(run, read_only, capsys):
    """The same before anything is computed, and the command to go on with afterwards."""
    out = read_only(run)
    said = refused(capsys, "--out", out, "--resume")
    assert "that you may write to" in said and f"--out {out} --resume" in said


def test_a_file_where_a_folder_should_be(tmp_path, texts, capsys):
    """Which argument it is."""
    (tmp_path / "run").write_text("a file", encoding="utf8")
    assert "--out" in refused(capsys, "--out", tmp_path / "run", "--data", texts, *OPTIONS)


def test_a_read_only_cache_is_left_for_another(read_only, monkeypatch, tmp_path):
    """Nothing: the download goes into a temporary folder."""
    ours = tmp_path / "old" / "understanding-transformers" / "multi30k"
    ours.mkdir(parents=True)
    cache_in(read_only(tmp_path / "old"), monkeypatch)
    monkeypatch.setattr(multi30k.tempfile, "gettempdir", lambda: str(tmp_path))
    assert multi30k.cache_folder().parent == tmp_path


def no_network(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    cache_in(tmp_path, monkeypatch)
    monkeypatch.delenv(multi30k.VARIABLE, raising=False)


def test_no_network_under_the_command(monkeypatch, tmp_path, capsys):
    """One line: what could not be fetched, and how to bring it; the same command then works."""
    no_network(monkeypatch, tmp_path)
    said = refused(capsys, "--out", tmp_path / "run", *OPTIONS)
    assert "Network is unreachable" in said and multi30k.VARIABLE in said
    again = refused(capsys, "--out", tmp_path / "run", *OPTIONS)
    assert again == said  # and not that the folder holds a run


@pytest.mark.slow
def test_no_network_in_notebook_13(monkeypatch, tmp_path, capsys):
    """The same words, and the cells go on with the embedded corpus."""
    no_network(monkeypatch, tmp_path)
    (cell,) = [
        c for c in tools.code_cells(tools.read(PATHS["13"])) if "multi30k.load()" in c.source
    ]
    imports = next(
        c for c in tools.code_cells(tools.read(PATHS["13"])) if tools.tags(c) == ["imports"]
    )
    names = {}
    exec(imports.source, names)
    exec(cell.source, names)
    said = capsys.readouterr().out
    assert "Network is unreachable" in said and "Going on with the embedded corpus" in said
    assert len(names["data"].train) == 29_000


@pytest.mark.slow
@pytest.mark.parametrize("home", [None, "/dev/null"], ids=["no HOME", "HOME cannot be written"])
def test_no_home(home, texts, tmp_path, monkeypatch):
    """Nothing: training, curves and the cache of downloads find a place."""
    gone = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"))
    status, said = trainer("--out", tmp_path / "run", "--data", texts, *OPTIONS, HOME=home, **gone)
    assert status == 0 and (tmp_path / "run" / "loss.png").is_file(), said
    for name, value in {**gone, "HOME": home}.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    assert multi30k.cache_folder().is_dir()


@pytest.mark.slow
def test_a_locale_without_german_letters(texts, tmp_path):
    """Files are UTF-8 as ever; the screen shows "?" for what it cannot show."""
    shutil.copytree(texts, tmp_path / "grüne Äpfel")
    ascii_only = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    out = tmp_path / "Läufe"
    status, said = trainer("--out", out, "--data", tmp_path / "grüne Äpfel", *OPTIONS, **ascii_only)
    assert status == 0, said
    assert "fastest here ?" in said
    assert load_run(out)[1].encode("Äpfel") == load_run(out)[1].encode("äpfel")
    assert "ä" in (out / "vocabulary.json").read_text(encoding="utf8")


# ---- Cells in another order, twice, interrupted ------------------------------------------------


def cells_of(number) -> list[nbformat.NotebookNode]:
    """The code cells: set-up, imports, and the others."""
    return list(tools.code_cells(tools.read(PATHS[number])))


# The others train for minutes; they were tried by hand.
@pytest.mark.slow
@pytest.mark.parametrize("number", ["00", "01", "02", "07", "08", "14"])
def test_every_cell_may_run_twice(number):
    """Nothing: the second time a cell does what it did the first time."""
    names = {"__name__": "__main__"}
    for cell in cells_of(number):
        for time_ in ("first", "second"):
            try:
                exec(compile(cell.source, cell.id, "exec"), names)
            except Exception as error:
                error.add_note(f"the {time_} time, in {PATHS[number].name}")
                raise


def names_needed(source: str) -> set[str]:
    """The names a cell reads and does not make: what another cell must have made before."""
    read, tables = set(), [symtable(source, "cell", "exec")]
    for table in tables:  # grows while we go through it: functions inside functions
        tables += table.get_children()
        read |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (symbol.is_global() or table is tables[0])
        }
    return read - made_by(source) - set(dir(builtins))


@pytest.mark.parametrize("number", sorted(PATHS))
def test_a_cell_alone_has_its_names_or_says_which_cell_makes_them(number):
    """After the set-up and the imports, any cell: it runs, or we can tell what to run first."""
    setup, imports, *others = cells_of(number)
    given = made_by(setup.source) | made_by(imports.source) | {"__name__"}
    raw = json.loads(PATHS[number].read_text(encoding="utf8"))["cells"]
    for cell in others:
        for name in names_needed(cell.source) - given:
            assert cell_that_makes(name, raw, cell.id, cell.source), (cell.id, name)


@pytest.mark.parametrize(
    "source, needed",
    [
        ("x = y + 1", {"y"}),
        ("def f(a):\n    return a + b\n", {"b"}),
        ("def f():\n    def g():\n        return c\n    return g\n", {"c"}),
        ("[model(x) for x in rows]", {"model", "rows"}),
        (
            "class A:\n    size = width\n    def f(self):\n        return self.size * depth\n",
            {"width", "depth"},
        ),
        ("import os\nprint(os.getcwd(), len('a'))", set()),
        ("lambda x: x @ weight", {"weight"}),
        ("total = 0\nfor i in range(3):\n    total += i", set()),
    ],
)
def test_which_names_a_cell_needs(source, needed):
    assert names_needed(source) == needed


LIGHT = f"""
import sys
import time
sys.path.insert(0, {str(ROOT)!r})
from helpers.missing_names import explain_missing_names
explain_missing_names()
"""


def outputs_of(cells, path=None, **options) -> list[list[nbformat.NotebookNode]]:
    """The outputs of each cell, executed where the server names `path` as the notebook."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", **options)
    environment = {k: v for k, v in os.environ.items() if k != "JPY_SESSION_NAME"}
    environment |= {"JPY_SESSION_NAME": str(path)} if path else {}
    try:
        client.execute(env=environment, cwd=str(tools.NOTEBOOKS))
    except CellExecutionError as error:
        assert error.ename == "NameError"
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.slow
def test_a_missing_name_says_which_cell_to_run():
    """The usual traceback, then: in which cell, under which heading, and Run All Above.

    In Colab and nbconvert, which do not say where the notebook is, the advice is general.
    """
    setup, cell = cells_of("08")[0].source, "memory = model.encode(source_ids)"
    _, (error, advice), after = outputs_of([setup, cell, "print('not run')"], PATHS["08"])
    assert error.output_type == "error" and error.ename == "NameError" and not after
    assert "`model = Transformer(config)" in advice.text
    assert "under 'Follow the data through" in advice.text
    assert "Run All Above Selected Cell" in advice.text
    *_, (error, advice) = outputs_of([LIGHT, LIGHT, cell])
    assert error.output_type == "error"
    assert advice.text.startswith("If a cell further up makes `model`, run it first")


@pytest.mark.slow
def test_a_typo_or_another_error_gets_no_advice():
    """The usual traceback alone."""
    in_library = (
        "exec('def f(): return model', vars(__import__('string')))\n__import__('string').f()"
    )
    cells = ["modle.encode", "1 / 0", "def f():\n    print(x)\n    x = 1\nf()", in_library]
    for outputs in outputs_of([LIGHT, *cells], PATHS["08"], allow_errors=True)[1:]:
        assert [output.output_type for output in outputs] == ["error"]


@pytest.mark.slow
def test_interrupted_in_a_cell_then_run_all():
    """KeyboardInterrupt and how to go on; the model can be used; Run All works from the top."""
    needed = {"data", "train_examples", "model", "uniform", "lowest", "lowest_plain", "settings"}
    needed |= {"bare_loss", "first", "epsilon", "live", "history"}
    setup, imports, *others = cells_of("09")
    others = [c for c in others if tools.helper_names(c) or made_by(c.source) & needed]
    short = [cell.source for cell in (setup, imports, *others)]
    for old, new in (
        ("splits()", "splits(train=13_000)"),
        ("=1500", "=60"),
        ("every=100", "every=20"),
    ):
        assert any(old in cell for cell in short)
        short = [cell.replace(old, new) for cell in short]
    (last,) = [i for i, cell in enumerate(short) if "history = train(" in cell]
    short = short[: last + 1]
    assert "report=live" in short[-1]  # which draws too seldom for a run of three seconds
    short[-1] = short[-1].replace("report=live", "report=lambda rows: print(len(rows))")
    manager, kernel = jupyter_client.manager.start_new_kernel(cwd=str(PATHS["09"].parent))

    def run_all(when_it_says_something=lambda: None):
        """The error that stopped it, as its traceback, or nothing."""
        for cell in short:
            shown = when_it_says_something if cell is short[-1] else lambda: None
            hook = lambda m, shown=shown: m["msg_type"] == "stream" and shown()
            reply = kernel.execute_interactive(cell, timeout=120, output_hook=hook)["content"]
            if reply["status"] != "ok":
                return "\n".join(reply["traceback"])
        return ""

    try:
        error = run_all(when_it_says_something=manager.interrupt_kernel)
        assert "KeyboardInterrupt" in error and "is saved in" in error and "resume=True" in error
        use = "assert not model.training\nprint(translate(model, tokenizer, [RUNNING.source]))"
        more = short[-1].replace("folder =", "_ =").replace("report=", "resume=True, report=")
        for cell in (use, more, "assert history[-1]['step'] == 60"):
            reply = kernel.execute_interactive(cell, timeout=120, output_hook=lambda _: None)
            assert reply["content"]["status"] == "ok", reply["content"]
        assert run_all() == ""
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
