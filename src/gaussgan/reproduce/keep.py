"""Keep results beside the page that shows them, and draw the pictures of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from gaussgan.reproduce.results import RESULTS, TABLE, current, read_results, write_results
from gaussgan.reproduce.row import Result, Row
from gaussgan.reproduce.table import Paper, Picture, Section, page
from gaussgan.runs.files import write_whole, writing

LOCK = "reproductions.lock"


@dataclass(frozen=True)
class Page:
    """The page and its results in a directory.

    Args:
        directory: where the page, the results and the pictures are.
        runs: the directory with a directory for each row.
        sections: the sections of the page.
        papers: the papers, by their keys in rows.
    """

    directory: Path
    runs: Path
    sections: Sequence[Section]
    papers: Mapping[str, Paper]

    @property
    def rows(self) -> list[Row]:
        return [row for section in self.sections for row in section.rows]

    def results(self) -> dict[str, Result]:
        """Return the results that are kept, without those of rows that have changed since.

        Raises:
            ConfigError: when their file is damaged.
        """
        kept = read_results(self.directory / RESULTS)
        found = {row.name: current(row, kept.get(row.name)) for row in self.rows}
        return {name: result for name, result in found.items() if result is not None}

    def text(self) -> str:
        """Return the page in Markdown, from the results that are kept and with the pictures that exist."""
        there = [replace(s, picture=s.picture if self._has(s.picture) else None) for s in self.sections]
        return page(there, self.papers, self.results())

    def _has(self, picture: Picture | None) -> bool:
        return picture is not None and (self.directory / picture.file).exists()

    def keep(self, results: Mapping[str, Result]) -> None:
        """Add results to those that are kept, and write the page again. Several processes may do so.

        A result of fewer seeds, or an error, does not replace a kept one.
        """
        with writing("--out"):
            for directory in (self.directory, self.runs):
                directory.mkdir(parents=True, exist_ok=True)
        with FileLock(self.runs / LOCK):
            kept = self.results()
            for name, new in results.items():
                if name not in kept or len(new.values) >= len(kept[name].values):
                    kept[name] = new
            write_results(self.directory / RESULTS, kept, (row.name for row in self.rows))
            write_whole(self.directory / TABLE, self.text().encode(), "--out")

    def draw(self) -> None:
        """Draw the pictures from the files of rows, and write the page again.

        A picture of rows that have no files stays as it is.
        """
        from gaussgan.figures import render, save  # imports matplotlib

        for section in self.sections:
            if section.picture is not None and (figure := section.picture.draw(self.runs)) is not None:
                save(render(figure), self.directory / section.picture.file)
        self.keep({})
