"""Print a command of the README, so that what is tested is what is written there.

The command is the fenced block that follows the line ``<!-- command: NAME -->``.
"""

import re
import sys
from pathlib import Path


def readme_command(name: str) -> str:
    """The text of the block called ``name``."""
    readme = Path(__file__).resolve().parents[1] / "README.md"
    pattern = rf"<!-- command: {re.escape(name)} -->\s*```(?:bash|sh)\n(.*?)```"
    match = re.search(pattern, readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    if match is None:
        raise SystemExit(f"README.md has no command '{name}'")
    return match.group(1)


if __name__ == "__main__":
    print(readme_command(sys.argv[1]))
