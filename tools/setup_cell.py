# @title Set-up: run this cell first (it never installs torch or numpy)
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

VERSION, ADDRESS = "0.2.0.dev0", "https://github.com/OWNER/understanding-transformers"


class SetUpStopped(Exception):
    def _render_traceback_(self):  # the sentence alone, without a traceback
        return [str(self)]


try:
    import numpy
    import torch
except (ImportError, OSError) as error:
    raise SetUpStopped(
        f"This kernel runs {sys.executable}, which cannot be used here ({error}): "
        "choose the kernel of this project's environment, usually .venv (JupyterLab: "
        "Kernel > Change Kernel; VS Code: top right), or make one as the README says."
    ) from None
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "helpers" / "notebook_setup.py").exists():
        sys.path.insert(0, str(folder))
        break
found, why = importlib.util.find_spec("helpers"), "their repository has no address yet"
if found is None and "/OWNER/" not in ADDRESS:  # on Colab, for example
    source = f"git+{ADDRESS}@{'main' if 'dev' in VERSION else 'v' + VERSION}"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", source]
    calm = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "PIP_NO_COLOR": "1"}
    said = subprocess.run(pip, env=calm, capture_output=True, text=True).stderr
    reasons = r".*\[Errno.*|fatal: .*|pathspec .*|ERROR: (?!Exception:).*|[^\n]*\Z"
    why = re.search(reasons, said.strip())[0]
    importlib.invalidate_caches()
    found = importlib.util.find_spec("helpers")
if found is None:
    raise SetUpStopped(
        f"The helpers are not here and cannot be fetched from {ADDRESS} ({why}): run "
        "this again with a network, or download the repository and work in it."
    )
where = found.origin or [*found.submodule_search_locations][0]
if not Path(where).with_name("notebook_setup.py").exists():
    raise SetUpStopped(
        f"`helpers` is another module here, or an old version of ours ({where}): "
        "rename, move or update it, then restart the kernel."
    )

import helpers.notebook_setup

torch.manual_seed(0)
helpers.notebook_setup.start(VERSION)
