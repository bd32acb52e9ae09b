"""Everything that can be done here, in one command: `python3 -m tools` lists it.

    python3 -m tools lab                      the same as make lab
    python3 -m tools sync execute NOTEBOOK=07 several in a row, with a setting
    py -m tools lab                           on Windows

The targets are functions in targets.py; the Makefile only passes their names on.
"""

import difflib
import inspect
import os
import sys

# This has to run on Pythons that are too old for the rest, to be able to say so.
if sys.version_info < (3, 11):
    sys.exit(
        f"Python 3.11 or later is needed, and {sys.executable} is {sys.version_info[0]}."
        f"{sys.version_info[1]}. Name another one, for example: python3.12 -m tools lab, or "
        "make lab PYTHON=python3.12"
    )


def main(words):
    """Run these targets, one after the other, with the settings among them: ["lab", "GPU=1"]."""
    from tools import targets
    from tools.environment import Environment

    known = {
        name.replace("_", "-"): function
        for name, function in vars(targets).items()
        if inspect.isfunction(function) and function.__module__ == targets.__name__
    }
    settings = {name: os.environ.get(name, "") for name in SETTINGS}  # make passes them like this
    names = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in SETTINGS:
            settings[name] = value
        elif word in known:
            names.append(word)
        elif word not in ("help", "-h", "--help"):
            near = difflib.get_close_matches(word, known, 1)
            meant = f"Did you mean {near[0]}? " if near else ""
            sys.exit(f"There is no target {word!r}. {meant}`make help` lists them all.")
    if not names:
        print(listed(known))
    for name in names:
        try:
            known[name](Environment(settings))
        except KeyboardInterrupt:
            sys.exit("\nStopped. Run the same command to start it again.")


def listed(known):
    python = "py" if os.name == "nt" else "python3"
    lines = [f"make NAME, or the same without make: {python} -m tools NAME", ""]
    lines += [f"  {name:18} {function.__doc__.splitlines()[0]}" for name, function in known.items()]
    lines += ["", "Settings, after the name:"]
    return "\n".join(lines + [f"  {name:18} {text}" for name, text in SETTINGS.items()])


SETTINGS = {
    "NOTEBOOK": "only the notebooks that have this in their file names, such as NOTEBOOK=07",
    "GPU": "1 installs torch with CUDA, 0 without it; unset, the machine decides",
    "MINUTES": "for slides: a shorter talk, of a length that the first slide's notes name",
    "WEEK": "for slides: one file for a lecture of the fourteen weeks, such as WEEK=3, or WEEK=all",
    "SHARP": "for slides: yes executes the notebooks first, for sharp pictures with large labels",
    "PDF": "for slides: yes also prints each deck as a PDF, one slide on each page",
    "SET": "for grade and mark: the problem set, such as SET=ps1",
    "FROM": "for grade: the folder or zip archive with the submissions",
    "JOBS": "for grade: how many submissions at the same time, as many as there are cores at most",
    "SEED": "for release, student: a number, such as the year, that varies the tasks; it is kept",
    "ALL": "for the same: ALL=1 leaves no task as it is published",
    "VARIANTS": "for the same: a file with variants of the tasks that only you have",
    "ADDRESS": "for student: where the students' repository will live",
}

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no "ü" shows "?" instead
        stream.reconfigure(errors="replace")
    main(sys.argv[1:])
