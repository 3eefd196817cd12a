"""The answer in plain sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from gaussgan.evaluation.scores import baseline_tag
from gaussgan.report.answer import FINISHED, Answer, Comparison, Setting
from gaussgan.report.intervals import Interval
from gaussgan.report.statistics import LEVEL
from gaussgan.report.text import bounds, counted, joined, number

LONGEST = 80  # characters of a name in a sentence
MOST = 3  # number of settings that are named in one sentence
FAR = 10_000  # if more seeds than this were needed, two settings are equal in practice
MANY = 10  # from this number of settings on, the best one owes much to chance
TESTS = {True: "Wilcoxon signed-rank test on runs with the same seed", False: "Mann–Whitney test"}


def sentences(answer: Answer) -> list[str]:
    """Return what the runs say about the settings, as sentences. The most important one comes first."""
    finished = answer.finished
    if not finished:
        open_ = counted(_statuses(answer)) or "each has a wrong configuration"
        return [f"No run is finished yet ({open_}), so there is no answer."]
    if all(math.isinf(setting.scores.min()) for setting in finished):
        ends = _statuses(answer)
        lost = counted({status: ends[status] for status in FINISHED})
        return [f"No finished run has a finite {answer.tag}: {lost}.", *_notes(answer)]
    if len(finished) == 1:
        return [_alone(answer), _level(answer), *_notes(answer)]
    if all(setting.n == 1 for setting in finished) or _certain(answer):
        return [_untested(answer), *_recipe(answer), *_notes(answer)]
    return [_best(answer), _level(answer), *_recipe(answer), *_more_seeds(answer), *_notes(answer)]


def _certain(answer: Answer) -> bool:
    """Return whether the runs of each setting have the same score, because nothing in them depends on the seed."""
    return all(setting.n > 1 and len({*setting.scores.tolist()}) == 1 for setting in answer.finished)


def _untested(answer: Answer) -> str:
    """Return which setting has the best value, where no test compares the settings."""
    best, *others = answer.finished
    ties = sum(setting.median == best.median for setting in others)
    value = f"has the {_extreme(answer)} {answer.tag} of {len(others) + 1:,} settings, {number(best.median)}"
    also = f", and so {'has 1 other' if ties == 1 else f'have {ties:,} others'}" if ties else ""
    chance = ", but each ran with one seed, so no test is possible."
    why = ". Each setting has one value for all seeds, so no test is needed." if _certain(answer) else chance
    return f"{_name_of_best(answer)} {value}{also}{why}"


def _alone(answer: Answer) -> str:
    (setting,) = answer.finished
    of = (
        f"{setting.name} is the only setting with finished runs" if len(answer.settings) > 1 else "There is one setting"
    )
    return f"{of}, with {setting.n:,} {'run' if setting.n == 1 else 'runs'}, so nothing is compared."


def _best(answer: Answer) -> str:
    """Return the sentence that names the best setting and says how the others compare with it."""
    others = answer.finished[1:]
    equal = [setting for setting in others if not _of(setting).differs]
    differing = [setting for setting in others if _of(setting).differs]
    of = f" of {len(others) + 1:,} settings" if len(others) > MOST else ""
    if len(equal) <= MOST:
        said = f"{joined([short_name(answer, setting) for setting in equal])} cannot be told apart"
    else:
        said = f"{len(equal):,} others cannot be told apart"
    if not differing:
        return f"{_leader(answer)} has the {_extreme(answer)} median{of}, but {said} from it{_basis(equal)}."
    if equal:
        clauses = [f"{_leader(answer)} has the {_extreme(answer)} median{of}", f"{said} from it"]
    else:
        clauses = [f"{_leader(answer)} is best{of}"]
    if len(differing) <= MOST:
        clauses += [_difference(answer, short_name(answer, setting), setting) for setting in differing]
    else:
        worse = [setting for setting in differing if _of(setting).difference > 0]
        least = min(worse or differing, key=lambda setting: _of(setting).difference)
        clauses += [_difference(answer, short_name(answer, each), each) for each in differing if each not in worse]
        clauses += [_least(len(worse), least)] if worse else []
    return f"{'; '.join(clauses)}{_basis(others)}."


def _least(count: int, least: Setting) -> str:
    """Return the sentence about several worse settings, of which `least` differs least from the best."""
    of = _of(least)
    if math.isinf(of.difference):
        return f"each of the other {count:,} is infinitely worse, because its runs diverged"
    return f"each of the other {count:,} is worse by {number(of.difference)} {bounds(of.interval)} or more"


def _difference(answer: Answer, name: str, setting: Setting) -> str:
    of, diverged = _of(setting), _diverged(setting)
    if math.isinf(of.difference) and of.difference > 0:
        infinite = int(np.isinf(setting.scores).sum())
        why = f"{answer.tag} is infinite in {infinite:,} of {setting.n:,} runs"
        return f"{name} is worse: {diverged.strip(' ()') if infinite == setting.statuses['diverged'] else why}"
    if of.difference > 0:
        return f"{name} is worse by {number(of.difference)} {bounds(of.interval)}{diverged}"
    if of.difference == 0:
        return f"{name} differs, but its median difference is 0 (p = {of.p:.2g}){diverged}"
    gain = f"{number(-of.difference)} {bounds(Interval(-of.interval.high, -of.interval.low))}"
    wrong = "smaller" if answer.larger else "larger"
    return f"{name} is better by {gain} on the same seeds, although its median is {wrong}{diverged}"


def _diverged(setting: Setting) -> str:
    """Return in brackets how many runs diverged; "" if none did."""
    diverged = setting.statuses["diverged"]
    return f" ({diverged:,} of {setting.n:,} runs diverged)" if diverged else ""


def _leader(answer: Answer) -> str:
    return f"{_name_of_best(answer)}{_diverged(answer.settings[0])}"


def _extreme(answer: Answer) -> str:
    return "largest" if answer.larger else "smallest"


def _level(answer: Answer) -> str:
    """Return how good the best setting is, compared with the baseline."""
    best = answer.finished[0]
    p10, median, p90 = map(number, best.quantiles)
    its = "Its" if len(answer.finished) > 1 else "The"
    text = f"{its} {answer.tag} is {median}" if best.n == 1 else f"{its} median {answer.tag} is {median}"
    spread = "" if best.n == 1 else f" (10–90%: {p10} to {p90})"
    known = not math.isnan(best.reported)
    reported = f" Against the rows to report by, which nothing was chosen by, it is {number(best.reported)}." * known
    if not answer.baseline > 0 or not math.isfinite(best.median):
        return f"{text}{spread}.{reported}"
    times = f"{number(best.median / answer.baseline)} times the {number(answer.baseline)} of the baseline"
    likelihood = baseline_tag(str(answer.tag)) == "mle/w2"
    what = "maximum likelihood on the same examples" if likelihood else "that of training rows"
    return f"{text}{spread}, {times}, which is {what}.{reported}"


def _more_seeds(answer: Answer) -> list[str]:
    """Return how many more seeds it would take to tell the settings apart that look equal now."""
    same = [setting for setting in answer.finished[1:] if not _of(setting).differs]
    if len(same) > MOST:
        return []
    mixed = [setting for setting in same if _of(setting).mixed]
    equal = [setting for setting in same if not _of(setting).mixed]
    near = [setting for setting in equal if _of(setting).more <= FAR]
    far = [short_name(answer, setting) for setting in equal if _of(setting).more > FAR]
    counts = [f"{_of(each).more:,.0f} more seeds for {short_name(answer, each)}" for each in near]
    said = [f"To tell them apart, it would take about {joined(counts)}."] if near else []
    if far:
        said.append(f"For {joined(far)}, {FAR:,} more seeds would not be enough: in practice there is no difference.")
    return said + [_mixed(short_name(answer, setting), _of(setting)) for setting in mixed]


def _mixed(name: str, of: Comparison) -> str:
    """Return how a setting differs from the best one, if it is worse on most seeds and better by more on the others."""
    worse, better = ("worse", "better") if of.difference > 0 else ("better", "worse")
    how = f"{worse}, with a median difference of {number(of.difference)} {bounds(of.interval)}"
    return f"On most seeds {name} is {how}, but on the others it is {better} by more: compare the 10–90% ranges."


def _notes(answer: Answer) -> list[str]:
    """Return what a reader has to know about the test and the runs."""
    finished, statuses, notes = answer.finished, _statuses(answer), []
    compared = [setting for setting in finished[1:] if setting.n > 1]
    if compared and not _certain(answer):
        kinds = sorted({_of(setting).paired for setting in compared}, reverse=True)
        holm = f", corrected for {len(finished) - 1:,} comparisons (Holm)" if len(finished) > 2 else ""
        test = f"{' or '.join(TESTS[paired] for paired in kinds)}{_basis(compared)}, level {LEVEL}{holm}"
        notes.append(f"{test}; 95% bootstrap intervals; a diverged run counts as infinitely bad.")
        if len(answer.factors) > 1 and len(finished) > 2:
            notes.append("A setting is named by the values in which it differs from the best one.")
    if len(finished) > MANY and not _certain(answer):
        notes.append(f"The best of {len(finished):,} settings is flattered by chance: run it again on new seeds.")
    if statuses["diverged"]:
        notes.append(f"{statuses['diverged']:,} of {sum(setting.n for setting in finished):,} finished runs diverged.")
    if open_ := {
        status: statuses[status] for status in ("running", "interrupted", "failed", "pruned") if statuses[status]
    }:
        notes.append(f"Not counted, because they are not finished: {counted(open_)}.")
    if answer.unlike:
        notes.append(f"Not compared, because they have no {answer.tag}: {answer.unlike:,} runs with another score.")
    if answer.unknown:
        notes.append(f"{answer.unknown:,} runs had a wrong configuration and belong to no setting.")
    return notes


def _name_of_best(answer: Answer) -> str:
    name = answer.settings[0].name
    return name if len(name) <= LONGEST else "The first setting"


def _recipe(answer: Answer) -> list[str]:
    """Return a sentence with the values of the best setting, if they are too many for the first sentence."""
    best = answer.settings[0]
    parts = [f"{factor.name}={text}" for factor, text in zip(answer.factors, best.texts, strict=True)]
    return [f"The first setting has {joined(parts)}."] if len(best.name) > LONGEST else []


def short_name(answer: Answer, setting: Setting) -> str:
    """Return a name that says how a setting differs from the best one. If one thing varied, it is only the value.

    A setting whose name would be too long is named by its place in the table.
    """
    if len(answer.factors) == 1:
        return setting.texts[0]
    ours = zip(answer.factors, setting.texts, answer.settings[0].texts, strict=True)
    name = " ".join(f"{factor.name}={text}" for factor, text, best in ours if text != best)
    place = next(i for i, each in enumerate(answer.settings) if each is setting)
    return name if len(name) <= LONGEST else f"setting {place + 1}"


def _basis(settings: Sequence[Setting]) -> str:
    """Return the number of seeds behind some comparisons, in brackets."""
    low, high = min(_of(each).runs for each in settings), max(_of(each).runs for each in settings)
    runs = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    if all(_of(each).paired for each in settings):
        return f" ({runs} {'seed' if high == 1 else 'seeds'})"
    return f" ({runs} {'run' if high == 1 else 'runs'} each, most of which share no seeds)"


def _statuses(answer: Answer) -> Counter[str]:
    return sum((Counter(setting.statuses) for setting in answer.settings), Counter[str]())


def _of(setting: Setting) -> Comparison:
    assert setting.comparison is not None
    return setting.comparison
