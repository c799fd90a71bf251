"""What goes wrong in a way that the user should read: one line, never a traceback."""


class Failure(Exception):
    """Its text is the line."""
