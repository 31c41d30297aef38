"""One self-contained HTML page about a benchmark: it opens offline and loads nothing."""

from experiments.report.leaderboard import Board, Row, rank
from experiments.report.page import Findings, write_report

__all__ = ["Board", "Findings", "Row", "rank", "write_report"]
