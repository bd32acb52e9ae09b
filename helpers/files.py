"""Files that are written whole or not at all, errors that say what to do, and small tables."""

import csv
import errno
import glob
import io
import os
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.resources.abc import Traversable
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, a limit for files


def write_file(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all: the old one stays until all of the new one is on disk.

    Several processes may write the same file at once: each writes to a part of its own beside it,
    and the one that finishes last wins.
    Raises FileNotFoundError if the folder does not exist, OSError (disk full, read-only, …)
    naming the file and what to do.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder of path={str(path)!r} does not exist; create it first")
    remove_leftovers(path)
    temporary = own_part(path)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        remove(temporary)
        raise cannot_write(path, error) from None
    except BaseException:  # Ctrl-C
        remove(temporary)
        raise


def own_part(path: Path) -> Path:
    """A name that only this writer uses: that of path, then eight hex digits, then .part."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def remove_leftovers(path: Path) -> None:
    """Remove what writers of `path` left when they were killed: parts untouched for 5 minutes."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 8}.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > 300:
                part.unlink()


def remove(path: Path) -> None:
    with suppress(OSError):  # not there, or in a folder that nobody may write to
        path.unlink()


def cannot_write(path: str | Path, error: OSError) -> OSError:
    """The same error, naming the file and what to do."""
    what = "make room on that disk" if error.errno in FULL else "name a place that you may write to"
    return OSError(
        error.errno, f"{error.strerror}: {str(path)!r} was not written and is unchanged; {what}"
    )


def check_writable(path: str | Path) -> None:
    """Raise now the OSError that write_file would raise later, after hours of work."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"{str(path)!r} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder of path={str(path)!r} does not exist; create it first")
    trial = own_part(path)
    try:
        trial.touch()
    except OSError as error:
        raise cannot_write(path, error) from None
    remove(trial)


def write_table(
    path: Path, header: Iterable[str], rows: Iterable[Sequence], comments: Sequence[str] = ()
) -> None:
    """A CSV file with `# comments` on top, whole or not at all."""
    text = io.StringIO()
    text.writelines(f"# {comment}\n" for comment in comments)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_file(path, text.getvalue().encode("utf8"))


def read_table(path: Traversable, made_by: str) -> tuple[list[dict[str, str]], list[str]]:
    """(rows, comments) of such a file. Raises FileNotFoundError that names what makes it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is not there; `{made_by}` writes it")
    lines = path.read_text(encoding="utf8").splitlines()
    comments = [line[2:] for line in lines if line.startswith("# ")]
    return list(csv.DictReader(line for line in lines if not line.startswith("# "))), comments


def write_text(path: Path, text: str) -> None:
    """Write a text file. It appears complete, or stays as it was."""
    write_file(path, text.encode("utf8"))
