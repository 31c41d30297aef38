"""One warm HiGHS object for one compiled model.

Between two solves only bounds, sides and costs change, so the basis of the last optimum is the
start of the next. A status other than optimal raises; nothing is ever read from a failed solve.

Source: HiGHS (Huangfu, Hall 2018, parallelizing the dual revised simplex method).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from baselines.compiled import Numbers, Sparse

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

OPTIONS: Final[Mapping[str, Any]] = {"output_flag": False, "threads": 1, "random_seed": 0}
TIME_LIMIT_S: Final = 300.0
MIP_GAP: Final = 1e-4


class SolverError(RuntimeError):
    """The solver did not prove an optimum; the text names the model and the status."""


class InfeasibleError(SolverError):
    """There is no solution within the bounds."""


class UnboundedError(SolverError):
    """The objective falls without end."""


ERRORS: Final = {
    highspy.HighsModelStatus.kInfeasible: InfeasibleError,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: InfeasibleError,
    highspy.HighsModelStatus.kUnbounded: UnboundedError,
}
RUN_OUT: Final = (
    highspy.HighsModelStatus.kTimeLimit,
    highspy.HighsModelStatus.kSolutionLimit,  # of nodes, too
)
FEASIBLE: Final = int(highspy.SolutionStatus.kSolutionStatusFeasible)
# The last basis can lead into numerical trouble from which a start without one is free.
UNSETTLED: Final = (highspy.HighsModelStatus.kUnknown, highspy.HighsModelStatus.kSolveError)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the solver found.

    Attributes:
        x: (columns,) values, columns added later included.
        objective: currency.
        bound: proven lower bound, currency; the objective itself for an LP.
        row_dual: (rows,) marginal cost of each row; empty for a MILP.
        column_dual: (columns,) marginal cost of each column, likewise.
    """

    x: Array
    objective: float
    bound: float
    row_dual: Array
    column_dual: Array


class Model(Protocol):
    """What HiGHS needs to know of a model at first: a name, a matrix, any bounds and sides."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def matrix(self) -> Sparse:
        """(rows, columns)."""

    @property
    def lower(self) -> Array:
        """(columns,)."""

    @property
    def upper(self) -> Array:
        """(columns,)."""

    @property
    def row_lower(self) -> Array:
        """(rows,)."""

    @property
    def row_upper(self) -> Array:
        """(rows,)."""


class Solver:
    """A HiGHS object that holds one model; the only mutable thing among the optimisers.

    Attributes:
        name: of the model, for messages.
    """

    def __init__(
        self,
        compiled: Model,
        options: Mapping[str, Any] = OPTIONS,
        limit_s: float = TIME_LIMIT_S,
    ) -> None:
        """Hand the matrix over once.

        Args:
            compiled: the model.
            options: HiGHS options by name.
            limit_s: longest time for one solve, s.

        Raises:
            SolverError: HiGHS refused an option or the model.
        """
        self.name = compiled.name
        self._limit_s = limit_s
        self._columns = compiled.matrix.shape[1]
        self._rows = compiled.matrix.shape[0]
        self._integers = np.zeros(0, dtype=np.int32)
        # Its types are incomplete.
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in OPTIONS.items() | options.items():
            self.set_option(option, value)
        self._check(self._highs.passModel(_empty_model(compiled)), "passing the model")

    @property
    def columns(self) -> int:
        """Number of columns, added ones included."""
        return int(self._highs.getNumCol())

    def set_option(self, option: str, value: Any) -> None:
        """Set one HiGHS option.

        Raises:
            SolverError: HiGHS does not know it or refuses the value.
        """
        self._check(self._highs.setOptionValue(option, value), f"option {option} = {value!r}")

    def load(self, numbers: Numbers) -> None:
        """Change bounds, sides and costs of the model; added columns keep theirs."""
        columns = np.arange(self._columns, dtype=np.int32)
        rows = np.arange(self._rows, dtype=np.int32)
        h = self._highs
        self._check(
            h.changeColsBounds(self._columns, columns, numbers.lower, numbers.upper), "bounds"
        )
        self._check(
            h.changeRowsBounds(self._rows, rows, numbers.row_lower, numbers.row_upper), "sides"
        )
        self._check(h.changeColsCost(self._columns, columns, numbers.cost), "costs")
        self._check(h.changeObjectiveOffset(numbers.offset), "offset")

    def set_bounds(self, columns: Integers, lower: Array, upper: Array) -> None:
        """Change the bounds of some columns."""
        at = np.asarray(columns, dtype=np.int32)
        self._check(self._highs.changeColsBounds(len(at), at, lower, upper), "bounds")

    def set_sides(self, rows: Integers, lower: Array, upper: Array) -> None:
        """Change the sides of some rows."""
        at = np.asarray(rows, dtype=np.int32)
        self._check(self._highs.changeRowsBounds(len(at), at, lower, upper), "sides")

    def add(
        self,
        upper: Array,
        row_lower: Array,
        row_upper: Array,
        matrix: Any,
        lower: Array | None = None,
    ) -> Integers:
        """Add columns without cost, and rows over old and new columns.

        Args:
            upper: (new columns,).
            row_lower: (new rows,).
            row_upper: (new rows,).
            matrix: (new rows, all columns) sparse.
            lower: (new columns,); 0 unless stated.

        Returns:
            Numbers of the new columns.
        """
        first = self._highs.getNumCol()
        none = np.zeros(0, dtype=np.int32)
        count = len(upper)
        zero = np.zeros(count)
        low = zero if lower is None else lower
        empty = np.zeros(count, dtype=np.int32)
        h = self._highs
        self._check(h.addCols(count, zero, low, upper, 0, empty, none, np.zeros(0)), "columns")
        rows = sparse.csr_array(matrix)
        self._check(
            h.addRows(
                len(row_lower),
                row_lower,
                row_upper,
                rows.nnz,
                rows.indptr[:-1].astype(np.int32),
                rows.indices.astype(np.int32),
                rows.data,
            ),
            "rows",
        )
        return np.arange(first, first + count)

    def solve_lp(self) -> Answer:
        """Solve with every column continuous.

        Raises:
            InfeasibleError: there is no solution.
            SolverError: the status is not optimal.
        """
        self.continuous()
        self._run()
        solution = self._highs.getSolution()
        objective = self._highs.getInfo().objective_function_value
        rows, columns = np.array(solution.row_dual), np.array(solution.col_dual)
        return Answer(np.array(solution.col_value), objective, objective, rows, columns)

    def solve_mip(self, integers: Integers, gap: float = MIP_GAP) -> Answer:
        """Solve with some columns integer, to a relative gap.

        Raises:
            SolverError: the status is not optimal.
        """
        if not len(integers):
            return self.solve_lp()
        self._set_integers(np.asarray(integers, dtype=np.int32))
        self.set_option("mip_rel_gap", gap)
        self._run()
        info = self._highs.getInfo()
        x = np.array(self._highs.getSolution().col_value)
        none = np.zeros(0)
        return Answer(x, info.objective_function_value, info.mip_dual_bound, none, none)

    def search_mip(
        self, integers: Integers, gap: float, limit_s: float, nodes: int | None = None
    ) -> Answer:
        """Solve with some columns integer for as long as allowed; return what is proven by then.

        Args:
            integers: the columns.
            gap: relative gap that is good enough.
            limit_s: longest time, s.
            nodes: most nodes of the search; None for no limit.

        Returns:
            The best solution, without columns and at infinite cost if there is none, and the bound.

        Raises:
            SolverError: the status is neither optimal nor that time or nodes have run out.
        """
        if not len(integers):  # HiGHS states no bound for these
            return self.solve_lp()
        self._set_integers(np.asarray(integers, dtype=np.int32))
        self.set_option("mip_rel_gap", gap)
        self.set_option("mip_max_nodes", highspy.kHighsIInf if nodes is None else nodes)
        try:
            self._run(limit_s)
        except SolverError:
            if self._highs.getModelStatus() not in RUN_OUT:
                raise
        info = self._highs.getInfo()
        found = info.objective_function_value if info.primal_solution_status == FEASIBLE else np.inf
        x = self._highs.getSolution().col_value if np.isfinite(found) else []
        none = np.zeros(0)
        return Answer(np.array(x), found, info.mip_dual_bound, none, none)

    def continuous(self) -> None:
        """Declare every column continuous."""
        self._set_integers(np.zeros(0, dtype=np.int32))

    def basis(self) -> Any:
        """Return the basis of the last LP."""
        return self._highs.getBasis()

    def set_basis(self, basis: Any) -> None:
        """Start the next LP from a basis."""
        self._check(self._highs.setBasis(basis), "basis")

    def forget(self) -> None:
        """Start the next solve from nothing, which many new rows can make the quicker way."""
        self._check(self._highs.clearSolver(), "forgetting")

    def suggest(self, x: Array) -> None:
        """Offer a solution to start a MILP from."""
        columns = np.arange(len(x), dtype=np.int32)
        self._check(self._highs.setSolution(len(x), columns, x), "solution")

    def _set_integers(self, columns: NDArray[np.int32]) -> None:
        """Declare exactly these columns integer."""
        if np.array_equal(columns, self._integers):
            return
        continuous = np.full(len(self._integers), int(highspy.HighsVarType.kContinuous), np.uint8)
        integer = np.full(len(columns), int(highspy.HighsVarType.kInteger), np.uint8)
        h = self._highs
        if len(self._integers):
            self._check(
                h.changeColsIntegrality(len(self._integers), self._integers, continuous), "integers"
            )
        if len(columns):
            self._check(h.changeColsIntegrality(len(columns), columns, integer), "integers")
        self._integers = columns

    def _run(self, limit_s: float | None = None) -> None:
        """Solve; the time limit of HiGHS counts from the object's making."""
        limit_s = self._limit_s if limit_s is None else limit_s
        self.set_option("time_limit", self._highs.getRunTime() + limit_s)
        self._highs.run()
        if self._highs.getModelStatus() in UNSETTLED:
            self._highs.clearSolver()
            self._highs.run()
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            text = self._highs.modelStatusToString(status)
            error = ERRORS.get(status, SolverError)
            raise error(f"model {self.name}: HiGHS stopped with status {text!r}")

    def _check(self, status: Any, what: str) -> None:
        """Raise unless HiGHS took a change as it was meant."""
        if status != highspy.HighsStatus.kOk:
            raise SolverError(f"model {self.name}: HiGHS did not accept {what} ({status})")


def _empty_model(compiled: Model) -> Any:
    """Return the matrix as a HiGHS model, all numbers still open."""
    by_row = sparse.csr_array(compiled.matrix)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = by_row.shape[1], by_row.shape[0]
    lp.col_cost_ = np.zeros(by_row.shape[1])
    lp.col_lower_, lp.col_upper_ = compiled.lower, compiled.upper
    lp.row_lower_, lp.row_upper_ = compiled.row_lower, compiled.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = by_row.indptr.astype(np.int32)
    lp.a_matrix_.index_ = by_row.indices.astype(np.int32)
    lp.a_matrix_.value_ = by_row.data
    return lp
