"""`python -m tools.mark ps1` opens nbgrader's formgrader, to mark the answers in words.

Formgrader works only if the gradebook's folder is below the root of the Jupyter server, and only
with nbgrader's configuration, which is in course/. So the server is started here, with both.
"""

import argparse
import os
from pathlib import Path

from tools.release import COURSE, environment
from tools.version import settle


def options(folder: Path, assignment: str) -> list[str]:
    """What JupyterLab is started with. Raises SystemExit if there is nothing to mark."""
    if not (folder / "gradebook.db").is_file():
        raise SystemExit(
            f"Nothing has been graded yet: there is no {folder / 'gradebook.db'}. Run make grade "
            "first, or set GRADING to the folder that has the gradebook."
        )
    graded = sorted({path.name for path in (folder / "autograded").glob("*/*") if path.is_dir()})
    if assignment and assignment not in graded:
        known = ", ".join(graded) or "none"
        raise SystemExit(f"No submission of {assignment} has been graded (graded so far: {known}).")
    page = "/".join(["/formgrader/gradebook", *[assignment] * 2]) if assignment else "/formgrader"
    # Otherwise the login cookie would be for this one page, and not for the requests that it makes.
    cookie = "--IdentityProvider.cookie_options={'path': '/'}"
    return [f"--ServerApp.root_dir={folder}", f"--LabApp.default_url={page}", cookie]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assignment", nargs="?", default="", help="such as ps1")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    arguments = parser.parse_args(argv)
    os.environ.update(environment())
    settle()
    chosen = options(Path(os.environ["GRADING"]), arguments.assignment)
    chosen += [f"--ServerApp.port={arguments.port}"]
    chosen += ["--no-browser"] if arguments.no_browser else []
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        chosen.append("--allow-root")
    from jupyterlab.labapp import main as lab

    os.chdir(COURSE)
    lab(chosen)


if __name__ == "__main__":
    main()
