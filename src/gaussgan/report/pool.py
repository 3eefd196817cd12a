"""Pool the runs of each setting over their seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gaussgan.config.errors import ConfigError
from gaussgan.evaluation.scores import SCORES, baseline_tag, larger_is_better
from gaussgan.report import intervals, statistics
from gaussgan.report.answer import FINISHED, Setting
from gaussgan.report.factors import Factor
from gaussgan.report.frame import LOSSES, SPEED
from gaussgan.report.values import Value, names

SHOWN = "shown"  # the column with the measure that is the score, as it is shown
BASELINE = "baseline"  # the column with the baseline of the score
REPORTED = "reported"  # the column with the same measure as the score, against the rows to report by


def add_scores(frame: pd.DataFrame, by: str | None = None) -> tuple[str | None, int]:
    """Add the column "score" to the table of all runs: infinite for a diverged run, NaN for a run that is not finished.

    A smaller score is better. Of a measure such as val/modes, of which more is better, the score is the negative value.
    The column SHOWN has the value itself. Also add the columns BASELINE and REPORTED, if the runs have such measures.
    REPORTED is infinite for a diverged run.

    Return the measure that is the score, and the number of finished runs that have another one and so get NaN. The
    measure is `by`, or the score that most runs have; None if no run is finished.

    Raises:
        ConfigError: when no run has the measure `by`.
    """
    if by is not None and not (by in frame and frame[by].dtype.kind in "fiu" and frame[by].notna().any()):
        known = [key for key in frame if frame[key].dtype.kind == "f" and "/" in key and frame[key].notna().any()]
        raise ConfigError(f"--by {by}: no run has this measure (known measures: {', '.join(known) or 'none'})")
    done = frame["status"].isin(FINISHED)
    counts = {tag: int(frame.loc[done, tag].notna().sum()) for tag in SCORES if tag in frame}
    if not done.any():
        frame["score"] = frame[SHOWN] = math.nan
        return None, 0
    tag = by or max(counts, key=lambda each: counts[each], default=SCORES[0])
    sign = -1 if larger_is_better(tag) else 1
    completed = frame["status"] == "completed"
    own = sign * frame[tag] if tag in frame else pd.Series(math.nan, frame.index)
    own = own.where(own > -math.inf)  # no measure is infinitely good
    others = frame[[each for each in counts if each != tag]].notna().any(axis=1)
    unlike = completed & own.isna() & others
    frame["score"] = own.where(completed).fillna(math.inf).where(done & ~unlike)
    frame[SHOWN] = sign * frame["score"]
    for column, source in {BASELINE: baseline_tag(tag), REPORTED: tag.replace("val/", "test/", 1)}.items():
        if source in frame and source != tag:
            frame[column] = frame[source]
    if REPORTED in frame:
        frame[REPORTED] = frame[REPORTED].where(frame["status"] != "diverged", sign * math.inf)
    return tag, int(unlike.sum())


def pool(frame: pd.DataFrame, factors: Sequence[Factor]) -> tuple[list[Setting], int]:
    """Return the settings, and the number of rows whose settings are not known.

    Args:
        frame: the table of all runs, with the column "score"; see `add_scores`.
        factors: what varied.
    """
    columns = pd.DataFrame({factor.name: factor.values for factor in factors}, index=frame.index)
    known = columns.notna().all(axis=1).to_numpy() if factors else np.ones(len(frame), dtype=bool)
    groups = _groups(columns, known) if known.any() else []
    values = [*columns.iloc[[rows[0] for rows in groups]].itertuples(index=False, name=None)]
    values = values or [() for _ in groups]
    texts = _texts(factors, values)
    used = ("status", "score", SHOWN, BASELINE, REPORTED, SCORES[0], *LOSSES, SPEED)
    table = {key: frame[key].to_numpy() for key in used if key in frame}
    settings = [_setting(table, factors, *each) for each in zip(groups, values, texts, strict=True)]
    return settings, int((~known).sum())


def _groups(columns: pd.DataFrame, known: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each setting."""
    if not len(columns.columns):
        return [np.flatnonzero(known)]
    codes = columns[known].groupby([*columns], sort=False).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    return np.split(np.flatnonzero(known)[order], np.flatnonzero(np.diff(codes[order])) + 1)


def _texts(factors: Sequence[Factor], values: Sequence[tuple[Value, ...]]) -> list[tuple[str, ...]]:
    """Return a short text for each value of each setting."""
    texts = []
    for i in range(len(factors)):
        different = [*dict.fromkeys(each[i] for each in values)]
        texts.append(dict(zip(different, names(different), strict=True)))
    return [tuple(text[value] for text, value in zip(texts, each, strict=True)) for each in values]


def _setting(
    table: Mapping[str, np.ndarray],
    factors: Sequence[Factor],
    rows: np.ndarray,
    values: tuple[Value, ...],
    texts: tuple[str, ...],
) -> Setting:
    status, score = table["status"][rows], table["score"][rows]
    scores, shown = score[~np.isnan(score)], table[SHOWN][rows][~np.isnan(score)]
    completed = rows[(status == "completed") & ~np.isnan(score)]

    def column(key: str) -> np.ndarray:
        return table[key][completed] if key in table else np.full(len(completed), math.nan)

    reported = (table[REPORTED][rows] if REPORTED in table else score * math.nan)[~np.isnan(score)]
    losses = tuple(statistics.median(column(loss)) for loss in LOSSES)
    p10, median, p90 = statistics.quantiles(shown, [0.1, 0.5, 0.9])
    return Setting(
        values=values,
        texts=texts,
        name=" ".join(f"{factor.name}={text}" for factor, text in zip(factors, texts, strict=True)),
        rows=rows,
        statuses=Counter(status.tolist()),
        scores=scores,
        quantiles=(p10, median, p90),
        interval=intervals.median_interval(shown),
        iqm=statistics.interquartile_mean(shown),
        efficiency=_efficiency(table, rows[~np.isnan(score)]),
        losses=losses,  # type: ignore[arg-type]
        speed=statistics.median(column(SPEED)),
        reported=statistics.median(reported[~np.isnan(reported)]),
    )


def _efficiency(table: Mapping[str, np.ndarray], rows: np.ndarray) -> float:
    """Return the efficiency of the finished runs in some rows. A diverged run is infinitely far."""
    if BASELINE not in table or SCORES[0] not in table or not np.isfinite(table[SCORES[0]]).any():
        return math.nan
    distances = np.where(table["status"][rows] == "diverged", math.inf, table[SCORES[0]][rows])
    return statistics.efficiency(table[BASELINE][rows], distances)
