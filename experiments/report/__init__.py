"""One self-contained HTML page about a benchmark: it opens offline and loads nothing."""
