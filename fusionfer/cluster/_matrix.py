"""A matrix of features whose rows are read by the workers of a cluster, each of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fusionfer.cluster._blocks import Blocks, Held, Rows
from fusionfer.cluster._files import FileStack
from fusionfer.cluster._tasks import Task, ask
from fusionfer.cluster._team import cut
from fusionfer.exceptions import ClusterError, DataError
from fusionfer.matrices import PIECE_BYTES, MappedMatrix, row_pieces

if TYPE_CHECKING:
    from fusionfer.cluster._linear import LinearSolver
    from fusionfer.cluster._team import Team

__all__ = ["ClusterMatrix"]

Share = tuple[str, Rows, frozenset[str] | None]


class ClusterMatrix(MappedMatrix):
    """A `MappedMatrix` over files that workers read: products, moments and linear fits are made there.

    Rows, columns and scaling are chosen without reading anything, as with every MappedMatrix; ``numpy.asarray`` and
    `read` bring numbers here. Made by `over`, or by `stacked`.

    Attributes
    ----------
    team : Team
        Who works.
    """

    team: Team
    parts: tuple[FileStack, ...]  # type: ignore[assignment]
    _seen: dict[Any, dict[int, str]]

    @classmethod
    def over(cls, matrix: Any, team: Team) -> ClusterMatrix:
        """The same rows and columns, for a team.

        Parameters
        ----------
        matrix : MappedMatrix or ndarray
            Of maps of files with names, as those of caches are.
        team : Team

        Raises
        ------
        DataError
            If it is not made of maps of files.
        """
        if not isinstance(matrix, MappedMatrix):
            matrix = MappedMatrix([matrix])
        stacks = [FileStack.of(part) for part in matrix.parts]
        return cls._made(team, {}, stacks, matrix.index, matrix.shift, matrix.factor)

    @classmethod
    def stacked(cls, parts: Sequence[FileStack], team: Team) -> ClusterMatrix:
        """Stacks of files side by side, for a team; this process need not see the files.

        Raises
        ------
        DataError
            If the stacks differ in their rows.
        """
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            msg = f"Stacks side by side must have the same number of rows, got {sorted(lengths) or 'no stack'}."
            raise DataError(msg)
        (n,) = lengths
        return cls._made(team, {}, parts, [slice(0, n)] * len(parts), None, None)

    @classmethod
    def _made(cls, team: Team, seen: Any, *given: Any) -> Self:
        made = object.__new__(cls)
        made._set(*given)
        made.team, made._seen = team, seen
        return made

    def _with(self, *given: Any) -> Self:
        return self._made(self.team, self._seen, *given)

    def part_of(self, rows: Rows) -> MappedMatrix:
        """Some rows as a matrix that travels: paths and places, no numbers."""
        chosen = self.rows(rows)
        made = object.__new__(MappedMatrix)
        parts: Any = chosen.parts
        made._set(parts, chosen.index, chosen.shift, chosen.factor)
        return made

    def shares(self) -> list[Share]:
        """Share the rows out: to all workers alike where all see all files, else to those who see them.

        Returns
        -------
        list of (str, slice or ndarray, frozenset of str or None)
            Address of the worker, its rows, and the addresses of all who could take them (None: everybody).

        Raises
        ------
        ClusterError
            If rows lie in a file that no worker sees: which file, and why; or no worker answers.
        """
        there = self.team.refresh()
        blind = self._blind([worker.address for worker in there])
        workers = [worker for worker in there if worker.address in blind]
        if not workers:
            msg = f"None of the {len(there)} workers at {self.team.address} answers; they were lost. Start others."
            raise ClusterError(msg)
        if not any(blind.values()):
            return [(worker.address, rows, None) for worker, rows in cut(workers, len(self))]
        found: list[Share] = []
        code, kinds = self._files_of_rows()
        for number, files in enumerate(kinds):
            able = [worker for worker in workers if not blind[worker.address].keys() & set(files)]
            if not able:
                said = "; ".join(
                    f"{worker.address}: {next(why for file, why in blind[worker.address].items() if file in files)}"
                    for worker in workers[:3]
                )
                msg = (
                    f"No worker can read some of the rows. {said}. Workers need the cache at the same path as the "
                    "process that fits: put it on a file system that all share, or copy it to each machine."
                )
                raise ClusterError(msg)
            rows = np.flatnonzero(code == number)
            eligible = frozenset(worker.address for worker in able)
            found += [(worker.address, _run(rows[one]), eligible) for worker, one in cut(able, len(rows))]
        return found

    def eligible(self, rows: Rows, workers: Sequence[str]) -> set[str]:
        """Which of the workers with these addresses see all files of some rows."""
        blind = self._blind(workers)
        if not any(blind.values()):
            return set(blind)
        needed = set().union(*self.rows(rows)._files_of_rows()[1])
        return {worker for worker, files in blind.items() if not files.keys() & needed}

    def _blind(self, workers: Sequence[str]) -> dict[str, dict[int, str]]:
        """For each worker which files it cannot read, by their numbers, and why; without workers that were lost."""
        files = tuple(file for part in self.parts for file in part.files)
        tasks = {i: Task(one, _problems, (files,)) for i, one in enumerate(workers) if (files, one) not in self._seen}
        for i, told in ask(self.team, "files", tasks).items():
            self._seen[files, tasks[i].worker] = told
        return {one: self._seen[files, one] for one in workers if (files, one) in self._seen}

    def _files_of_rows(self) -> tuple[np.ndarray, list[tuple[int, ...]]]:
        """For each row the number of its combination of files, and the files of each combination."""
        columns, first = [], 0
        for part, index in zip(self.parts, self.index, strict=True):
            rows = np.arange(index.start, index.stop) if isinstance(index, slice) else index
            columns.append(first + np.searchsorted(part.starts, rows, side="right") - 1)
            first += len(part.files)
        kinds, code = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return code.ravel(), [tuple(kind) for kind in kinds.tolist()]

    def read(self, which: Any = slice(None), out: np.ndarray | None = None) -> np.ndarray:
        """Read rows into memory here: from the files, or from the workers where this process does not see them."""
        if self._seen_here():
            return super().read(which, out)
        chosen = self.rows(which)
        out = np.empty(chosen.shape, dtype=np.float32) if out is None else out
        if len(chosen):
            with chosen.blocks("read") as blocks:
                for block, rows in zip(blocks.blocks, blocks.call("read"), strict=True):
                    out[block.rows] = rows
        return out

    def _seen_here(self) -> bool:
        key = tuple(file for part in self.parts for file in part.files), ""
        if key not in self._seen:
            self._seen[key] = _problems(key[0])
        return not self._seen[key]

    def blocks(self, name: str, make: Callable[..., Held] | None = None) -> Blocks:
        """Objects on the workers, one for each share of the rows, made by `make` from the rows as a MappedMatrix."""
        made = make or _MatrixBlock
        return Blocks(self.team, self.shares(), made, lambda rows: (self.part_of(rows),), name, able=self.eligible)

    def __matmul__(self, V: np.ndarray) -> np.ndarray:
        """``self @ V`` for V (d, k), on the workers: (n, k), in the common dtype."""
        V = self._right(V)
        out = np.empty((len(self), *V.shape[1:]), dtype=np.result_type(self.dtype, V.dtype))
        with self.blocks("scores") as blocks:
            for block, product in zip(blocks.blocks, blocks.call("product", V), strict=True):
                out[block.rows] = product
        return out

    def combine(self, B: np.ndarray) -> np.ndarray:
        """``B @ self`` for B (k, n), on the workers: (k, d) float64."""
        B = self._left(B)
        with self.blocks("combine") as blocks:
            return blocks.total("combine", each=lambda rows: (B[:, rows],))

    def moments(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean and variance of each column (d,), on the workers, from weights (n,) that sum to 1."""
        share = np.asarray(share, dtype=np.float64)
        with self.blocks("moments") as blocks:
            mean = blocks.total("sums", each=lambda rows: (share[rows],))
            return mean, blocks.total("squares", mean, each=lambda rows: (share[rows],))

    @property
    def solver(self) -> LinearSolver:
        """Solves the linear problems of `fusionfer.heads.linear` over these rows, on the workers."""
        from fusionfer.cluster._linear import LinearSolver

        return LinearSolver(self)

    def grow_forest(self, *given: Any) -> Any:
        """Grow the forest of ``xgb-wn`` on the workers: `fusionfer.cluster._boosting.grow_forest` says how."""
        from fusionfer.cluster._boosting import grow_forest

        return grow_forest(self, *given)


class _MatrixBlock(Held):
    """The rows of one block, on a worker."""

    def __init__(self, matrix: MappedMatrix) -> None:
        self.matrix = matrix

    def read(self) -> np.ndarray:
        return np.asarray(self.matrix)

    def product(self, V: np.ndarray) -> np.ndarray:
        return self.matrix @ V

    def combine(self, B: np.ndarray) -> np.ndarray:
        return self.matrix.combine(B)

    def sums(self, share: np.ndarray) -> np.ndarray:
        total = np.zeros(self.matrix.shape[1])
        for rows in row_pieces(self.matrix, PIECE_BYTES // 2):
            total += share[rows] @ self.matrix.read(rows).astype(np.float64)
        return total

    def squares(self, mean: np.ndarray, share: np.ndarray) -> np.ndarray:
        total = np.zeros(self.matrix.shape[1])
        for rows in row_pieces(self.matrix, PIECE_BYTES // 2):
            total += share[rows] @ (self.matrix.read(rows) - mean) ** 2
        return total


def _problems(files: Sequence[Any]) -> dict[int, str]:
    """On a worker: which of these files it cannot read, and why."""
    found = ((i, file.problem()) for i, file in enumerate(files))
    return {i: why for i, why in found if why}


def _run(rows: np.ndarray) -> Rows:
    """Row numbers as a slice where they follow each other."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
