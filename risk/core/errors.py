"""The refusals of the risk room: typed, each with a stable code that faces may show."""

from __future__ import annotations

from typing import ClassVar


class RiskRefusal(Exception):
    """Root of every refusal raised by ``risk``.

    ``code`` is stable and may be matched by clients; ``message`` is a sentence for a person;
    ``field`` names the input that was refused, when there is one.
    """

    code: ClassVar[str] = "RISK_REFUSED"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class SpecRefused(RiskRefusal):
    """A data set's specification, or the house's settings, that can't be used."""

    code = "RISK_SPEC_REFUSED"


class DataRefused(RiskRefusal):
    """A file of applications that can't be loaded; nothing of it is.

    ``file`` is its name, ``row`` the line in it (1 is the header), ``column`` the column's name;
    the message names them all.
    """

    code = "RISK_DATA_REFUSED"

    def __init__(self, problem: str, *, file: str, row: int, column: str | None = None) -> None:
        place = f"{file}, row {row}" + (f", column {column}" if column else "")
        super().__init__(f"{place}: {problem}", field=column)
        self.file = file
        self.row = row
        self.column = column


class FactsRefused(RiskRefusal):
    """Facts of one application that the model can't read."""

    code = "RISK_FACTS_REFUSED"


class ColumnRefused(RiskRefusal):
    """A price, protected, outcome or unknown column asked for as an input of a model."""

    code = "RISK_COLUMN_REFUSED"


class OutcomeRefused(RiskRefusal):
    """Outcomes that nothing can be learnt from, such as one class only."""

    code = "RISK_OUTCOME_REFUSED"


class ScorecardRefused(RiskRefusal):
    """A stored scorecard that can't be read back, or settings that can't be fitted."""

    code = "RISK_SCORECARD_REFUSED"


class PricingRefused(RiskRefusal):
    """A probability, rate or term outside what pricing is defined for."""

    code = "RISK_PRICING_REFUSED"


class RateTableRefused(RiskRefusal):
    """Settings that give no usable rate table, such as a riskier band priced lower."""

    code = "RISK_RATE_TABLE_REFUSED"


class HandleRefused(RiskRefusal):
    """A handle of a person that is empty or too long."""

    code = "RISK_HANDLE_REFUSED"


class SelfApproval(RiskRefusal):
    """The author of a model or rate table can't be its approver."""

    code = "RISK_SELF_APPROVAL"


class MoveRefused(RiskRefusal):
    """A change of state that the table of allowed moves doesn't hold."""

    code = "RISK_MOVE_REFUSED"


class NotReady(RiskRefusal):
    """There is no champion model, or no approved rate table of it."""

    code = "RISK_NOT_READY"


class NotFound(RiskRefusal):
    """No assessment, model or data set of that name."""

    code = "RISK_NOT_FOUND"


class AlreadyAssessed(RiskRefusal):
    """The application was assessed before by the same model, on other facts."""

    code = "RISK_ALREADY_ASSESSED"
