"""The page as a hosted Space: the command itself, on the address that Spaces expect."""

import sys

from cvsegguide.cli.main import main

sys.exit(main(["app", "--host", "0.0.0.0", "--port", "7860"]))
