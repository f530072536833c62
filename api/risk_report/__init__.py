"""The validation report of a model as one page of HTML that needs nothing else."""

from api.risk_report.page import render_model_report

__all__ = ["render_model_report"]
