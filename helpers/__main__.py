"""The command `understanding-transformers`: open the series in JupyterLab.

understanding-transformers        notebook 00
understanding-transformers 07     the notebook with 07 in its name
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def find(name: str) -> Path:
    """The first notebook that has `name` in its file name. Raises FileNotFoundError."""
    if not NOTEBOOKS.is_dir():
        raise FileNotFoundError(
            f"the notebooks are not in {NOTEBOOKS}: this is the installed package, which comes "
            "without them. Get the whole repository and run `python3 -m tools lab` in it"
        )
    found = sorted(path for path in NOTEBOOKS.glob("*.ipynb") if name in path.name)
    if not found:
        raise FileNotFoundError(f"no notebook in {NOTEBOOKS} has {name!r} in its name")
    return found[0]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("understanding-transformers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("notebook", nargs="?", default="00", help="part of its name, such as 07")
    notebook = parser.parse_args(argv).notebook
    try:
        path = find(notebook)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    try:
        from jupyterlab.labapp import main as jupyterlab
    except ImportError:
        sys.exit(
            f"error: {sys.executable} has no JupyterLab. In the repository, "
            "`python3 -m tools lab` installs everything and opens it"
        )
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    sys.exit(jupyterlab([str(path), *(["--allow-root"] if as_root else [])]))


if __name__ == "__main__":
    main()
