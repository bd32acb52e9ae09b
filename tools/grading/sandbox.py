"""Start the process for a submission, out of reach of everything, and end whatever it leaves.

Three ways, the first that this machine allows:

"user"        as root: a user of its own in namespaces of its own
"namespaces"  as somebody else, where unprivileged user namespaces are allowed
"plain"       neither: limits only. Such a process can read whatever you can read.

In namespaces the process has a file system with Python, the helpers and an empty folder that
forgets; it sees no other process and no network, and when it ends the kernel ends its children.
"""

import contextlib
import functools
import math
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Runs as (namespaced) root; nothing of the submission runs before the last line.
ENTER = """\
set -e
root=$1 uid=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o size=$SIZE,mode=755 tmpfs "$root"
while read -r from to; do
    if [ -d "$from" ]; then mkdir -p "$root$to"; else
        mkdir -p "$(dirname "$root$to")"; touch "$root$to"; fi
    mount --bind "$from" "$root$to"
    case "$to" in /dev/*) ;; *) mount -o remount,bind,ro,nosuid "$root$to" ;; esac
done <<LIST
$MOUNTS
LIST
mkdir -p "$root/proc" "$root/tmp" "$root/home/student"
mount -t proc proc "$root/proc"
chmod 1777 "$root/tmp"
chown "$uid" "$root/home/student" 2>/dev/null || chmod 777 "$root/home/student"
exec chroot "$root" /bin/sh -c 'cd /home/student; exec "$@"' sh "$@"
"""


@dataclass
class Limits:
    """What one submission may take. Times are processor seconds unless they say otherwise."""

    cell: float = 30  # for a cell, and for a test; a cell tagged "slow" gets eight times as much
    submission: float = 1200
    idle: float = 60  # seconds on the clock that a cell or a test may sleep, all together
    clock: float = 15  # times the processor seconds, on the clock: for a machine that is busy
    whole: float = 1800  # seconds on the clock, for everything that a submission does
    megabytes: int = 3000
    processes: int = 64
    disk: int = 100  # MB in its own folder
    restarts: int = 12  # after its process has ended

    def scaled(self, slow: bool) -> float:
        return self.cell * (8 if slow else 1)


@functools.cache
def way() -> str:
    """The safest way that works on this machine."""
    for name in ("user", "namespaces") if sys.platform == "linux" else ():
        if name == "user" and os.geteuid() != 0:
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [*command_for(name, Path(folder)), "/bin/sh", "-c", "exit 0"]
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                options = dict(capture_output=True, timeout=60, env=environment(name))
                if subprocess.run(command, **options).returncode == 0:
                    return name
    return "plain"


WARNING = (
    "WARNING: this machine lets us use neither another user nor namespaces. A submission runs as "
    "you and can read your files. Grade in the container: see course/grading.md."
)


def refuse_unprotected() -> None:
    """Stop unless submissions are kept away from everything, or somebody has said they need not."""
    if way() == "plain" and os.environ.get("UNPROTECTED") != "1":
        raise SystemExit(
            f"{WARNING}\nNothing was graded. If you trust every submission, add --unprotected "
            "to python -m tools.grade, or set UNPROTECTED=1."
        )


def command_for(name: str, folder: Path, uid: int = 0) -> list[str]:
    """The command that comes before the one to be run."""
    if name == "plain":
        return []
    spaces = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]
    spaces += ["--kill-child", *(["--user", "--map-root-user"] if name == "namespaces" else [])]
    nobody = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    if name == "user":
        uid = uid or 60_000_000 + os.getpid()
        nobody += [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [*spaces, "/bin/sh", "-c", ENTER, "sh", str(folder), str(uid), *nobody]


def mounts() -> str:
    """What a submission can see of this machine's files, all of it read-only."""
    python = {
        sys.prefix,
        sys.base_prefix,
        sysconfig.get_path("platlib"),
        os.path.realpath(sys.prefix),
    }
    seen = [p for p in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/fonts",
                        "/etc/alternatives", *sorted(python)) if os.path.exists(p)]  # fmt: skip
    kept = [p for p in seen if not any(p.startswith(f"{q}/") for q in seen)]
    pairs = [f"{path} {path}" for path in kept]
    pairs += [f"/dev/{name} /dev/{name}" for name in ("null", "zero", "urandom", "random")]
    pairs += [f"{ROOT / 'helpers'} /library/helpers"]
    return "\n".join([*pairs, *(f"{HERE / f} /grader/{f}" for f in ("student.py", "wire.py"))])


def environment(name: str, home: str = "/home/student", disk: int = 100) -> dict[str, str]:
    """Nothing of the grader's own environment."""
    path = os.pathsep.join(["/usr/bin", "/bin", "/usr/sbin", "/sbin"])
    one = {f"{lib}_NUM_THREADS": "1" for lib in ("OMP", "MKL", "OPENBLAS")}
    found = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **one}
    found |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MPLCONFIGDIR": home}
    return found | ({} if name == "plain" else {"MOUNTS": mounts(), "SIZE": f"{disk}m"})


class Sandbox:
    """One process for a submission, and the thread that watches it."""

    def __init__(self, limits: Limits, name: str = "", until: float = math.inf):
        self.limits, self.why, name = limits, "", name or way()
        self.until = until  # by time.monotonic()
        self.asked = True  # whether it is its turn, and not the examiner's
        self.folder = Path(tempfile.mkdtemp(prefix="submission-"))
        inner, outer = os.pipe(), os.pipe()  # to the process, and from it
        code, library, home = "/grader/student.py", "/library", "/home/student"
        if name == "plain":
            home = str(self.folder / "home")
            shutil.copytree(ROOT / "helpers", self.folder / "library" / "helpers")
            for file in ("student.py", "wire.py"):
                shutil.copy(HERE / file, self.folder / file)
            os.mkdir(home)
            code, library = str(self.folder / "student.py"), str(self.folder / "library")
        others = 0 if name == "user" else threads_of_mine()
        numbers = (inner[0], outer[1], limits.megabytes, limits.processes + others)
        command = [*command_for(name, self.folder), sys.executable, "-I", "-B", code, library]
        self.process = subprocess.Popen(
            [*command, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(name, home, limits.disk),
            cwd=home if name == "plain" else "/",
            pass_fds=(inner[0], outer[1]),
            start_new_session=True,
        )
        os.close(inner[0]), os.close(outer[1])
        self.reader, self.writer = outer[0], inner[1]
        self.total, self.lock = 0.0, threading.Lock()
        self.expect(limits.cell + 60)  # Python, torch and the helpers are imported here
        self.ended = threading.Event()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def expect(self, seconds: float) -> None:
        """Allow this many processor seconds from now on; after that, it is killed."""
        with self.lock:
            self.base, self.allowed = self.total, seconds
            self.idle, self.start = 0.0, time.monotonic()

    def watch(self) -> None:
        try:
            self.watch_closely()
        except Exception as error:  # never leave it running unwatched
            self.why = f"cut off because it could not be watched: {type(error).__name__}"
            self.kill()

    def watch_closely(self) -> None:
        threading.Thread(target=self.drain, daemon=True).start()
        last, limits = time.monotonic(), self.limits
        seen: dict[int, float] = {}  # processor seconds of every process that ever was
        while not self.ended.wait(0.25):
            now = time.monotonic()
            family = descendants(self.process.pid)
            memory, awake = 0, False
            for one in family:
                with contextlib.suppress(psutil.Error), one.oneshot():
                    times = one.cpu_times()
                    # Whatever waits for a processor is not asleep.
                    awake |= one.status() != psutil.STATUS_SLEEPING
                    seen[one.pid] = times.user + times.system
                    memory += one.memory_info().rss
            with self.lock:
                before, self.total = self.total, sum(seen.values())
                if self.asked and not awake:
                    self.idle += max(0.0, now - last - (self.total - before))
                used, clock = self.total - self.base, now - self.start
                reasons = {
                    f"{self.allowed:.0f} s of processor time": used > self.allowed,
                    f"{limits.submission:.0f} s of processor time in all":
                        self.total > limits.submission,
                    f"{limits.idle:.0f} s without doing anything": self.idle > limits.idle,
                    f"{limits.clock * self.allowed:.0f} s on the clock":
                        clock > limits.clock * self.allowed,
                    f"{limits.whole:.0f} s on the clock in all": now > self.until,
                    f"{limits.megabytes} MB of memory": memory > limits.megabytes * 1_000_000,
                    f"{limits.processes} processes": len(family) > limits.processes,
                }  # fmt: skip
            last = now
            if over := [reason for reason, true in reasons.items() if true]:
                self.why = f"cut off after {over[0]}"
                self.kill()
                return

    def drain(self) -> None:
        """Keep the end of what the process writes to standard error, at most about a page."""
        self.words = b""
        with contextlib.suppress(OSError, ValueError):
            while block := os.read(self.process.stderr.fileno(), 65536):
                self.words = (self.words + block)[-4000:]

    def kill(self) -> None:
        """End the process and every process that came from it."""
        family = descendants(self.process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)

    def close(self) -> None:
        self.ended.set()
        self.kill()
        kill_orphans()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        one = psutil.Process(pid)
        return [one, *one.children(recursive=True)]
    return []


def adopt_orphans() -> None:
    """Let this process, not init, become the parent of whatever a submission leaves behind."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def limit_memory(megabytes: int) -> None:
    """Let this process, which examines one submission, take so much memory more and not all of it.

    What a submission sends may become larger here, for example when a test makes a list of it.
    """
    if sys.platform == "linux":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = psutil.Process().memory_info().data + megabytes * 1_000_000
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def kill_orphans() -> None:
    """Kill whatever is left below this process, which examines one submission and nothing else."""
    for _ in range(20):
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.05)


def threads_of_mine() -> int:
    mine, count = os.getuid(), 0
    for one in psutil.process_iter(["uids", "num_threads"]):
        if one.info["uids"] and one.info["uids"].real == mine:
            count += one.info["num_threads"] or 0
    return count
