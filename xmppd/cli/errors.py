"""What a command cannot do."""


class CommandError(Exception):
    """The command cannot do what was asked; the text is one line for the person who asked."""
