# @title Set-up: run this cell first (it never installs torch or numpy)
import importlib.util
import subprocess
import sys
from pathlib import Path

VERSION, ADDRESS = "0.2.0.dev0", "https://github.com/OWNER/understanding-transformers"
Stopped = type("SetUpStopped", (Exception,), {"_render_traceback_": lambda e: [str(e)]})
try:
    import numpy
    import torch
except (ImportError, OSError) as error:
    advice = "Choose the kernel .venv (menu Kernel; VS Code: top right) or see README."
    raise Stopped(f"{sys.executable} cannot run this ({error}). {advice}") from None
for folder in reversed((Path.cwd(), *Path.cwd().parents)):
    if (folder / "helpers" / "notebook_setup.py").exists():
        sys.path.insert(0, str(folder))
found, why = importlib.util.find_spec("helpers"), "an address to be filled in"
if found is None and "/OWNER/" not in ADDRESS:  # on Colab, for example
    archive = f"{ADDRESS}/archive/{'main' if 'dev' in VERSION else 'v' + VERSION}.zip"
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-color"]
    error = subprocess.run([*pip, archive], capture_output=True, text=True).stderr
    importlib.invalidate_caches()
    found, why = importlib.util.find_spec("helpers"), error.strip().split("\n")[-1]
if found is None:
    raise Stopped(f"No helpers here, nor at {ADDRESS} ({why}). Is there a network?")
where = Path(found.origin or [*found.submodule_search_locations][0])
if not where.with_name("notebook_setup.py").exists():
    raise Stopped(f"{where} hides our helpers. Move or update it, restart the kernel.")
importlib.import_module("helpers.notebook_setup").start(VERSION, seed=0)
