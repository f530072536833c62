"""What the risk room stores."""

from risk.models.assessment import Assessment
from risk.models.data import DataSet, PastApplication
from risk.models.registry import ModelVersion, RateTable, RateTableRow

__all__ = [
    "Assessment",
    "DataSet",
    "ModelVersion",
    "PastApplication",
    "RateTable",
    "RateTableRow",
]
