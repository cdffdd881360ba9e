"""The command line, ``python -m wavelight COMMAND``."""

import sys

from wavelight import commands
from wavelight.support.memory import keep_memory


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the first word names.

    Args:
        arguments: The words of the command line; none takes those of the process.
    """
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(commands.summary())
        return
    if name not in commands.COMMANDS:
        sys.stderr.write(
            f"wavelight: there is no command {name!r}; `wavelight --help` lists them\n"
        )
        sys.exit(2)
    if commands.COMMANDS[name].keeps_memory:
        # Before the command is imported, and with it PyTorch, which then allocates.
        keep_memory()
    result = commands.run(name, rest)
    if result is not None:
        sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main()
