"""The virtual environment in .venv: make it, repair it, and install what the locks name.

This file runs before anything is installed, so it needs the standard library alone. The rule: an
environment is kept only if its Python runs, it is where it was made, and its pip works. Otherwise
it is made anew, and one line says why.
"""

import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READER, TEACHER = "requirements.lock", "requirements-teach.lock"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 4  # seconds that this index has for an answer
TRIED = ((3, 11), (3, 14))  # the first and the last Python that docs/versions.md has tried
# What is downloaded and what it becomes on disk, in MB; `make test-fresh` measures both.
MEGABYTES = {READER: (150, 850), TEACHER: (80, 300)}
TORCH = {"cpu": (190, 750), "cuda": (3000, 4500)}


def prepare(lock: str = READER, gpu: str = "", root: Path = ROOT) -> Path:
    """The Python of the environment in root/.venv, with everything that `lock` names installed.

    gpu is "1" (torch with CUDA), "0" (the CPU build), or "" to let the machine decide. The lock for
    teachers comes on top of the one for readers. If something is missing, it raises SystemExit with
    one sentence that says what to do.
    """
    if gpu not in ("", "0", "1"):
        raise SystemExit(f"GPU is {gpu!r}; it must be 1 (torch with CUDA) or 0 (without).")
    venv = root / ".venv"
    python = usable(venv)
    locks = [READER] if lock == READER else [READER, TEACHER]
    stamps = {name: fingerprint(root, name) for name in locks}
    missing = [name for name in locks if stamp_of(venv, name) != stamps[name]]
    if other_torch_is_wanted(python, gpu):
        print(f"Replacing torch, because you set GPU={gpu}.", flush=True)
        for name in locks:  # otherwise an interruption could leave it without torch for good
            (venv / f".{name}.installed").unlink(missing_ok=True)
        pip(python, "uninstall", "--yes", "--quiet", "torch")
        missing = locks
    for name in missing:
        install(python, root, name, gpu)
        # The stamp comes last, so that an interrupted installation is taken up again.
        (venv / f".{name}.installed").write_text(stamps[name], encoding="utf8")
    return python


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(root: Path, lock: str) -> str:
    """A text that changes whenever the lock or pyproject.toml does."""
    content = b"".join((root / name).read_bytes() for name in (lock, "pyproject.toml"))
    return hashlib.sha256(content).hexdigest()


def stamp_of(venv: Path, lock: str) -> str:
    """The fingerprint of what was installed last; empty if no installation was completed."""
    stamp = venv / f".{lock}.installed"
    return stamp.read_text(encoding="utf8") if stamp.is_file() else ""


class Environment:
    """Runs commands in .venv, with the settings that were given after the target's name."""

    def __init__(self, settings: dict[str, str]):
        self.notebook = settings.get("NOTEBOOK", "")
        self.gpu = settings.get("GPU", "")
        self.settings = settings

    def python(self, lock: str = READER) -> Path:
        return prepare(lock, self.gpu)

    def run(self, module: str, *arguments: str, lock: str = READER, **variables: str) -> None:
        """`python -m module …`. Raises SystemExit if the command fails."""
        call([str(self.python(lock)), "-m", module, *arguments], variables)

    def teach(self, module: str, *arguments: str, **variables: str) -> None:
        """The same, with what teachers and the web book need installed as well."""
        self.run(module, *arguments, lock=TEACHER, **variables)

    def script(self, name: str, *arguments: str) -> None:
        """The same for a command that is not a module."""
        call([str(self.python().parent / name), *arguments], {})

    def sets(self) -> dict[str, str]:
        """Where the problem sets are: with SEED or VARIANTS, they are written into a folder now."""
        seed, own = (self.settings.get(name, "") for name in ("SEED", "VARIANTS"))
        if not seed and not own:
            return {}
        file = ["--variants", str(Path(own).expanduser().resolve())] if own else []
        file += ["--all"] if self.settings.get("ALL", "").strip("0") else []
        self.teach("tools.variants", seed or "0", *file)
        return {"COURSE_SOURCE": str(ROOT / "build" / f"source-{seed or 0}")}

    def chosen(self) -> list[str]:
        """The setting NOTEBOOK as arguments: none or one."""
        return [self.notebook] if self.notebook else []


def call(command: list[str], variables: dict[str, str]) -> None:
    """Run a command as if the environment were active. Raises SystemExit if it fails."""
    places = [str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)]
    active = {"VIRTUAL_ENV": str(ROOT / ".venv"), "PATH": os.pathsep.join(places)}
    active |= own_folders(Path.home(), ROOT / ".venv" / "home")
    with subprocess.Popen(command, cwd=ROOT, env=pip_environment() | active | variables) as process:
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # the command gets it too; JupyterLab asks before it stops
                continue
    if process.returncode:
        raise SystemExit(process.returncode)


def own_folders(home: Path, spare: Path) -> dict[str, str]:
    """Where Jupyter and Matplotlib may write if the home folder is read-only, as variables."""
    if os.access(home, os.W_OK):
        return {}
    spare.mkdir(exist_ok=True)
    names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    names += ("MPLCONFIGDIR",)
    return {name: str(spare / name.lower()) for name in names if name not in os.environ}


# ---- The environment itself --------------------------------------------------------------------


def usable(venv: Path) -> Path:
    """The Python of this environment, which is made if it is missing, and again if it is broken."""
    python = python_of(venv)
    if not venv.exists():
        print(f"Making a virtual environment in {venv.name}.", flush=True)
    elif (venv / "conda-meta").exists():
        raise SystemExit(
            f"{venv} is an environment that conda made, and this command needs one of its own "
            "there. Move or rename it, and run this again."
        )
    elif reason := fault(venv):
        print(f"Rebuilding {venv.name}: {reason}.", flush=True)
    else:
        return python
    check_python()
    try:
        if venv.exists():
            shutil.rmtree(venv)
    except OSError as error:
        raise SystemExit(
            f"{venv} could not be removed ({error}). Close JupyterLab and whatever else uses it, "
            "delete the folder, and run this again."
        ) from None
    # From inside an environment, an active one for example, take the Python it was made with.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if subprocess.run([base, "-m", "venv", str(venv)]).returncode or (reason := fault(venv)):
        raise SystemExit(
            f"{base} could not make a virtual environment in {venv}. Its message is above; "
            "another Python may do better, for example: python3.12 -m tools lab"
        )
    return python


def fault(venv: Path) -> str | None:
    """Why this environment cannot be used, in words, or None if it can."""
    python = python_of(venv)
    notes = settings(venv / "pyvenv.cfg")
    if not notes:
        return "it is not complete"
    made_in = re.search(r' -m venv (?:--[\w-]+(?:="[^"]*"|=\S+)? )*(.+)', notes.get("command", ""))
    if made_in and not same_folder(made_in[1], venv):
        return f"it was made in {made_in[1]}, and an environment cannot be moved"
    if not python.exists():
        return f"its Python in {notes.get('home', 'another folder')} no longer exists"
    version = output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    if version is None:
        return "its Python does not run"
    made_with = ".".join(notes.get("version", version).split(".")[:2])
    if made_with != version:
        return f"it was made with Python {made_with}, but that Python is now {version}"
    works = [python, "-m", "pip", "--version"]
    if output(works) is None:  # as in what `uv venv` makes; Python can add it
        output([python, "-m", "ensurepip"])
    if output(works) is None:
        return "its pip does not work, perhaps because it was interrupted while being made"
    return None


def settings(path: Path) -> dict[str, str]:
    """The `name = value` lines of a file; none if it cannot be read."""
    try:
        lines = path.read_text(encoding="utf8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def same_folder(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def check_python() -> None:
    """Raise SystemExit if this Python cannot make environments, and say what it lacks."""
    if all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        return
    version = "{}.{}".format(*sys.version_info[:2])
    raise SystemExit(
        f"{sys.executable} cannot make virtual environments, because a part of it is not "
        "installed. Python from python.org or conda has it. On Debian and Ubuntu, add it with: "
        f"sudo apt install python{version}-venv"
    )


# ---- What goes into it -------------------------------------------------------------------------


def install(python: Path, root: Path, lock: str, gpu: str) -> None:
    """Install what this lock pins and, with the first one, the helpers themselves."""
    if lock == READER:
        install_torch(python, pinned_torch(root), gpu)
    download, disk = MEGABYTES[lock]
    print(f"Installing {lock}: about {download} MB to download, {disk} on disk.", flush=True)
    # One resolution for both locks, so that the second cannot change what the first has pinned.
    locks = [READER] if lock == READER else [READER, TEACHER]
    pip(python, "install", "--quiet", *(f"--requirement={root / name}" for name in locks))
    if lock == READER:
        own = ["--no-deps", "--no-build-isolation", "--editable", str(root)]
        pip(python, "install", "--quiet", *own)
    else:
        # Otherwise readers would see nbgrader's buttons. `jupyter labextension enable` shows them.
        extension = ["disable", "--level=sys_prefix", "@jupyter/nbgrader"]
        output([python, "-m", "jupyterlab.labextensions", *extension])


def pip(python: Path, *arguments: str) -> None:
    """Run pip; raise SystemExit with advice if it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, env=pip_environment()).returncode == 0:
        return
    advice = (
        "If the network failed, run the same command again: what has arrived is not fetched twice."
    )
    first, last = (".".join(map(str, version)) for version in TRIED)
    if sys.version_info[:2] > TRIED[1]:
        advice = f"Python {first} to {last} were tried, but this one is newer; use one of those."
    raise SystemExit(f"pip could not install everything; its message is above. {advice}")


def pip_environment() -> dict[str, str]:
    """The variables without those that would make pip install anywhere but here."""
    elsewhere = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    return {name: value for name, value in os.environ.items() if name not in elsewhere}


def pinned_torch(root: Path) -> str:
    """ "torch==2.13.0", as the lock has it."""
    return re.search(r"^torch==\S+", (root / READER).read_text(encoding="utf8"), re.MULTILINE)[0]


def installed_torch(python: Path) -> str | None:
    """The version of torch in this environment, such as "2.13.0+cpu"; None if there is none."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    return output([python, "-c", code])


def other_torch_is_wanted(python: Path, gpu: str) -> bool:
    """Whether GPU=1 or GPU=0 asks for a build other than the one that is installed."""
    if not gpu or not sys.platform.startswith("linux"):
        return False
    version = installed_torch(python)
    if version is None or version.endswith("+cpu") == (gpu == "0"):
        return False
    possible = not own_sources(python) if gpu == "1" else index_answers(CPU_INDEX)
    if not possible:
        why = "of your pip configuration" if gpu == "1" else f"{CPU_INDEX} does not answer"
        print(f"torch {version} stays as it is, because {why}.", flush=True)
    return possible


def install_torch(python: Path, pin: str, gpu: str) -> None:
    """Install the CPU build if it is the right one; print what is going to be downloaded.

    In every other case nothing is installed here, and pip takes its usual build with the rest.
    """
    have = installed_torch(python)
    if have is not None and have.partition("+")[0] == pin.removeprefix("torch=="):
        return
    own = own_sources(python)
    if have is not None and not (gpu or own):  # a newer torch comes in the build that was chosen
        gpu = "0" if have.endswith("+cpu") else "1"
    build, why = choose_build(own, gpu)
    download, disk = TORCH["cuda" if build == "cuda" else "cpu"]
    if build == "own":
        small, large = TORCH["cpu"][0], TORCH["cuda"][0]
        print(f"{pin}: about {small} MB without CUDA, {large} with it. {why}.", flush=True)
        return
    print(f"{pin}: about {download} MB to download, {disk} on disk. {why}.", flush=True)
    if build == "cpu":
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
        command += ["--no-deps", "--index-url", CPU_INDEX, pin]
        if subprocess.run(command, env=pip_environment()).returncode:
            print(f"That did not work, so pip takes its usual build: {MANY}.", flush=True)


MANY = f"with CUDA, about {TORCH['cuda'][0]} MB"


def choose_build(own: list[str], gpu: str) -> tuple[str, str]:
    """("cpu", "cuda", "usual" or "own", why), for this machine.

    own: what the reader's pip configuration says about sources. It wins, except over GPU=0.
    """
    if not sys.platform.startswith("linux"):  # pip's usual build has no CUDA there
        extra = "; for CUDA on Windows see pytorch.org" if gpu == "1" else ""
        return "usual", f"This is pip's usual build for this system{extra}"
    if own and gpu != "0":
        return "own", f"Your pip configuration ({', '.join(own)}) says where it comes from"
    if gpu == "1":
        return "cuda", "This is the build with CUDA, because of GPU=1"
    if not gpu and has_nvidia_gpu():
        return "cuda", "This is the build with CUDA for your NVIDIA GPU; GPU=0 takes the small one"
    why = (
        "because of GPU=0"
        if gpu
        else "because no NVIDIA GPU was found; use GPU=1 for the CUDA build"
    )
    if index_answers(CPU_INDEX):
        return "cpu", f"This is the build without CUDA, {why}"
    if own:
        return "own", f"{CPU_INDEX} does not answer, so your pip configuration decides"
    return "cuda", (
        f"{CPU_INDEX}, which has the small build without CUDA, did not answer within {PATIENCE} "
        "seconds, so pip will download the large one. Press Ctrl-C if you do not want that"
    )


def own_sources(python: Path) -> list[str]:
    """The names of the settings by which the reader told pip where to look for packages."""
    text = output([python, "-m", "pip", "config", "list"]) or ""
    found = re.findall(r"\.(index-url|extra-index-url|find-links|no-index)='?[^'\s]", text)
    return sorted(set(found))


def has_nvidia_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU works here, including in Windows' Linux subsystem."""
    if Path("/proc/driver/nvidia/version").exists():
        return True
    tool = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")
    return tool is not None and "GPU" in (output([tool, "--list-gpus"]) or "")


def index_answers(address: str, patience: float = PATIENCE) -> bool:
    """Whether this package index has torch and answers in time, including the name's look-up."""
    answers = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{address}/torch/", timeout=patience) as reply:
                answers.append(reply.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
        except (OSError, ValueError, http.client.HTTPException):  # no network, no address, noise
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return answers == [True]


def output(command: list) -> str | None:
    """What a command prints, without the white space around it; None if it fails."""
    # A slow disk is not the environment's fault, so the command gets plenty of time.
    options = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        done = subprocess.run([str(part) for part in command], timeout=300, **options)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
