"""Nodes of the report."""

import logging
from typing import Any

from steel_xai.parameters import ComparisonParameters

logger = logging.getLogger(__name__)


def count_results(*results: Any) -> int:
    """Count the results of a task that the report waits for."""
    return len(results)


def write_report(
    study_results: dict[str, Any],
    data_source: str,
    class_names: list[str],
    binary_comparison: ComparisonParameters,
    multi_comparison: ComparisonParameters,
    *after: Any,
) -> str:
    """Write the page, and log the headline numbers; ``after`` is what has to be made first."""
    from steel_xai import report

    study = report.open_study(
        study_results,
        data_source=data_source,
        class_names=class_names,
        published={"binary": binary_comparison, "multi": multi_comparison},
    )
    page = report.render_report(study)
    for line in (*report.headline(study).splitlines(), report.minutes_sentence(study)):
        if line:
            logger.info("%s", line)
    return page
