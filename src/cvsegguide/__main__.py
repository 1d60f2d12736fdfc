"""``python -m cvsegguide``."""

from cvsegguide.cli.main import main

raise SystemExit(main())
