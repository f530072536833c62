"""Reading validation reports back as they were when their model versions were validated."""

from __future__ import annotations

from risk.core.errors import NotReady
from risk.core.model_report import ModelReport
from risk.core.plain import from_plain
from risk.models import ModelVersion


def validation_report(*, model_version: ModelVersion) -> ModelReport:
    """The report that is kept with a model version; one query.

    Raises:
        NotReady: when the version is not validated yet.
        StoredRefused: when it was kept by a release whose reports this one can't read.
    """
    stored = ModelVersion.objects.values_list("report", flat=True).get(pk=model_version.pk)
    if stored is None:
        raise NotReady(f"{model_version} is not validated yet: it has no report.")
    return from_plain(ModelReport, stored)
