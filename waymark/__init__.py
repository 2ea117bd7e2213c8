"""Waymark: the command line, the assembly of the services, the demo and the import.

A wheel carries `services`, `shared` and `config` inside this package, in `_bundled`, so that it installs no general name
into anybody's environment. There they are importable from the moment on that `waymark` is imported; in a checkout they
stand beside this package.
"""

import sys
from pathlib import Path

_BUNDLED = Path(__file__).parent / "_bundled"

if _BUNDLED.is_dir():
    sys.path.insert(0, str(_BUNDLED))
