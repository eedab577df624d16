"""Storage servers that tests start on this machine: loopback only, free ports, ended with the session.

A module a server, each with a context manager that starts it and a session fixture; a plugin's ``conftest.py`` imports
the fixtures that it wants. ``install.sh`` beside this file installs the programs. Where one is missing, tests are
skipped and say why; with ``KIST_REQUIRE_SERVERS=1`` they fail.
"""
