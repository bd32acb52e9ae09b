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
        "Python 3.11 or later is needed, and %s is %d.%d. Name another one, for example: "
        "python3.12 -m tools lab, or make lab PYTHON=python3.12"
        % ((sys.executable,) + tuple(sys.version_info[:2]))
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
    settings = {name: os.environ.get(name, "") for name in SETTINGS}  # make hands them on so
    names = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in SETTINGS:
            settings[name] = value
        elif word in known:
            names.append(word)
        elif word not in ("help", "-h", "--help"):
            near = difflib.get_close_matches(word, known, 1)
            meant = "Did you mean %s? " % near[0] if near else ""
            sys.exit("There is no target %r. %s`make help` lists them all." % (word, meant))
    if not names:
        print(listed(known))
    for name in names:
        known[name](Environment(settings))


def listed(known):
    lines = ["make NAME, or the same without make: %s -m tools NAME" % COMMAND, ""]
    lines += ["  %-19s %s" % (name, f.__doc__.splitlines()[0]) for name, f in known.items()]
    lines += ["", "Settings, behind the name:"]
    return "\n".join(lines + ["  %-19s %s" % pair for pair in SETTINGS.items()])


SETTINGS = {
    "NOTEBOOK": "only the notebooks that have this in their file names, such as NOTEBOOK=07",
    "GPU": "1 installs torch with CUDA, 0 without it; unset, the machine decides",
}
COMMAND = "py" if os.name == "nt" else "python3"

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no "ü" shows "?" instead
        stream.reconfigure(errors="replace")
    main(sys.argv[1:])
