"""The report of a study: one HTML file from whatever results there are."""

from steel_xai.report.headline import headline
from steel_xai.report.provenance import minutes_sentence
from steel_xai.report.render import render_report
from steel_xai.report.study import Study, open_study

__all__ = ["Study", "headline", "minutes_sentence", "open_study", "render_report"]
