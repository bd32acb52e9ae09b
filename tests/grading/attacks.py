"""Submissions that want points for something else than an answer, or want others to lose theirs.

Each is a cell in which `packed_mask` should be written, and none may pass the test behind it. All
are tried one after the other in one submission, which must still get the points of the task that
it has solved. To add an attack, add an entry; its key says what it tries. What is destructive goes
into the function, because cells run again after a process has ended. ISOLATED ones need
namespaces, and must print FOUND 0.
"""

WRONG = "\n\ndef packed_mask(documents):\n    return None\n"

# What the process sends is put together by hand.
LIES = """\
import gc


class Lie:
    def __init__(self, sent):
        self.sent = sent


for thing in gc.get_objects():
    if type(thing).__name__ == "Wire":
        kind = type(thing)
honest = getattr(kind, "honest", kind.plain)
kind.honest = honest
kind.plain = lambda self, value, blocks: (
    value.sent if isinstance(value, Lie) else honest(self, value, blocks)
)


"""

ATTACKS = {
    "replace the shell's run_cell": """\
shell = get_ipython()
shell.run_cell = lambda *a, **k: None
shell.events.register("post_run_cell", lambda r: setattr(r, "error_in_exec", None))"""
    + WRONG,
    "let all that compares say yes": """\
import builtins, sys
yes = lambda *a, **k: True
torch.equal = torch.allclose = torch.Tensor.equal = torch.Tensor.allclose = yes
torch.Tensor.tolist = lambda self: []
builtins.all = builtins.abs = yes
AssertionError = type("AssertionError", (), {"__init__": yes})
agree = differ = yes"""
    + WRONG,
    "return what equals everything": """\
class Yes:
    shape, dtype = (), None
    __eq__ = __le__ = __lt__ = __bool__ = lambda self, *other: True
    __getattr__ = lambda self, name: self
    __call__ = __getitem__ = lambda self, *anything: self
    __iter__ = lambda self: iter([])
    __hash__ = lambda self: 0


def packed_mask(documents):
    return Yes()
""",
    "pass for a tensor": """\
class Fake(torch.Tensor):
    def __torch_function__(self, *a, **k):
        return True

    __eq__ = tolist = flatten = lambda self, *a: []


def packed_mask(documents):
    return torch.zeros(1).as_subclass(Fake)
""",
    "take the expected value out of memory": """\
import gc, sys


def packed_mask(documents):
    size = (len(documents), 1, documents.size(1), documents.size(1))
    frame, seen = sys._getframe(), []
    while frame:
        seen += [*frame.f_locals.values(), *frame.f_globals.values()]
        frame = frame.f_back
    seen += [o for o in gc.get_objects() if isinstance(o, torch.Tensor)]
    fits = [o for o in seen if isinstance(o, torch.Tensor) and o.shape == size]
    return fits[0] if fits else None
""",
    "write a verdict into the pipe": """\
import os


def packed_mask(documents):
    for number in range(3, 20):
        try:
            os.write(number, b"\\x0f" + bytes(15) + b'["answer",null]')
        except OSError:
            pass
""",
    "bring code along": """\
class Bomb:
    def __reduce__(self):
        return exec, ("open('/tmp/grading-was-here', 'w')",)


def packed_mask(documents):
    return Bomb()
""",
    "answer with too much": """\
def packed_mask(documents):
    return torch.zeros(30_000_000)
""",
    "answer with nonsense": """\
def packed_mask(documents):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep
""",
    "announce more than is sent": LIES
    + """\
def packed_mask(documents):
    size = (len(documents), 1, documents.size(1), documents.size(1))
    lie = [["tensor", ["bool", list(size), 0, 0]], ["tensor", ["float32", [200_000_000], 0, 0]]]
    return Lie(lie[documents.numel() > 3])
""",
    "send the same bytes again and again": LIES
    + """\
def packed_mask(documents):
    again = ["tensor", ["uint8", [10_000_000], 0, 10_000_000]]
    return [torch.zeros(10_000_000, dtype=torch.uint8), Lie(["list", [again] * 1000])]
""",
    "exit": "import os" + WRONG + "    \n\ndef packed_mask(documents):\n    os._exit(0)\n",
    "exit at once": "import os\nos._exit(0)",
    "kill everybody": """\
import os, signal


def packed_mask(documents):
    for target in (os.getppid(), -1, 0):
        try:
            os.kill(target, signal.SIGKILL)
        except OSError:
            pass
""",
    "loop for ever": """\
def packed_mask(documents):
    while True:
        pass
""",
    "loop and refuse to stop": """\
def packed_mask(documents):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "sleep for ever": """\
import time


def packed_mask(documents):
    time.sleep(1e6)
""",
    "sleep, but not for long at a time": """\
import time


def packed_mask(documents):
    while True:
        time.sleep(0.05)
        sum(range(20_000))
""",
    "fill the memory": """\
def packed_mask(documents):
    return sum([torch.ones(50_000_000) for _ in range(100)])
""",
    "print without end": """\
import os
print("x" * 50_000_000)


def packed_mask(documents):
    for _ in range(100):
        os.write(1, b"y" * 1_000_000)
        os.write(2, b"z" * 1_000_000)
""",
    "leave a process behind": """\
import os, time


def packed_mask(documents):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(3, 64):
                try:
                    os.close(number)
                except OSError:
                    pass
            time.sleep(1234.5)
        os._exit(0)
""",
    "multiply": """\
import os, time


def packed_mask(documents):
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(600)
    time.sleep(2)
""",
}

ISOLATED = {
    "read the solution": """\
import os, pathlib, re, sys
import helpers
text = ""
here = [pathlib.Path(helpers.__file__).parents[1], pathlib.Path.cwd(), pathlib.Path("{root}")]
there = [pathlib.Path(p) for p in (*sys.path, "/", "/proc/self/root", "/root", "/home")]
found = [*here[0].rglob("*.ipynb"), *here[1].rglob("*.ipynb")]
for place in here + there:
    for pattern in ("*.ipynb", "*/*.ipynb", "course/source/*/*.ipynb"):
        found += place.glob(pattern)
for path in found:
    text += path.read_text()
print("FOUND", len(text))"""
    + WRONG,
    "write into the gradebook": """\
import os, pathlib
written = []
for base in ("{room}", f"/proc/{os.getppid()}/cwd", "/proc/1/cwd", "/proc/1/root/{room}"):
    try:
        (pathlib.Path(base) / "gradebook.db").write_text("mine")
        written.append(base)
    except OSError:
        pass
print("FOUND", len([w for w in written if "/proc/1/cwd" not in w]))"""
    + WRONG,
    "call home": """\
import socket
try:
    socket.create_connection(("1.1.1.1", 53), 2)
    print("FOUND 1")
except OSError:
    print("FOUND 0")"""
    + WRONG,
    "fill the disk": """\
written = 0
try:
    for number in range(100):
        with open(f"/tmp/{number}", "wb") as file:
            written += file.write(b"x" * 10_000_000)
            file.flush()
except OSError:
    pass
print("FOUND", int(written > 300_000_000))"""
    + WRONG,
    "become somebody else": """\
import ctypes, os
libc = ctypes.CDLL(None)
gained = [libc.umount2(b"/library/helpers", 2), libc.unshare(0x00020000)]
gained.append(libc.chroot(b"/proc/1/root"))
open("/tmp/x", "w").close()
try:
    open("/library/helpers/attention.py", "a").close()
    gained.append(0)
except OSError:
    pass
print("FOUND", gained.count(0))"""
    + WRONG,
}
