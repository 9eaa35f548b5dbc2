"""Sentences computed from the tables: the finding, its cautions, the methods. None claims more than the tables hold."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from tmelt.evidence.statistics import FEW
from tmelt.report.figures.winners import BASELINE
from tmelt.report.inputs import Study
from tmelt.report.words import count, dollars, interval, listing, number, seconds, shortened


@dataclass(frozen=True)
class Caution:
    """Something a reader must know before any number."""

    level: str  # danger, warning or note
    title: str
    text: str


def cautions(study: Study) -> list[Caution]:
    """In order of weight."""
    found = []
    runs = study["runs"]
    if study.unconfined:
        unconfined = int((runs["sandbox"] == "none").sum())
        found.append(
            Caution(
                "danger",
                "No sandbox.",
                f"{count(unconfined, 'run')} of {len(runs):,} trained candidate code without confinement (sandbox: "
                "none): a script could have read the hidden labels or changed files. Do not rely on scores of "
                "written scripts.",
            )
        )
    tampered = study["trials"].filter(pl.col("status") == "tamper")
    if len(tampered):
        found.append(
            Caution(
                "danger",
                "Tampering.",
                f"{count(len(tampered), 'trial')} tried to tamper with its own measurement; none of them has a score.",
            )
        )
    if study.synthetic:
        found.append(
            Caution(
                "warning",
                "Synthetic data.",
                "The proteins and their melting temperatures were made by a generator, not measured: errors here say "
                "nothing about real proteins.",
            )
        )
    if study.untrained:
        name = study.embedding.get("backbone", "the backbone")
        found.append(
            Caution(
                "warning",
                "Untrained backbone.",
                f"{name} has random weights: what a trained protein language model would add is not in these numbers.",
            )
        )
    if study.scripted:
        who = (
            "agent of {} is a scripted playbook" if len(study.scripted) == 1 else "agents of {} are scripted playbooks"
        )
        found.append(
            Caution(
                "warning",
                "Scripted agents.",
                f"The {who.format(listing(study.scripted))}, no LLM: nothing here says how well a language model "
                "searches.",
            )
        )
    for revision in study.protocol.get("revisions", []):
        found.append(
            Caution(
                "warning",
                f"The protocol was revised on {revision['at']}.",
                "Trials before and after it are not strictly comparable. Changed: "
                f"{shortened('; '.join(map(str, revision['changes'])), 600)}.",
            )
        )
    if not study.vault_log:
        found.append(
            Caution("note", "Test labels are sealed.", "They have not been opened, so this report has no test error.")
        )
    elif not len(confirmed(study)):
        found.append(
            Caution(
                "note",
                "Nothing is confirmed.",
                "No winner has a score on fresh seeds: only errors of the search itself are shown.",
            )
        )
    uneven = study["trials"].group_by("strategy", "trajectory").agg(trials=pl.len())
    if len(uneven) and uneven["trials"].min() < uneven["trials"].max():
        short = uneven.filter(pl.col("trials") < uneven["trials"].max()).sort("strategy", "trajectory")
        names = [
            f"{row['strategy']} (search {row['trajectory']}, {row['trials']} trials)"
            for row in short.head(6).to_dicts()
        ]
        more = f" and {len(short) - 6} more" if len(short) > 6 else ""
        found.append(
            Caution(
                "note",
                "Not all searches are equally long.",
                f"Shorter than {uneven['trials'].max()} trials: {listing(names)}{more} (stopped, or a spent budget).",
            )
        )
    return found


def confirmed(study: Study) -> pl.DataFrame:
    """Strategies with a confirmed test error, in the report's order."""
    place = {name: i for i, name in enumerate(study.strategies)}
    rows = study["strategies"].drop_nulls("test_mae")
    return rows.sort(pl.col("strategy").replace_strict(place, default=99))


def finding(study: Study) -> tuple[str, str]:
    """The paragraph at the top, and what else a careful reader wants to know before the figures."""
    if len(confirmed(study)) and not len(_changed(study)):
        main, further = [_setting(study), *_nothing_kept(study), *_against_floors(study)], []
    elif len(confirmed(study)):
        main = [_setting(study), *_winners(study), *_between(study), *_against_floors(study)]
        further = _against_baseline(study)
    else:
        main, further = [_setting(study), *_search_only(study)], []
    return " ".join(main), " ".join([*further, *_power(study), *_optimism(study), *_failures(study)])


def _setting(study: Study) -> str:
    trials = study["trials"]
    made = " synthetic" if study.synthetic else ""
    kind = f" with an untrained backbone ({study.embedding.get('backbone', 'unnamed')})" if study.untrained else ""
    tried = trials.filter(pl.col("iteration") > 0).group_by("strategy", "trajectory").agg(n=pl.len())["n"]
    longest = int(tried.max()) if len(tried) else 0
    proteins = sum(study.splits.values())
    told = f"On {count(proteins, f'{made.strip()} protein'.strip())}{kind}" if proteins else f"On{made} proteins{kind}"
    free = [name for name in study.strategies if name not in study.scripted]
    names = listing([*free, *study.scripted])
    if study.scripted:
        names = f"{', '.join(free)} and " * bool(free) + f"the scripted {listing(study.scripted)}"
    return (
        f"{told}, {count(len(study.strategies), 'strategy', 'strategies')} ({names}) made "
        f"{count(trials.select('strategy', 'trajectory').n_unique(), 'search', 'searches')} of up to "
        f"{count(longest, 'trial')} from one baseline, on the same budget per trial."
    )


def _changed(study: Study) -> pl.DataFrame:
    """The confirmed winners that are not the baseline itself."""
    return study["winners"].drop_nulls("test_mae").filter(pl.col("iteration") > 0)


def _nothing_kept(study: Study) -> list[str]:
    """Where no search found anything better than where it started."""
    rows = study["winners"].drop_nulls("test_mae")
    span = interval(rows["test_low"][0], rows["test_high"][0])
    return [
        f"No search kept a change: {'every winner' if len(rows) > 1 else 'the winner'} is the baseline itself, with a "
        f"test MAE of {number(rows['test_mae'][0])} °C on fresh seeds"
        + (f" (95 % interval {span})." if span else ".")
        + (" Nothing tells the strategies apart." if len(study.strategies) > 1 else "")
    ]


def _winners(study: Study) -> list[str]:
    rows = confirmed(study)
    best = rows.sort("test_mae", "strategy").row(0, named=True)
    span = interval(best["test_low"], best["test_high"])
    name = best["strategy"]
    if len(rows) == 1:
        lead = f"The winners of {name} reach a test MAE of {number(best['test_mae'])} °C"
    else:
        others = rows.filter(pl.col("strategy") != name)["test_mae"]
        reach = f"{number(others.min())}" if len(others) == 1 else f"{number(others.min())} to {number(others.max())}"
        lead = f"Retrained on fresh seeds, the winners of {name} have the lowest observed mean test MAE, "
        lead += f"{number(best['test_mae'])} °C"
    text = lead + (f" (95 % interval {span})" if span else "")
    if len(rows) == 1:
        return [f"{text}."]
    if number(others.max()) == number(best["test_mae"]):
        return [f"{text}; {'all the others have' if len(others) > 1 else 'the other has'} the same."]
    return [f"{text}; the other{'s have' if len(others) > 1 else ' has'} {reach} °C."]


def _against_baseline(study: Study) -> list[str]:
    rows = study["comparison"].filter((pl.col("b") == BASELINE) & (pl.col("metric") == "test_mae"))
    base = study.baseline["test_mae"]
    if not len(rows) or base is None:
        return ["The baseline has no confirmed score, so no gain over it can be stated."]
    better = rows.filter(pl.col("high") < 0)
    worse = rows.filter(pl.col("low") > 0)
    strategies = [name for name in study.strategies if name in better["a"].to_list()]
    known = rows.drop_nulls(["low", "high"])
    if not len(known):
        return [
            f"The baseline has {number(base)} °C; there are too few proteins or searches for an interval of the gains."
        ]
    if len(better) == len(rows):
        who = "every strategy's winners improve" if len(rows) > 1 else f"the winners of {rows['a'][0]} improve"
    elif len(better):
        who = f"the winners of {listing(strategies)} improve"
    else:
        who = "no strategy's winners improve"
    text = f"Against the baseline's {number(base)} °C, {who} with an interval that excludes 0"
    if int(rows["n_a"].max()) == 1:
        text += " (over proteins; one search each)"
    undecided = len(known) - len(better) - len(worse)
    if len(better) and undecided:
        text += f"; for {undecided} of {len(rows)} the interval includes 0"
    if len(worse):
        text += f"; {listing(worse['a'].to_list())} did worse"
    idle = len(study["winners"].drop_nulls("test_mae")) - len(_changed(study))
    if idle:
        text += f"; {count(idle, 'search', 'searches')} kept no change, so that the winner is the baseline"
    return [text + "."]


def _against_floors(study: Study) -> list[str]:
    fair = study["floors"].filter(pl.col("kind") == "predictor").drop_nulls(["val_mae", "test_mae"]).sort("val_mae")
    best = confirmed(study).sort("test_mae", "strategy").row(0, named=True)
    if not len(_changed(study)):
        best |= {"strategy": "the baseline"}
    sentences = []
    if len(fair):
        floor = fair.row(0, named=True)
        verdict = f"that lies inside the interval of {best['strategy']}"
        if best["test_low"] is None:
            verdict = "there is no interval to separate the two"
        elif floor["test_mae"] > best["test_high"]:
            verdict = f"the interval of {best['strategy']} lies below it"
        elif floor["test_mae"] < best["test_low"]:
            verdict = f"the interval of {best['strategy']} lies above it, so no strategy is shown to do as well"
        sentences.append(
            f"The strongest trivial predictor by validation ({floor['label']}) has {number(floor['test_mae'])} °C: "
            f"{verdict}."
        )
    if best["test_within_rho"] is not None:
        rho = best["test_within_rho"]
        meaning = (
            "it hardly ranks proteins within an organism"
            if rho < 0.2
            else "it also ranks proteins within an organism"
            if rho >= 0.4
            else "it ranks proteins within an organism only weakly"
        )
        sentences.append(f"Within organisms, the rank correlation of {best['strategy']} is {number(rho)}: {meaning}.")
    bound = study["floors"].filter(pl.col("name") == "best_reachable")["test_mae"].drop_nulls()
    if len(bound):
        sentences.append(
            f"The data's own generator, told no organism, has {number(bound[0])} °C: that much can be reached."
        )
    return sentences


def _between(study: Study) -> list[str]:
    pairs = study["comparison"].filter((pl.col("b") != BASELINE) & (pl.col("metric") == "test_mae"))
    if not len(pairs):
        return []
    fewest = int(min(pairs["n_a"].min(), pairs["n_b"].min()))
    if fewest < FEW:
        searches = "one confirmed search" if fewest == 1 else f"{fewest} confirmed searches"
        return [
            f"With {searches} per strategy no ranking of the strategies is claimed: another set of searches may order "
            "them differently."
        ]
    decided = pairs.filter(pl.col("verdict").is_in(["a better", "b better"]))
    if not len(decided):
        return [
            f"With {fewest} searches or more per strategy no difference between strategies is established (exact "
            "permutation test over searches, corrected for all pairs)."
        ]
    claims = []
    for row in decided.sort("difference").to_dicts():
        ahead, behind = (row["a"], row["b"]) if row["difference"] < 0 else (row["b"], row["a"])
        low, high = (row["low"], row["high"]) if row["difference"] < 0 else (-row["high"], -row["low"])
        claims.append(
            f"{ahead} over {behind} by {number(abs(row['difference']))} °C ({interval(-high, -low)}; p = "
            f"{row['p_holm']:.2g})"
        )
    return [
        f"Established between searches (exact permutation test, corrected for all pairs; n ≥ {fewest} each): "
        f"{listing(claims)}. {count(len(pairs) - len(decided), 'pair')} of {len(pairs)} remain undecided."
    ]


def power(study: Study) -> str:
    """What the present number of searches can tell apart, and what the differences seen would take."""
    pairs = study["power"]
    if not len(pairs):
        return ""
    known = pairs.drop_nulls("detectable")
    if not len(known) and int(pairs["trajectories"].min()) > 1:
        return "The searches of a strategy all ended at the same error: without a spread no power can be given."
    if not len(known):
        return (
            "With one search per strategy their spread is unknown, so no power can be given. Between searches of one "
            "strategy a spread is to be expected; without it no number of proteins or training seeds makes one search "
            "speak for its strategy."
        )
    fewest = int(known["trajectories"].min())
    low, high = float(known["detectable"].min()), float(known["detectable"].max())
    found = number(low) if len(known) == 1 else f"{number(low)} to {number(high)}"
    text = (
        f"At the spread between searches seen here, {count(fewest, 'search', 'searches')} per strategy find "
        f"differences of {found} °C (by pair) with a power of 80 %; smaller ones mostly go unnoticed."
    )
    needed = known.drop_nulls("needed_80").sort("needed_80", "a", "b")
    if len(needed):
        first = needed.row(0, named=True)
        text += (
            f" To find the clearest difference seen ({first['a']} and {first['b']}, "
            f"{number(abs(first['difference']))} °C) with that power would take "
            f"{count(first['needed_80'], 'search', 'searches')} of each, if its size and the spread are as seen; both "
            "are uncertain themselves."
        )
    return text


def _power(study: Study) -> list[str]:
    pairs = study["power"].drop_nulls("needed_80").sort("needed_80", "a", "b")
    if not len(pairs) or study.trajectories >= FEW:
        return []
    clearest = pairs.row(0, named=True)
    return [
        f"At the spread between searches seen here even the clearest difference ({clearest['a']} and {clearest['b']}) "
        f"would take at least {max(clearest['needed_80'], FEW)} searches of each to establish."
    ]


def _search_only(study: Study) -> list[str]:
    last = study["trials"].sort("iteration").group_by("strategy", "trajectory", maintain_order=True).last()
    ends = last.select("strategy", "trajectory", iteration="incumbent").drop_nulls()
    held = study["trials"].join(ends, on=["strategy", "trajectory", "iteration"])["val_mae"].drop_nulls()
    if not len(held):
        return ["No trial has a score, so there is nothing to compare; what failed is listed below."]
    return [
        "By the searches' own validation scores, which flatter every winner, the incumbents lie between "
        f"{number(held.min())} and {number(held.max())} °C; without a confirmation on fresh seeds and test no result "
        "is claimed."
    ]


def _optimism(study: Study) -> list[str]:
    values = study["winners"]["optimism"].drop_nulls()
    if not len(values):
        return []
    mean = float(values.mean())
    off = f"{number(abs(mean))} °C {'too low' if mean > 0 else 'too high'} on average"
    if number(mean) == number(0):
        off = "right on average"
    return [f"The searches' own validation scores of their winners were {off} ({count(len(values), 'winner')})."]


def _failures(study: Study) -> list[str]:
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


def methods_paragraph(study: Study) -> str:
    """The study as a paper's methods section would tell it, from what was recorded."""
    design, trials = study.protocol["design"], study["trials"]
    runs, confirmed_runs = study["runs"], study["confirmed_runs"]
    tried = trials.filter(pl.col("iteration") > 0).group_by("strategy", "trajectory").agg(n=pl.len())["n"]
    longest = int(tried.max()) if len(tried) else 0
    seeds = runs["seed"].n_unique() or int(trials["seeds"].list.len().max() or 0)
    embedding = study.embedding
    backbone = embedding.get("backbone")
    splits = ", ".join(f"{value:,} {name}" for name, value in study.splits.items())
    limits = design.get("budget", {})
    sentences = [
        f"Melting temperatures of {sum(study.splits.values()):,} proteins ({splits}) were predicted from "
        + (
            f"residue embeddings of {backbone}"
            + (" with random weights" if study.untrained else "")
            + ", which was not trained further."
            if backbone
            else "frozen residue embeddings."
        )
        if splits
        else None,
        f"{count(len(study.strategies), 'strategy', 'strategies')} ({listing(study.strategies)}) searched for a "
        f"training script and its knobs, each in {count(study.trajectories, 'separate search', 'separate searches')} "
        f"of up to {count(longest, 'trial')} after a common baseline.",
        f"A trial trains one candidate with {count(seeds, 'training seed')}"
        + (f" for at most {limits['fit_s']:g} s each" if "fit_s" in limits else "")
        + "; a harness apart from the candidate's process measures the mean absolute error on validation proteins, "
        "which alone decides what is kept.",
    ]
    if len(confirmed_runs):
        fresh = confirmed_runs["seed"].n_unique()
        sentences.append(
            f"Afterwards the last incumbent of each search and the baseline were retrained with "
            f"{count(fresh, 'fresh seed')}, and their test error was measured; test labels were opened only then"
            + (f" ({count(len(study.vault_log), 'opening')}, listed above)." if study.vault_log else ".")
        )
        sentences.append(
            "Intervals are 95 % bootstrap intervals over families of homologous proteins and over searches, widened by "
            "Student's t for few of either; differences are paired over proteins. The search is the unit of "
            f"replication: with {FEW} or more per strategy an exact permutation test with Holm's correction decides, "
            "with fewer nothing is called significant."
        )
    return " ".join(filter(None, sentences))


def command_of(study: Study) -> str:
    """How to run the study again or further, as it was run as far as is known."""
    design = study.protocol["design"]
    files = " ".join(study.configs)
    own = not study.synthetic
    if not files:
        start = "snakemake --profile profiles/default --configfile followed by this study's config file"
    elif len(study.configs) == 1:
        source = " SOURCE=" + (str(study.facts.get("source") or "path/of/your/table")) if own else ""
        start = f"make study CONFIG={files}{source}, or snakemake --profile profiles/default --configfile {files}"
        start += f" --config{source.replace(' SOURCE', ' source')}" if own else ""
    else:
        start = f"snakemake --profile profiles/default --configfile {files}"
    on_gpu = "; on a cluster: --profile slurm" if design.get("device") == "cuda" else ""
    return (
        f"{start}{on_gpu}. It resumes where it stopped; finished trials are not run again. With replay: strict under "
        "runtime: in the config the recorded replies of the models are used instead of new calls."
    )


def methods(study: Study) -> list[tuple[str, str]]:
    """(what, how): everything that it takes to judge or repeat the study."""
    design, environment = study.protocol["design"], study.protocol.get("environment", {})
    budget, embedding = design.get("budget", {}), study.embedding
    runs, confirmed_runs = study["runs"], study["confirmed_runs"]
    facts = study.facts
    split = facts.get("split", {})
    splits = ", ".join(f"{value:,} {name}" for name, value in study.splits.items())
    rows = [
        (
            "Question",
            "On the same budget, which way of searching finds the best predictor of melting temperature from sequence?",
        ),
        (
            "Data",
            _join(
                facts.get("description"),
                f"source: {facts.get('source', 'not recorded')}",
                f"split {split.get('method', 'as given')}: {splits}" if splits else None,
                *(f"SHA-256 of {path}: {digest}" for path, digest in facts.get("files", {}).items()),
            ),
        ),
        (
            "Backbone",
            _join(
                embedding.get("backbone"),
                f"layer {embedding['layer']}" if "layer" in embedding else None,
                f"width {embedding['width']}" if "width" in embedding else None,
                embedding.get("precision"),
                "random weights (untrained)" if study.untrained else None,
                f"weights SHA-256 {embedding['weights_sha256']}" if "weights_sha256" in embedding else None,
            ),
        ),
        (
            "Budget of a run",
            _join(
                *(f"{name} {value}" for name, value in budget.items()),
                f"device {design.get('device')}",
                f"threads {design['threads']}" if "threads" in design else None,
            ),
        ),
        (
            "Sandbox",
            _join(
                ", ".join(runs["sandbox"].drop_nulls().unique().sort()) or None,
                f"asked for: {design['sandbox']}" if "sandbox" in design else None,
            ),
        ),
        (
            "Seeds",
            _join(
                f"search: {_seeds(runs)}",
                f"confirmation: {_seeds(confirmed_runs)}" if len(confirmed_runs) else "no confirmation",
            ),
        ),
        (
            "Decision",
            "A candidate replaces the incumbent if its mean validation MAE over the training seeds is lower by more "
            f"than {design.get('decision', {}).get('z', 'z')} standard errors of the pooled seed noise; inside that "
            "margin the simpler one stays.",
        ),
        (
            "Evidence",
            "Each search's winner by validation and the baseline are retrained on fresh seeds; the number that "
            "counts is their test MAE. Intervals: 95 %, bootstrap over protein families and searches, widened for "
            f"few searches. The search is the unit of replication; with fewer than {FEW} per strategy nothing is "
            "called significant.",
        ),
        *((f"Strategy {name}", _strategy(study, name)) for name in study.strategies),
        ("Prices", _join(*study["cost"]["note"].drop_nulls().unique().sort().to_list())),
        (
            "Hardware",
            _join(
                ", ".join(runs["host_cpu"].drop_nulls().unique().sort()) or environment.get("processor"),
                count(environment["cores"], "core") if "cores" in environment else None,
                ", ".join(runs["device"].drop_nulls().unique().sort()) or None,
                environment.get("system"),
            ),
        ),
        (
            "Time spent",
            f"{seconds(float(runs['fit_s'].sum()))} of training in the searches ({count(len(runs), 'run')}), "
            f"{seconds(float(confirmed_runs['fit_s'].sum()))} in the confirmation "
            f"({count(len(confirmed_runs), 'run')})",
        ),
        (
            "Versions",
            _join(
                f"Python {environment['python']}" if "python" in environment else None,
                *(f"{name} {version}" for name, version in environment.get("packages", {}).items()),
            ),
        ),
        (
            "Config file",
            ", ".join(study.configs),
        ),
        (
            "Protocol",
            _join(
                f"SHA-256 {study.protocol['sha256']}",
                f"fixed {study.protocol['created']}" if "created" in study.protocol else None,
                count(len(study.protocol.get("revisions", [])), "revision"),
                f"reference script {study.reference}",
                f"data set {design.get('dataset')}",
                f"embedding {design.get('backbone')}" if "backbone" in design else None,
            ),
        ),
        (
            "Commands",
            command_of(study),
        ),
    ]
    return [(name, text) for name, text in rows if text]


def _strategy(study: Study, name: str) -> str:
    described = study.settings.get(name)
    if described is None:
        return "its settings were not recorded"
    model = study.model(name)
    agent = "scripted playbook, no LLM" if model == "playbook" else model
    options = {key: value for key, value in described.get("options", {}).items() if key != "model"}
    return _join(
        f"kind {described.get('kind')}",
        f"agent: {agent}" if agent else None,
        *(f"{key} {value}" for key, value in options.items()),
        f"prompt SHA-256 {described['program']}" if described.get("program") else None,
    )


def _seeds(runs: pl.DataFrame) -> str:
    return ", ".join(map(str, runs["seed"].unique().sort().to_list())) or "none"


def _join(*parts: Any) -> str:
    return "; ".join(str(part) for part in parts if part)
