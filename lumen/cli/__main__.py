"""`python -m lumen.cli`, the same as `lumen`."""

from __future__ import annotations

from lumen.cli.main import main

if __name__ == "__main__":
    main()
