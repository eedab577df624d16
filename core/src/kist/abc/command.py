"""CommandTable: how a plugin adds a verb to the command line.

What you write: a module with a ``kist_add_command`` hook that calls ``commands.add``, and an entry point
``<word> = "<module>"`` in the group ``kist.commands``. The module named there has ``configure(parser)`` and
``run(args)``; docs/reference/plugin-kinds.md tells what they get and give.
Check it with ``kist.testing.CommandContract``.
"""

from __future__ import annotations

from kist.errors import PluginConflict
from kist.util.slotted import field, slotted


@slotted()
class CommandTable:
    """The verbs that plugins add.

    Attributes:
        commands: word -> (module, one-line help).
    """

    commands: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, word: str, module: str, help: str) -> None:
        """Add a verb.

        Args:
            word: what is typed after ``kist``.
            module: dotted name of a module with ``configure(parser: argparse.ArgumentParser)`` and
                ``run(args: argparse.Namespace) -> object``, the JSON data or None.
            help: one line for ``kist help``; ``kist --help`` is quick and tells the distribution only.

        Raises:
            PluginConflict: the word is taken.
        """
        if word in self.commands:
            raise PluginConflict(f"two plugins bring the command '{word}'")
        self.commands[word] = (module, help)
