"""What one learner needs: memory and processor time of a notebook, run from top to bottom.

`OMP_NUM_THREADS=1 python -m benchmarks.footprint 00 07` prints a line for each notebook: the most
memory that its kernel held together with the processes it started, what it still held at the end,
processor seconds and seconds on the clock. Memory is the resident set, looked at twenty times a
second; pages that processes share are counted once for each, so the number is on the safe side.
The first line is the JupyterLab server alone, which every learner also has running.
"""

import os
import platform
import subprocess
import sys
import threading
import time

import psutil
import torch
from nbclient import NotebookClient

from tools.notebooks import paths, read

MB = 1_000_000


def resident(process: psutil.Process) -> int:
    """Bytes that a process and its descendants hold in memory; 0 for what has just ended."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += member.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


class Watch:
    """Looks at a process's memory every 50 ms in a thread of its own and keeps the largest."""

    def __init__(self, process: psutil.Process):
        self.process, self.peak, self.over = process, 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self) -> None:
        while not self.over.wait(0.05):
            self.peak = max(self.peak, resident(self.process))

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *error) -> None:
        self.over.set()
        self.thread.join()


def measure(path) -> dict[str, float]:
    """{'peak': MB, 'left': MB, 'cpu': seconds, 'wall': seconds} of one notebook."""
    notebook = read(path)
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],
    )
    with client.setup_kernel():
        process = psutil.Process(client.km.provisioner.pid)
        started = time.perf_counter()
        with Watch(process) as watch:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        wall, times = time.perf_counter() - started, process.cpu_times()
        cpu = times.user + times.system + times.children_user + times.children_system
        return {"peak": watch.peak / MB, "left": resident(process) / MB, "cpu": cpu, "wall": wall}


def server(seconds: float = 8.0) -> float:
    """The MB that an idle JupyterLab server holds some seconds after its start."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(seconds)
        return resident(psutil.Process(running.pid)) / MB
    finally:
        running.terminate()
        running.wait()


def main() -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(f"{platform.platform()}, {os.cpu_count()} cores, OMP_NUM_THREADS {threads}")
    print(f"Python {platform.python_version()}, torch {torch.__version__}\n")
    print("| | peak MB | MB at the end | processor s | wall s |\n|---|---:|---:|---:|---:|")
    print(f"| the server, idle | {server():.0f} | | | |", flush=True)
    for name in sys.argv[1:] or [""]:
        for path in paths(name):
            m = measure(path)
            row = f"{m['peak']:.0f} | {m['left']:.0f} | {m['cpu']:.0f} | {m['wall']:.0f}"
            print(f"| {path.stem[:2]} | {row} |", flush=True)


if __name__ == "__main__":
    main()
