"""Print the third-party requirements of a pyproject.toml and of its extras: `requirements.py FILE [EXTRA ...]`.

Images install them in a layer of their own, which lasts until they change; our code comes after it.
"""

import sys
import tomllib
from pathlib import Path


def main(file: str, *extras: str) -> None:
    """Print one requirement a line."""
    project = tomllib.loads(Path(file).read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    print(*wanted, sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
