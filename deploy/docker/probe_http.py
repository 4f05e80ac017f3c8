"""Exit 0 if every URL answers 200 within three seconds, else 1: `probe_http.py URL ...`.

For health checks; needs the standard library only.
"""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 3


def answers(url: str) -> bool:
    """Ask, and say on stderr what was wrong."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return False


if __name__ == "__main__":
    sys.exit(not all(map(answers, sys.argv[1:])))
