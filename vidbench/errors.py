"""The two ways in which a user's input fails."""

LONGEST = 1200
"""Characters of a message."""


class UserError(Exception):
    """A mistake that the user can mend: one sentence (which input, what was found, what to do), exit code 2.

    Names from outside are in it, which may be long and hold line breaks, escapes or halves of characters: what cannot
    be shown is replaced, and what is too long to read is cut.
    """

    def __str__(self) -> str:
        text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in super().__str__())
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 3 :]}"


class BadVideoError(UserError):
    """One video cannot be read; `--skip-bad` leaves it out and counts it."""

    def __init__(self, video: str, reason: str, source: str = "") -> None:
        where = f"{source}/{video}" if source else video
        super().__init__(
            f"{where} cannot be read ({reason}). Repair or remove it, or leave such files out with --skip-bad."
        )
        self.video, self.reason, self.source = video, reason, source

    def __reduce__(self) -> tuple[type["BadVideoError"], tuple[str, str, str]]:
        return type(self), (self.video, self.reason, self.source)
