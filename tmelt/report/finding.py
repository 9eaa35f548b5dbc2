"""The finding and what qualifies it, in sentences computed from the tables: none claims more than they hold."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from tmelt.evidence.comparison import BASELINE, REFERENCE, chosen_strategy
from tmelt.evidence.power import MOST
from tmelt.evidence.verdict import FEW
from tmelt.report.inputs import ReportStudy
from tmelt.report.registered import registered
from tmelt.report.words import count, dollars, interval, listing, number


def finding(study: ReportStudy) -> tuple[str, str]:
    """The paragraph at the top, and what else a careful reader wants to know before the figures."""
    if len(study.confirmed) and not len(_changed(study)):
        main, further = [_setting(study), *_nothing_kept(study), *_against_reference(study)], []
    elif len(study.confirmed):
        main = [_setting(study), *_winners(study), *_between(study), *_against_reference(study)]
        further = _against_baseline(study)
    else:
        main, further = [_setting(study), *_search_only(study)], []
    main = [*registered(study), *main]
    return " ".join(main), " ".join([*further, *_power(study), *_optimism(study), *_failures(study)])


def _setting(study: ReportStudy) -> str:
    trials = study["trials"]
    made = " synthetic" if study.synthetic else ""
    kind = f" with an untrained backbone ({study.embedding.backbone})" if study.untrained else ""
    proteins = sum(study.splits.values())
    told = f"On {count(proteins, f'{made.strip()} protein'.strip())}{kind}" if proteins else f"On{made} proteins{kind}"
    free = [name for name in study.strategies if name not in study.scripted]
    names = listing([*free, *study.scripted])
    if study.scripted:
        names = f"{', '.join(free)} and " * bool(free) + f"the scripted {listing(study.scripted)}"
    return (
        f"{told}, {count(len(study.strategies), 'strategy', 'strategies')} ({names}) made "
        f"{count(trials.select('strategy', 'trajectory').n_unique(), 'search', 'searches')} of "
        f"{study.length}{',' if study.used_up else ''} from one baseline, on one split of one data set and the same "
        "budget per trial." + (f" Not tried: {listing(list(study.not_tried))}." if study.not_tried else "")
    )


def _changed(study: ReportStudy) -> pl.DataFrame:
    """The confirmed winners that are not the baseline itself."""
    return study["winners"].drop_nulls("test_mae").filter(pl.col("iteration") > 0)


def _nothing_kept(study: ReportStudy) -> list[str]:
    """Where no search found anything better than where it started."""
    rows = study["winners"].drop_nulls("test_mae")
    span = interval(rows["test_low"][0], rows["test_high"][0])
    return [
        f"No search kept a change: {'every winner' if len(rows) > 1 else 'the winner'} is the baseline itself, with a "
        f"test MAE of {study.amount(rows['test_mae'][0])} on fresh seeds"
        + (f" (95 % interval {span})." if span else ".")
        + (" Nothing tells the strategies apart." if len(study.strategies) > 1 else "")
    ]


def _winners(study: ReportStudy) -> list[str]:
    """The headline is about the strategy that was chosen before its test errors were looked at."""
    rows, name = study.confirmed, chosen_strategy(study["winners"])
    best = rows.filter(pl.col("strategy") == name).row(0, named=True)
    span = interval(best["test_low"], best["test_high"])
    text = f"the winners of {name} reach a test MAE of {study.amount(best['test_mae'])} on fresh seeds"
    text += f" (95 % interval {span})" if span else ""
    if len(rows) == 1:
        return [f"{text[0].upper()}{text[1:]}."]
    others = rows.filter(pl.col("strategy") != name)["test_mae"]
    low, high = number(others.min()), number(others.max())
    reach = low if low == high else f"{low} to {high}"
    if low == high == number(best["test_mae"]):
        ending = "all the others have the same" if len(others) > 1 else "the other has the same"
    else:
        ending = f"the other{'s have' if len(others) > 1 else ' has'} {study.target.amount(reach)}"
    return [f"Chosen on proteins that no search saw, {text}; {ending}."]


def _against_baseline(study: ReportStudy) -> list[str]:
    """Which strategies' winners improve on the baseline, after adjustment for every contrast of the page."""
    rows = study["comparison"].filter((pl.col("b") == BASELINE) & (pl.col("metric") == "test_mae"))
    base = study.baseline["test_mae"]
    if not len(rows) or base is None:
        return ["The baseline has no confirmed score, so no gain over it can be stated."]
    tested = rows.drop_nulls("p_adjusted")
    if not len(tested):
        return [
            f"The baseline has {study.amount(base)}; no gain over it can be tested (too few seeds, or no change kept)."
        ]
    better = [name for name in study.strategies if name in tested.filter(verdict="a better")["a"].to_list()]
    worse = [name for name in study.strategies if name in tested.filter(verdict="b better")["a"].to_list()]
    if len(better) == len(study.strategies) > 1:
        who = "every strategy's winners are shown to improve on it"
    elif better:
        who = f"the winners of {listing(better)} are shown to improve on it"
    else:
        who = "no strategy's winners are shown to improve on it"
    text = f"The baseline has {study.amount(base)}; {who} (p < .05 after adjustment for all contrasts tested)"
    if worse:
        text += f"; the winners of {listing(worse)} are shown to be worse"
    idle = len(study["winners"].drop_nulls("test_mae")) - len(_changed(study))
    if idle:
        text += f"; {count(idle, 'search', 'searches')} kept no change, so that the winner is the baseline"
    lone = tested.filter(pl.col("distinct_a") == 1)["a"].to_list()
    if lone and len(better):
        text += ". With one distinct search this is about its winner, not about the strategy"
    return [text + "."]


def _adjusted(row: Mapping[str, Any]) -> str:
    """Say why nothing is shown although the interval, which is not adjusted, excludes 0."""
    excludes = row["verdict"] == "undecided" and row["low"] is not None and row["low"] * row["high"] > 0
    return " after adjustment for all contrasts tested" if excludes else ""


def _against_reference(study: ReportStudy) -> list[str]:
    """The chosen strategy, or the baseline where nothing was kept, against the strongest reference predictor."""
    sentences = []
    rows = study["comparison"].filter(pl.col("b") == REFERENCE)
    who = "the baseline" if not len(_changed(study)) else None
    for row in rows.filter(metric="test_mae").to_dicts():
        said = {
            "a better": "is shown to predict better",
            "b better": "is shown to predict worse",
            "undecided": "is not shown to differ",
            None: "cannot be tested against it",
        }[row["verdict"]]
        fair = study["floors"].filter(pl.col("kind") == "predictor").drop_nulls(["val_mae", "test_mae"])
        label = fair.sort("val_mae")["label"][0]
        span = interval(row["low"], row["high"], signed=True)
        said += _adjusted(row)
        sentences.append(
            f"The strongest reference predictor by validation ({label}) has {study.amount(row['mean_b'])}: "
            f"{who or row['a']} {said} (difference {study.amount(row['difference'], signed=True)}"
            + (f", 95 % interval {span})." if span else ").")
        )
    one = study.group.one
    for row in rows.filter(metric="test_within_rho").to_dicts():
        said = {
            "a better": f"it is shown to rank proteins within {one} better than that predictor",
            "b better": f"it is shown to rank proteins within {one} worse than that predictor",
        }.get(row["verdict"], f"no difference in ranking within {one} is shown")
        said += _adjusted(row)
        span = interval(row["low"], row["high"], signed=True)
        sentences.append(
            f"Within {study.group.plural}, the rank correlation of {who or row['a']} is {number(row['mean_a'])}, that "
            f"predictor's {number(row['mean_b'])}" + (f" (difference {span} with 95 %)" if span else "") + f": {said}."
        )
    oracle = study["floors"].filter(pl.col("name") == "best_reachable")["test_mae"].drop_nulls()
    if len(oracle):
        reached = study.amount(oracle[0])
        sentences.append(f"The data generator, without the organism, reaches {reached} (for reference).")
    return sentences


def _between(study: ReportStudy) -> list[str]:
    """What is established between strategies, by the decision rule of tmelt.evidence.verdict."""
    pairs = study["comparison"].filter(~pl.col("b").is_in([BASELINE, REFERENCE]) & (pl.col("metric") == "test_mae"))
    if not len(pairs):
        return []
    tested = pairs.drop_nulls("p_adjusted")
    fewest = int(min(pairs["distinct_a"].min(), pairs["distinct_b"].min()))
    if not len(tested):
        searches = "one distinct confirmed search" if fewest == 1 else f"{fewest} distinct confirmed searches"
        most = max(pairs["distinct_a"].max(), pairs["distinct_b"].max())
        whose = "per strategy" if fewest == most else "of some strategy"
        return [
            f"With {searches} {whose} no ranking of the strategies is claimed: another set of searches may order them "
            "differently."
        ]
    decided = tested.filter(pl.col("verdict").is_in(["a better", "b better"]))
    if not len(decided):
        return [
            f"No difference between strategies is established (p over proteins, training seeds and searches, adjusted "
            f"for all contrasts; {FEW} distinct searches or more per strategy tested)."
        ]
    claims = []
    for row in decided.sort("difference").to_dicts():
        ahead, behind = (row["a"], row["b"]) if row["difference"] < 0 else (row["b"], row["a"])
        low, high = (row["low"], row["high"]) if row["difference"] < 0 else (-row["high"], -row["low"])
        claims.append(
            f"{ahead} over {behind} by {study.amount(abs(row['difference']))} ({interval(-high, -low)}; p = "
            f"{row['p_adjusted']:.2g})"
        )
    open_pairs = len(pairs) - len(decided)
    return [
        f"Established between searches (adjusted for all contrasts): {listing(claims)}. "
        f"{count(open_pairs, 'pair')} of {len(pairs)} remain{'s' if open_pairs == 1 else ''} undecided."
    ]


def power(study: ReportStudy) -> str:
    """What the present number of searches can establish, and what the differences seen would take."""
    pairs = study["power"]
    if not len(pairs):
        return ""
    known = pairs.drop_nulls("sd")
    if not len(known) and int(pairs["trajectories"].min()) > 1:
        return "The searches of a strategy all ended at the same error: without a spread no power can be given."
    if not len(known):
        return (
            "With one distinct search per strategy their spread is unknown, so no power can be given. Between searches "
            "of one strategy a spread is to be expected; without it no number of proteins or training seeds makes one "
            "search speak for its strategy."
        )
    fewest = int(known["trajectories"].min())
    text = f"With {count(fewest, 'distinct search', 'distinct searches')} per strategy "
    found = known.drop_nulls("detectable")["detectable"]
    if len(found):
        low, high = number(float(found.min())), number(float(found.max()))
        sizes = study.target.amount(low if low == high else f"{low} to {high}")
        text += (
            f"the decision rule finds differences of {sizes} (by pair) with a "
            "power of 80 %, at the spread between searches seen here; smaller ones mostly go unnoticed."
        )
    elif fewest < FEW:
        text += f"nothing is tested: {FEW} are needed."
    else:
        least = known["attainable"].drop_nulls().min()
        text += f"no difference can be established, whatever its size: the least adjusted p is {least:.2g}."
    needed = known.drop_nulls("needed_80").sort("needed_80", "a", "b")
    if len(needed):
        first = needed.row(0, named=True)
        most = f"more than {MOST}" if first["needed_80_high"] is None else str(first["needed_80_high"])
        text += (
            f" To find the clearest difference seen ({first['a']} and {first['b']}, "
            f"{study.amount(abs(first['difference']))}) with that power would take "
            f"{count(first['needed_80'], 'search', 'searches')} of each, or {most} at the upper end of the spread's "
            "95 % interval, if the difference is as seen."
        )
    return text


def _power(study: ReportStudy) -> list[str]:
    pairs = study["power"].drop_nulls("needed_80").sort("needed_80", "a", "b")
    if not len(pairs) or study.trajectories >= FEW:
        return []
    clearest = pairs.row(0, named=True)
    return [
        f"At the spread between searches seen here even the clearest difference ({clearest['a']} and {clearest['b']}) "
        f"would take at least {clearest['needed_80']} searches of each to establish with a power of 80 %."
    ]


def _search_only(study: ReportStudy) -> list[str]:
    last = study["trials"].sort("iteration").group_by("strategy", "trajectory", maintain_order=True).last()
    ends = last.select("strategy", "trajectory", iteration="incumbent").drop_nulls()
    held = study["trials"].join(ends, on=["strategy", "trajectory", "iteration"])["val_mae"].drop_nulls()
    if not len(held):
        return ["No trial has a score, so there is nothing to compare; what failed is listed below."]
    return [
        "By the searches' own validation scores, which are optimistic about every winner, the incumbents lie between "
        f"{number(held.min())} and {study.amount(held.max())}; without a confirmation on fresh seeds and test no "
        "result is claimed."
    ]


def _optimism(study: ReportStudy) -> list[str]:
    """How much of the gains in validation did not carry over, over the searches that kept a change."""
    moved = study["choices"].filter((pl.col("place") == 1) & (pl.col("iteration") > 0)).select("strategy", "trajectory")
    changed = study["winners"].join(moved, on=["strategy", "trajectory"], how="semi").drop_nulls("optimism")
    if not len(changed):
        return []
    mean = float(changed["optimism"].mean())
    shown = changed.filter(pl.col("optimism_low") > 0)
    if number(max(mean, 0.0)) == number(0.0) and not len(shown):
        return [
            "On average the searches' gains in validation carry over to proteins that no search saw "
            f"(optimism {study.amount(mean, signed=True)}, {count(len(changed), 'search', 'searches')})."
        ]
    text = (
        f"Of the searches' gains in validation, {study.amount(mean)} on average did not carry over to proteins that no "
        f"search saw ({count(len(changed), 'search', 'searches')}"
    )
    return [f"{text}; for {len(shown)} the 95 % interval lies above 0)." if len(shown) else f"{text})."]


def _failures(study: ReportStudy) -> list[str]:
    trials = study["trials"]
    failed = trials.filter(pl.col("status") != "ok")
    text = f"{len(failed)} of {count(len(trials), 'trial')} failed"
    if len(failed):
        kinds = failed.group_by("status").agg(n=pl.len()).sort(pl.col("n"), "status", descending=[True, False])
        text += " (" + ", ".join(f"{row['n']} {row['status']}" for row in kinds.to_dicts()) + ")"
    cost = study["cost"]
    if len(cost) and cost["llm_calls"].sum():
        unknown = cost["llm_usd"].null_count()
        asked = [study.model(name) for name in study.strategies if study.model(name)]
        whom = "the playbook" if asked and set(asked) == {"playbook"} else "LLMs"
        calls = f"{count(int(cost['llm_calls'].sum()), 'call')} to {whom}"
        if not unknown and not cost["llm_usd"].sum():
            text += f"; {calls} cost nothing"
        elif unknown:
            text += f"; what the {calls} cost is unknown for {unknown} of {count(len(cost), 'search', 'searches')}"
        else:
            text += f"; {calls} cost {dollars(float(cost['llm_usd'].sum()))}"
    return [text + "."]
