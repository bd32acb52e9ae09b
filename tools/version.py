"""Which version of the problem sets a course has: decided once, and kept with its gradebook.

Whatever releases or grades calls `settle` first. SEED, ALL and VARIANTS decide when the sets are
released (or graded, if that was on another machine). They are kept in the gradebook's folder, in
released.json, together with the version of each task, so they need not be given again.
"""

import json
import os
import shutil
from pathlib import Path

from tools.notebooks import ROOT
from tools.variants import MADE_WITH, make

# This repository's sets, with no file of your own.
PUBLISHED: dict = {"seed": 0, "variants": "", "file": "", "all": False, "versions": {}}
SETTINGS = ("COURSE_SOURCE", "SEED", "VARIANTS")


def settle(decides: bool = False) -> bool:
    """Let COURSE_SOURCE name the sets that were released; whether anybody has said which.

    Whatever `decides` keeps the answer.

    Raises SystemExit if others are asked for, because right answers to these would lose points.
    """
    grading = Path(os.environ.get("GRADING", ROOT / "grading")).resolve()
    kept, copy = grading / "released.json", grading / "released_variants.py"
    before = json.loads(kept.read_text("utf8")) if kept.is_file() else None
    known = before or any(os.environ.get(name) for name in SETTINGS)
    if "COURSE_SOURCE" not in os.environ:
        seed, own = os.environ.get("SEED", ""), os.environ.get("VARIANTS", "")
        everything = os.environ.get("ALL", "").strip("0") != ""
        if before and not seed and not own:
            seed, own = str(before["seed"]), str(copy) if before["variants"] else ""
            everything = everything or before.get("all", False)
        if everything and not seed.strip("0"):
            raise SystemExit("ALL changes every task, but which seed? Give one, as in SEED=2027.")
        if seed.strip("0") or own:
            os.environ["COURSE_SOURCE"] = str(made(seed or "0", own, everything))
    asked = PUBLISHED
    if "COURSE_SOURCE" in os.environ:
        note = Path(os.environ["COURSE_SOURCE"]) / MADE_WITH
        if not note.is_file():  # sets of your own, which were not made from ours
            return True
        asked = json.loads(note.read_text("utf8"))
    if before is None and decides:
        grading.mkdir(parents=True, exist_ok=True, mode=0o700)
        if asked["variants"]:
            shutil.copy(asked["file"], copy)
        kept.write_text(json.dumps(asked) + "\n", encoding="utf8")
    elif before and any(
        asked[key] != before.get(key, PUBLISHED[key]) for key in ("seed", "variants", "all")
    ):
        raise SystemExit(
            f"The sets that belong to this gradebook were made with {in_words(before)}, but this "
            f"time they would be made with {in_words(asked)}. Right answers would then lose their "
            "points, so nothing was done. Leave SEED, ALL and VARIANTS out, and what was "
            "released is used. For another course, name another folder: GRADING=…. If nobody has "
            f"the released sets yet, remove {kept} and try again."
        )
    elif before and asked["versions"] != before.get("versions", {}):
        raise SystemExit(
            "The sets that belong to this gradebook were made from an earlier state of this "
            "repository, in which their seed chose other versions of some tasks. Right answers "
            "would lose their points, so nothing was done. Grade this course with the repository "
            "as it was when you released the sets, or, if nobody has them yet, remove "
            f"{kept} and release them again."
        )
    return bool(known)


def made(seed: str, own: str, everything: bool) -> Path:
    """The folder with the sets of this seed and these variants, which are written now."""
    if not seed.isdecimal():
        raise SystemExit(f"SEED is {seed!r}, but must be a whole number, such as the year.")
    try:
        return make(int(seed), Path(own).expanduser() if own else None, everything)[0]
    except ValueError as error:
        raise SystemExit(str(error)) from None


def in_words(version: dict) -> str:
    seed = f"SEED={version['seed']}" if version["seed"] else "no SEED"
    seed += " ALL=1" if version.get("all") else ""
    if not version["variants"]:
        return f"{seed} and no VARIANTS"
    return f"{seed} and VARIANTS={version['file']} (sha256 {version['variants'][:8]})"
