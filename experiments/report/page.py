"""The page: a leaderboard, charts, a day per policy, failures, data and versions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from experiments.records import DRAWN_EPISODE, Origin, write_atomically
from experiments.report.bills import Bill, bills
from experiments.report.charts import (
    breakdown_chart,
    day_charts,
    distribution_chart,
    savings_chart,
    telling_day,
)
from experiments.report.facts import Facts, data_facts, run_facts
from experiments.report.leaderboard import Board, Row
from experiments.report.words import Column, amount, columns, percent
from experiments.settlement import SettlementConfig
from mmg_env.system import System
from mmg_env.trajectory import Trajectory

FILE = "report.html"


@dataclass(frozen=True)
class Findings:
    """Everything that the report is about.

    Attributes:
        system: the system that was simulated.
        split: where the episodes come from.
        command: the command line that makes the same numbers.
        origin: what the numbers follow from.
        board: the ranking.
        trajectories: what happened in the drawn episode, by policy, as far as kept.
        settlement: how participants shared what they saved, if they did.
    """

    system: System
    split: str
    command: str
    origin: Origin
    board: Board
    trajectories: Mapping[str, Trajectory]
    settlement: SettlementConfig | None = None


def write_report(folder: Path, findings: Findings) -> Path:
    """Write the report into a results folder; the file appears whole or not at all."""
    text = _page(findings)
    file = folder / FILE
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return file


def _page(findings: Findings) -> str:
    board, currency = findings.board, findings.system.config.currency
    here = Path(__file__).parent
    return Template((here / "page.html").read_text(encoding="utf-8")).substitute(
        style=(here / "page.css").read_text(encoding="utf-8") + _tab_rules(len(board.rows)),
        name=escape(findings.system.name),
        episodes=escape(_episodes(findings)),
        summary=_summary(board, currency),
        table=_table(board, columns(board.zero, currency)),
        body="\n".join(_sections(findings)),
        run=_definitions(run_facts(findings.system, findings.origin, findings.command)),
        data=_definitions(data_facts(findings.system)),
    )


def _episodes(findings: Findings) -> str:
    count, failed = len(findings.board.episodes), len(findings.board.failures)
    noun = "episode" if count == 1 else "episodes"
    text = f"{count} {noun} of the split {findings.split}"
    if failed:
        text += f"; {failed} failed {'cell' if failed == 1 else 'cells'}, told below"
    return text


def _summary(board: Board, currency: str) -> str:
    """Return the result in a sentence: the best policy that is not a bound."""
    known = [row for row in board.rows if not row.bound and np.isfinite(row.cost)]
    if not known:
        return "No policy finished."
    best = known[0]
    text = f"<b>{escape(best.policy)}</b> is the cheapest policy: {amount(best.cost)} "
    text += f"{escape(currency)} per episode"
    if np.isfinite(best.score.value) and best.policy != board.zero:
        text += f", {percent(best.score.value)} of the possible saving against "
        text += escape(board.zero)
        if np.isfinite(best.score.low):
            low, high = percent(best.score.low), percent(best.score.high)
            text += f" (95 % interval {low} to {high})"
    if np.isfinite(board.stability):
        text += ". Even and odd episodes rank the policies with Kendall's tau "
        text += f"{board.stability:.2f}"
    return text + "."


def _table(board: Board, listed: Sequence[Column]) -> str:
    heads = "".join(
        f'<th scope="col" title="{escape(column.meaning)}">{escape(column.title)}'
        f"<small>{escape(column.unit)}</small></th>"
        for column in listed
    )
    body = "\n".join(_table_row(row, listed) for row in board.rows)
    notes = "".join(
        f"<li><b>{escape(column.title)}</b>: {escape(column.meaning)}</li>" for column in listed[1:]
    )
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
        f"</div><details><summary>What the columns mean</summary><ul>{notes}</ul></details>"
    )


def _table_row(row: Row, listed: Sequence[Column]) -> str:
    kind = ' class="bound"' if row.bound else ""
    note = "<small>lower bound</small>" if row.bound else ""
    note += f"<small>{row.failed} failed</small>" if row.failed else ""
    cells = []
    for column in listed[1:]:
        text = column.text(row)
        spread = f"<small>{escape(text.spread)}</small>" if text.spread else ""
        cells.append(f"<td>{escape(text.value)}{spread}</td>")
    return f'<tr{kind}><th scope="row">{escape(row.policy)}{note}</th>{"".join(cells)}</tr>'


def _sections(findings: Findings) -> Iterator[str]:
    board, currency = findings.board, findings.system.config.currency
    paid = bills(board, findings.system.participants)
    if findings.settlement is not None and paid:
        yield _section(
            "Who pays what",
            f"{escape(findings.settlement.sentence)} Mean final cost per episode, "
            f"{escape(currency)}, and what is gained beside standing alone.",
            _bills(paid),
        )
    if board.episodes:
        yield _section(
            "Savings",
            "Mean saving per episode. Policies are compared episode by episode, so the interval "
            "is that of the difference, not of the costs themselves.",
            savings_chart(board, currency),
        )
        yield _section(
            "What the money goes to",
            "Mean cost by ledger term, earnings left of zero; the diamond is the sum. The oracle's "
            "bars are its plan, stepped through the simulator.",
            breakdown_chart(board, currency),
        )
        yield _section(
            "Cost of every episode",
            "One dot per episode; the box spans the middle half, the line is the median.",
            distribution_chart(board, currency),
        )
    if findings.trajectories:
        yield _days(findings)
    if board.failures:
        yield _failures(board)


def _bills(listed: Sequence[Bill]) -> str:
    """Return the bills as a table, a row per participant."""
    names = ["participant", "alone", *listed[0].shares]
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = []
    for bill in listed:
        cells = [amount(bill.alone)]
        for share in bill.shares.values():
            cells.append(f"{amount(share.final)}<small>gains {amount(share.gain)}</small>")
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(bill.participant)}</th>{row}</tr>')
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def _section(title: str, text: str, content: str) -> str:
    return f"<section><h2>{title}</h2><p>{text}</p>{content}</section>"


def _days(findings: Findings) -> str:
    """Return one drawing per policy behind tabs that need no script."""
    names = [row.policy for row in findings.board.rows if row.policy in findings.trajectories]
    trajectories = [findings.trajectories[name] for name in names]
    day = telling_day(trajectories)
    inputs, labels, panes = [], [], []
    for number, (name, chart) in enumerate(zip(names, day_charts(trajectories, day), strict=True)):
        checked = " checked" if number == 0 else ""
        inputs.append(f'<input type="radio" name="day" id="tab{number}"{checked}>')
        labels.append(f'<label for="tab{number}">{escape(name)}</label>')
        panes.append(f'<div class="pane" id="pane{number}"><h3>{escape(name)}</h3>{chart}</div>')
    date = np.datetime_as_string(trajectories[0].episode.start + np.timedelta64(day, "D"), unit="D")
    text = (
        f"Day {day + 1} ({date}) of episode {DRAWN_EPISODE}, the day on which the policies' costs "
        "differ most, on the same scales. Choose a policy:"
    )
    tabs = f'{"".join(inputs)}<div class="tabs">{"".join(labels)}</div>{"".join(panes)}'
    return _section("A day under each policy", text, f'<div class="days">{tabs}</div>')


def _tab_rules(count: int) -> str:
    """Return the rules that show the pane of the chosen tab."""
    rules = [
        f"#tab{i}:checked ~ #pane{i} {{ display: block; }}\n"
        f'#tab{i}:checked ~ .tabs label[for="tab{i}"] {{ background: #0072b2; color: #fff; }}\n'
        f'#tab{i}:focus-visible ~ .tabs label[for="tab{i}"] {{ outline: 2px solid #e69f00; }}'
        for i in range(count)
    ]
    return "\n".join(rules)


def _failures(board: Board) -> str:
    items = "".join(
        f"<details><summary>{escape(str(record['policy']))}, episode {record['episode']}: "
        f"{escape(_last_line(record['traceback']))}</summary>"
        f"<pre>{escape(record['traceback'])}</pre></details>"
        for record in board.failures
    )
    text = "These cells raised; their episodes count for no policy. Run the command again to retry."
    return _section("Failures", text, items)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no traceback"


def _definitions(facts: Facts) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<dl>{rows}</dl>"
