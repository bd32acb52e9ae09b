"""A link for learners: it pulls this repository into their JupyterHub and opens a notebook there.

`python -m tools.pull_link --hub https://hub.example.edu --notebook 07` prints it. The hub needs the
extension nbgitpuller. Each click fetches what is new and keeps what a learner has changed. The
repository's address is that of pyproject.toml; --repository names another, such as a fork.
"""

import argparse
from urllib.parse import urlencode, urlsplit

from tools.address import repository
from tools.notebooks import paths


def pull_link(hub: str, path: str, address: str, branch: str = "main") -> str:
    """The address on the hub that pulls `address` and opens `path`, a file of the repository.

    Raises ValueError unless hub and address are web addresses.
    """
    for name, url in (("hub", hub), ("repository", address)):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{name} must be an address with https://, got {url!r}")
    folder = urlsplit(address).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    query = {"repo": address, "urlpath": f"lab/tree/{folder}/{path}", "branch": branch}
    return f"{hub.rstrip('/')}/hub/user-redirect/git-pull?{urlencode(query)}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hub", required=True, help="the hub, such as https://hub.example.edu")
    parser.add_argument("--notebook", default="00", help="its number or a part of its name")
    parser.add_argument("--repository", default=repository())
    parser.add_argument("--branch", default="main")
    arguments = parser.parse_args(argv)
    path = f"notebooks/{paths(arguments.notebook)[0].name}"
    try:
        print(pull_link(arguments.hub, path, arguments.repository, arguments.branch))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
