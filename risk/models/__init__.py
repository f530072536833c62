"""What the risk room stores."""

from risk.models.alarm import Alarm, MonitoringRun
from risk.models.assessment import Assessment
from risk.models.data import DataSet, PastApplication
from risk.models.registry import ModelMove, ModelVersion, RateTable, RateTableRow
from risk.models.shadow import ShadowScore

__all__ = [
    "Alarm",
    "Assessment",
    "DataSet",
    "ModelMove",
    "ModelVersion",
    "MonitoringRun",
    "PastApplication",
    "RateTable",
    "RateTableRow",
    "ShadowScore",
]
