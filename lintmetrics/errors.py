"""Errors that a user can mend: each says where, what, why and how."""


class LintmetricsError(Exception):
    """Base of all errors whose message is shown alone, without a traceback."""


class SourceError(LintmetricsError):
    """A file cannot be read, decoded or parsed.

    Args:
        path: the file as it was named to the user.
        reason: what is wrong with it and how to mend it, in one line.
        line: 1-based line of the fault, where one is known.
    """

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        self.path = path
        self.reason = reason
        self.line = line
        place = path if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str, int | None]]:
        return (SourceError, (self.path, self.reason, self.line))
