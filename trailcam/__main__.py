"""C{python -m trailcam}: the same as the C{trailcam} command."""

import sys

from trailcam.cli import main

if __name__ == "__main__":
    sys.exit(main())
