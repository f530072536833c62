"""The refusals of the accounts room: typed, each with a stable code that faces may show."""

from __future__ import annotations

from typing import ClassVar


class AccountsRefusal(Exception):
    """Root of every refusal raised by ``accounts``.

    ``code`` is stable and may be matched by clients; ``message`` is a sentence for a person;
    ``field`` names the input that was refused, when there is one.
    """

    code: ClassVar[str] = "ACCOUNTS_REFUSED"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class AmountRefused(AccountsRefusal):
    """An amount of money that is not a whole number of pence within bounds."""

    code = "AMOUNT_REFUSED"
