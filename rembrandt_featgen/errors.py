"""The one exception that a user is meant to read."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one line: it quotes what was received, names the file and the flag, and says the mend. `cli.main`
    prints it without a traceback and exits with status 1.
    """
