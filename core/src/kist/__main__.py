"""``python -m kist``: the command line, without the current folder on the module path.

A ``kist.py`` in the current folder is run by the interpreter instead of this one, unless it is called as ``kist`` or
``python -P -m kist``.
"""

import os
import sys

if __name__ == "__main__":
    # With -m the interpreter puts the current folder first, from where a cloned repository could smuggle modules in.
    if sys.path and not getattr(sys.flags, "safe_path", False) and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    from kist.cli.main import main

    sys.exit(main())
