"""Column by column what the tables under results/{study}/tables/ hold.

`TABLES` names them all. A table that has nothing to say (no confirmation yet, no hybrid, no LLM) exists with its
columns and no rows. Columns named `low` and `high` bound a 95 % interval; they are null where too few replicates
allow none, and `note` then says why. MAE, RMSE, Tm and effects are in °C; a negative effect is better.
"""

import pyarrow as pa

from tmelt.schema import CURVE, RUN, TRIAL, F, N, S, _column

B = pa.bool_()

_SEARCH = [
    _column("strategy", S, "name of the strategy in the config"),
    _column("trajectory", N, "replicate of the search"),
]
_TRIAL_KEY = [*_SEARCH, _column("iteration", N, "trial number; 0 is the baseline")]
_CANDIDATE = [
    _column("role", S, "winner (of a search), baseline (trial 0) or floor (a trivial predictor)"),
    _column("strategy", S, "name of the strategy; null for the baseline; the predictor's name for a floor"),
    _column("trajectory", N, "replicate of the search; null for the baseline and the floors"),
]
_INTERVAL = [_column("low", F, "lower end of the 95 % interval"), _column("high", F, "upper end of the 95 % interval")]
_NOTE = _column("note", S, "why a value is missing or must be read with care, or null")
_SCORES = [
    _column("val_mae", F, "exact validation MAE in °C; null unless ok"),
    _column("val_spearman", F, "rank correlation on validation"),
    _column("val_within_rho", F, "rank correlation within organisms on validation (weighted mean, ≥ 8 proteins each)"),
    _column("test_mae", F, "exact test MAE in °C; null unless ok"),
    _column("test_rmse", F, "test root mean square error in °C"),
    _column("test_r2", F, "test coefficient of determination"),
    _column("test_spearman", F, "rank correlation on test"),
    _column("test_within_rho", F, "rank correlation within organisms on test (weighted mean, ≥ 8 proteins each)"),
    _column("test_bias", F, "mean of prediction minus measured on test in °C"),
]

TRIALS = TRIAL

RUNS = pa.schema([*_TRIAL_KEY, *RUN, *_SCORES])

CONFIRMED_RUNS = pa.schema([
    _column("candidate", S, "folder under confirm/: a hash of script, knobs, budget and data"), *RUN, *_SCORES,
])  # fmt: skip

PLAN = pa.schema([
    _column("purpose", S, "winner, baseline, ablation, projection, budget, fraction or organism"),
    _column("candidate", S, "folder under confirm/ in which it is trained; several purposes may share one"),
    _column("strategy", S, "whose winner this is about; null for the baseline"),
    _column("trajectory", N, "whose winner this is about; null for the baseline"),
    _column("iteration", N, "the winner's trial"),
    _column("change", N, "ablation, projection: iteration of the kept change in question; null: the whole winner"),
    _column("part", S, "ablation: the knob left out, or `script`; projection: projected, parent or child; else null"),
    _column("level", F, "budget: factor on fit_s (and epochs, patience); fraction: share of fit; else null"),
    _column("organism", S, "organism: the one left out of fit and stop; else null"),
    _column("seeds", pa.list_(N), "training seeds, none of them used in the search"),
    _column("budget_factor", F, "factor on the budget's fit_s"),
    _column("fit_fraction", F, "share of fit proteins trained on"),
    _column("without_organism", S, "organism absent from fit and stop, or null"),
])  # fmt: skip

OPENED_LABELS = pa.schema([
    _column("protein_id", S, "name of the protein"),
    _column("split", S, "val or test"),
    _column("organism", S, "organism, or null"),
    _column("cluster", S, "family of homologues, the unit that bootstraps draw"),
    _column("length", N, "residues"),
    _column("identity", F, "of its nearest homologue in fit or stop (best gapless segment); 0 where none is found"),
    _column("tm", F, "measured, °C"),
])  # fmt: skip

CONFIRMED_PREDICTIONS = pa.schema([
    _column("candidate", S, "folder under confirm/"),
    _column("seed", N, "fresh seed"),
    _column("protein_id", S, "name of the protein"),
    _column("split", S, "val or test"),
    _column("prediction", F, "predicted tm in °C"),
])  # fmt: skip

CURVES = pa.schema([*_TRIAL_KEY, _column("seed", N, "training seed"), *CURVE])

INCUMBENTS = pa.schema([
    *_TRIAL_KEY,
    _column("incumbent", N, "iteration of the incumbent after this trial"),
    _column("search_val_mae", F, "the incumbent's validation MAE as the search saw it (mean over seeds, rounded)"),
    _column("val_mae", F, "the same, exact"),
    _column("test_mae", F, "mean over search seeds of the incumbent's test MAE: reported, never selected on"),
    _column("test_within_rho", F, "the incumbent's mean rank correlation within organisms on test"),
    _column("fit_s", F, "cumulative seconds of training, all seeds"),
    _column("cpu_s", F, "cumulative CPU seconds, all seeds"),
    _column("device_s", F, "cumulative seconds a GPU was held"),
    _column("cost_usd", F, "cumulative price of LLM calls as recorded; null from the first unknown one on"),
    _column("prompt_tokens", N, "cumulative tokens sent; null from the first unknown one on"),
    _column("completion_tokens", N, "cumulative tokens received; null from the first unknown one on"),
])  # fmt: skip

BANDS = pa.schema([
    _column("strategy", S, "name of the strategy"),
    _column("axis", S, "trials, fit_s, device_s or total_usd"),
    _column("x", F, "position on the axis"),
    _column("split", S, "val or test: both are at the validation incumbent"),
    _column("median", F, "median over trajectories of the incumbent's MAE"),
    _column("lower", F, "lower quartile over trajectories; the least one with fewer than 4"),
    _column("upper", F, "upper quartile over trajectories; the largest one with fewer than 4"),
    _column("trajectories", N, "searches that reach this far; those that ended keep their incumbent"),
])  # fmt: skip

WINNERS = pa.schema([
    *_TRIAL_KEY,
    _column("candidate", S, "folder under confirm/, or null if not confirmed"),
    _column("origin", S, "who proposed it: baseline, random, startup, sampler or agent"),
    _column("script", S, "SHA-256 of the training script"),
    _column("knobs", S, "active knobs as JSON"),
    _column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    _column("search_val_mae", F, "validation MAE of the search, exact mean over search seeds"),
    _column("search_test_mae", F, "test MAE of the search's runs, mean over search seeds"),
    _column("confirmed_seeds", N, "fresh seeds that ended ok"),
    _column("failed_seeds", N, "fresh seeds that failed"),
    _column("val_mae", F, "confirmed: mean over fresh seeds of the validation MAE"),
    _column("val_low", F, "lower end of its 95 % interval (bootstrap over clusters and seeds)"),
    _column("val_high", F, "upper end"),
    _column("test_mae", F, "confirmed: mean over fresh seeds of the test MAE: the number that counts"),
    _column("test_low", F, "lower end of its 95 % interval (bootstrap over clusters and seeds)"),
    _column("test_high", F, "upper end"),
    _column("test_ensemble_mae", F, "test MAE of the mean prediction over fresh seeds"),
    _column("test_rmse", F, "mean over fresh seeds"),
    _column("test_r2", F, "mean over fresh seeds"),
    _column("test_spearman", F, "mean over fresh seeds"),
    _column("test_within_rho", F, "mean over fresh seeds"),
    _column("optimism", F, "confirmed minus search validation MAE: positive means that the search flattered itself"),
    _column("overtuning", F, "test MAE at the incumbent minus the least of earlier ones', search's runs; 0 is none"),
    _column("gain", F, "confirmed test MAE minus the confirmed baseline's; negative is better"),
    _column("gain_low", F, "lower end of its 95 % interval, paired over clusters"),
    _column("gain_high", F, "upper end"),
    _NOTE,
])  # fmt: skip

STRATEGIES = pa.schema([
    _column("strategy", S, "name of the strategy"),
    _column("trajectories", N, "searches"),
    _column("trials", N, "trials of all searches, the baselines too"),
    _column("ok", N, "trials with a validation error"),
    _column("failed", N, "trials without"),
    _column("kept", N, "trials that became the incumbent, without the baselines"),
    _column("search_val_mae", F, "mean over searches of the winner's validation MAE"),
    _column("confirmed", N, "searches whose winner was confirmed"),
    _column("test_mae", F, "mean over searches of the winners' confirmed test MAE"),
    _column("test_low", F, "lower end of its 95 % interval: bootstrap over searches and protein clusters"),
    _column("test_high", F, "upper end"),
    _column("test_sd", F, "standard deviation over searches"),
    _column("test_within_rho", F, "mean over searches"),
    _column("val_mae", F, "mean over searches of the winners' confirmed validation MAE"),
    _column("optimism", F, "mean over searches"),
    _column("overtuning", F, "mean over searches"),
    _column("gain", F, "mean over searches of test MAE minus the baseline's"),
    _column("seed_sd", F, "pooled standard deviation of the validation MAE over training seeds"),
    _column("auc", F, "mean over searches of the incumbent's validation MAE averaged over trials"),
    _column("fit_s", F, "mean over searches: seconds of training"),
    _column("device_s", F, "mean over searches: seconds a GPU was held"),
    _column("cost_usd", F, "mean over searches: LLM calls as recorded; null when unknown"),
    _NOTE,
])  # fmt: skip

EFFICIENCY = pa.schema([
    *_SEARCH,
    _column("axis", S, "trials, fit_s, device_s or total_usd"),
    _column("horizon", F, "up to where: the least total that any search spent, so that all are compared alike"),
    _column("auc", F, "mean over the axis up to the horizon of the incumbent's validation MAE in °C"),
    _column("target", F, "validation MAE in °C to reach: the median over all searches of their final one"),
    _column("time_to_target", F, "position on the axis where the incumbent first reaches it; null if never"),
    _column("reached", B, "whether it does within this search"),
    _column("spent", F, "what the whole search used; null when unknown"),
    _NOTE,
])  # fmt: skip

WINNER_PREDICTIONS = pa.schema([
    *_CANDIDATE,
    _column("protein_id", S, "name of the protein"),
    _column("split", S, "val or test"),
    _column("organism", S, "organism, or null"),
    _column("cluster", S, "protein cluster; the protein itself where there are none"),
    _column("length", N, "residues"),
    _column("tm", F, "measured, °C"),
    _column("prediction", F, "mean over fresh seeds, °C"),
    _column("prediction_sd", F, "standard deviation over fresh seeds, °C; null with one"),
    _column("seeds", N, "fresh seeds averaged"),
])  # fmt: skip

FLOORS = pa.schema([
    _column("name", S, "median, organism, ridge, ridge_dipeptides, mlp, noise or best_reachable"),
    _column("label", S, "as a figure names it"),
    _column("kind", S, "predictor (fair), oracle (is told what no candidate knows) or bound (from the data's maker)"),
    _column("val_mae", F, "°C"),
    _column("test_mae", F, "°C"),
    *_INTERVAL,
    _column("test_rmse", F, "°C"),
    _column("test_r2", F, "coefficient of determination"),
    _column("test_spearman", F, "rank correlation"),
    _column("test_within_rho", F, "rank correlation within organisms"),
    _NOTE,
])  # fmt: skip

BASELINE = pa.schema([
    _column("candidate", S, "folder under confirm/"),
    _column("seeds", N, "fresh seeds that ended ok"),
    _column("val_mae", F, "confirmed: mean over fresh seeds of the validation MAE"),
    _column("test_mae", F, "confirmed: mean over fresh seeds of the test MAE"),
    *_INTERVAL,
    _column("test_rmse", F, "mean over fresh seeds"),
    _column("test_r2", F, "mean over fresh seeds"),
    _column("test_spearman", F, "mean over fresh seeds"),
    _column("test_within_rho", F, "mean over fresh seeds"),
    _column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    _NOTE,
])  # fmt: skip

COMPARISON = pa.schema([
    _column("a", S, "strategy"),
    _column("b", S, "strategy, or `baseline`"),
    _column("metric", S, "test_mae (confirmed winners), val_mae (confirmed winners) or auc (over trials)"),
    _column("n_a", N, "searches of a"),
    _column("n_b", N, "searches of b"),
    _column("mean_a", F, "°C"),
    _column("mean_b", F, "°C"),
    _column("difference", F, "mean of a minus mean of b; negative: a is better"),
    *_INTERVAL,
    _column("probability", F, "of improvement: share of pairs of searches in which a is better (ties half)"),
    _column("probability_low", F, "lower end of its 95 % interval (Wilson, on the smaller number of searches)"),
    _column("probability_high", F, "upper end"),
    _column("p_value", F, "exact permutation test over searches, two-sided; null with fewer than 5 searches each"),
    _column("p_holm", F, "the same after Holm's correction over the pairs of one metric"),
    _column("verdict", S, "a better, b better, or undecided; null when too few searches"),
    _NOTE,
])  # fmt: skip

POWER = pa.schema([
    _column("a", S, "strategy"),
    _column("b", S, "strategy"),
    _column("metric", S, "test_mae"),
    _column("difference", F, "observed, °C"),
    _column("sd", F, "pooled standard deviation between searches, °C"),
    _column("trajectories", N, "per strategy now (the smaller number)"),
    _column("needed_80", N, "trajectories per strategy to find a difference this large with power 80 %"),
    _column("needed_90", N, "with power 90 %"),
    _column("detectable", F, "smallest difference that the present number finds with power 80 %, °C"),
    _NOTE,
])  # fmt: skip

FAILURES = pa.schema([
    *_TRIAL_KEY,
    _column("origin", S, "who proposed it"),
    _column("status", S, "how it ended"),
    _column("reason", S, "the harness's word for the first failed run, or null"),
    _column("failed_seeds", N, "runs that failed"),
    _column("seeds", N, "runs"),
    _column("in_space", B, "the script is the reference script"),
    _column("fit_s", F, "seconds of training spent on it"),
    _column("cost_usd", F, "price of its LLM calls; null when unknown"),
    _column("error", S, "end of the log, or why it was refused"),
])  # fmt: skip

COST = pa.schema([
    *_SEARCH,
    _column("trials", N, "trials"),
    _column("fit_s", F, "seconds of training, all seeds"),
    _column("cpu_s", F, "CPU seconds, all seeds"),
    _column("device_s", F, "seconds a GPU was held"),
    _column("device", S, "whose price applies: cpu or the GPU's name"),
    _column("compute_usd", F, "GPU seconds, or CPU-core seconds on a CPU, at the listed price; null without one"),
    _column("llm_usd", F, "LLM calls as recorded; null when unknown"),
    _column("llm_calls", N, "LLM calls"),
    _column("prompt_tokens", N, "tokens sent; null when unknown"),
    _column("completion_tokens", N, "tokens received; null when unknown"),
    _column("total_usd", F, "both; null when unknown"),
    _column("usd_per_degree", F, "total per °C of confirmed test MAE gained over the baseline; null without a gain"),
    _NOTE,
])  # fmt: skip

COST_CURVES = pa.schema([
    _column("strategy", S, "name of the strategy"),
    _column("compute_usd_per_h", F, "price of an hour of the training device"),
    _column("token_price", S, "recorded, or a level of prices.yaml (USD per million tokens in and out)"),
    _column("usd", F, "spent so far"),
    _column("median_val_mae", F, "median over trajectories of the incumbent's validation MAE"),
    _column("median_test_mae", F, "median over trajectories of the incumbent's test MAE"),
])  # fmt: skip

CROSSOVERS = pa.schema([
    _column("a", S, "strategy that is ahead below the crossover"),
    _column("b", S, "strategy that is ahead above it"),
    _column("compute_usd_per_h", F, "price of an hour of the training device"),
    _column("token_price", S, "recorded, or a level of prices.yaml (USD per million tokens in and out)"),
    _column("usd", F, "where b's median curve overtakes a's"),
    _column("val_mae", F, "validation MAE there"),
])  # fmt: skip

CHANGES = pa.schema([
    *_TRIAL_KEY,
    _column("parent", N, "the incumbent that it replaced"),
    _column("position", F, "iteration divided by the search's last"),
    _column("origin", S, "who proposed it"),
    _column("kind", S, "in_space (knobs only), out_of_space (script only), mixed, or none (only text or comments)"),
    _column("knobs", S, "JSON: knob: [before, after] of the reference's knobs"),
    _column("own_knobs", S, "JSON: the same for knobs that a script declares itself"),
    _column("functions", pa.list_(S), "functions, classes and constants of the script that differ, by syntax tree"),
    _column("lines_added", N, "lines in the script's diff"),
    _column("lines_removed", N, "lines in the script's diff"),
    _column("categories", pa.list_(S), "architecture, optimisation, objective, data, other"),
    _column("effect", F, "validation MAE minus the parent's, means over search seeds"),
    _column("effect_se", F, "its standard error from the pooled seed noise"),
    _column("gain_share", F, "share of the search's whole gain in validation MAE"),
    _column("in_space_share", F, "share of this gain that in-space changes explain: 1, 0, or by the projection"),
    _column("in_space_basis", S, "by kind, by projection (re-run), or unknown"),
    _column("rationale", S, "why, in the proposer's words"),
    _column("diff", S, "unified diff of the script against the parent's; empty if the same"),
])  # fmt: skip

ATTRIBUTION = pa.schema([
    *_SEARCH,
    _column("gain", F, "validation MAE of the winner minus the baseline's"),
    _column("kept", N, "kept changes"),
    _column("in_space", F, "gain by in-space changes, °C"),
    _column("out_of_space", F, "gain by out-of-space changes, °C"),
    _column("unknown", F, "gain by mixed changes that no projection has split, or by changes of text alone, °C"),
    _column("in_space_share", F, "share of the gain that in-space changes explain; null while some of it is unknown"),
    _column("confirmed_gain", F, "validation MAE of the winner minus the baseline's on fresh seeds"),
    _column("projected_gain", F, "the same for the baseline's script with the winner's knobs (re-run)"),
    _column("switch", N, "first kept change that touches the script; null if none does"),
    _NOTE,
])  # fmt: skip

IMPROVEMENTS = pa.schema([
    _column("rank", N, "1 is the most helpful by the lower-risk end of its interval"),
    *_SEARCH,
    _column("iteration", N, "trial that brought the change"),
    _column("part", S, "knob, or `script`"),
    _column("change", S, "before → after, as people write it"),
    _column("kind", S, "in_space or out_of_space"),
    _column("effect", F, "test MAE of the winner minus the winner without the change; negative: the change helps"),
    *_INTERVAL,
    _column("seeds", N, "pairs of fresh seeds behind it"),
    _column("found_in", N, "searches whose winner has the same change"),
    _column("cost_fit_s", F, "seconds of training it adds per run; negative: saves"),
    _column("evidence", S, "confirmed or harmful (Bonferroni; two seeds or more), suggestive, none, not run"),
    _column("diff", S, "unified diff of the script; empty for a knob"),
])  # fmt: skip

SUBGROUPS = pa.schema([
    *_CANDIDATE,
    _column("dimension", S, "organism, tm_band, length_band or distance_band"),
    _column("group", S, "the organism or band"),
    _column("order", N, "position of the band"),
    _column("proteins", N, "test proteins in it"),
    _column("mae", F, "°C, of the mean prediction over fresh seeds"),
    *_INTERVAL,
    _column("bias", F, "mean of prediction minus measured, °C"),
    _column("spearman", F, "rank correlation within the group; null below 8 proteins"),
])  # fmt: skip

CALIBRATION = pa.schema([
    *_CANDIDATE,
    _column("bin", N, "fifth of the test proteins by spread over fresh seeds, 0 the most certain"),
    _column("proteins", N, "test proteins"),
    _column("sd", F, "mean spread over fresh seeds in °C"),
    _column("mae", F, "MAE of the mean prediction in °C"),
    _column("coverage", F, "share of proteins within the 90 % conformal interval, equally wide for all"),
    _column("rho", F, "rank correlation of spread and absolute error over all test proteins; the same in each bin"),
])  # fmt: skip

COVERAGE = pa.schema([
    *_CANDIDATE,
    _column("kind", S, "conformal (from validation errors) or spread (from the disagreement of fresh seeds)"),
    _column("level", F, "share of proteins that the interval should hold"),
    _column("group", S, "all, or an organism (of at least 8 test proteins; conformal at 90 % only)"),
    _column("proteins", N, "test proteins"),
    _column("coverage", F, "share of them within the interval around the mean prediction over fresh seeds"),
    _column("chance_low", F, "conformal: least share that chance allows (95 %, exchangeable proteins); else null"),
    _column("chance_high", F, "largest share that chance allows"),
    _column("half_width", F, "mean half width in °C"),
])  # fmt: skip

GENERALISATION = pa.schema([
    *_CANDIDATE,
    _column("kind", S, "budget, fraction or organism"),
    _column("level", F, "factor on the budget, or share of fit; null for organism"),
    _column("organism", S, "organism left out and tested on; null else"),
    _column("seeds", N, "fresh seeds"),
    _column("test_mae", F, "mean over fresh seeds; of the left-out organism's val and test proteins for `organism`"),
    *_INTERVAL,
    _column("reference_mae", F, "the same proteins with the whole budget and data"),
    _column("test_within_rho", F, "rank correlation within organisms"),
    _NOTE,
])  # fmt: skip

IMPORTANCE = pa.schema([
    _column("scope", S, "all, or a strategy"),
    _column("method", S, "ped_anova"),
    _column("knob", S, "knob of the reference space"),
    _column("importance", F, "share; sums to 1 within scope and method"),
    _column("rank", N, "1 is the most important"),
    _column("trials", N, "in-space trials pooled"),
    _NOTE,
])  # fmt: skip

BEHAVIOUR = pa.schema([
    *_TRIAL_KEY,
    _column("origin", S, "who proposed it"),
    _column("status", S, "how it ended"),
    _column("decision", S, "baseline, keep, discard or inconclusive"),
    _column("parent", N, "trial it was changed from; the incumbent before it where none is named"),
    _column("kind", S, "in_space, out_of_space, mixed or none, against that parent"),
    _column("changed_knobs", N, "knobs that differ from the parent's"),
    _column("step", F, "distance to the parent in knob space, each knob scaled to 0–1, root mean square over knobs"),
    _column("script_change", F, "share of the script's lines that differ from the parent's"),
    _column("categories", pa.list_(S), "architecture, optimisation, objective, data, other"),
    _column("duplicate_of", N, "earlier trial of this search with the same script (by syntax tree) and knobs, or null"),
    _column("expected_effect", F, "what the proposer expected, °C"),
    _column("effect", F, "validation MAE minus the parent's; null unless both are ok"),
    _column("effect_se", F, "standard error from the pooled seed noise"),
    _column("came_true", B, "expected and observed effect have one sign and the observed exceeds its standard error"),
    _column("val_mae", F, "as the search saw it"),
    _column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    _column("script_lines", N, "lines of the training script"),
    _column("predict_s", F, "mean over seeds: seconds of a prediction pass"),
    _column("pareto", B, "no other ok trial is better in error, parameters or latency without being worse in another"),
])  # fmt: skip

TABLES: dict[str, pa.Schema] = {
    "trials": TRIALS,
    "runs": RUNS,
    "confirmed_runs": CONFIRMED_RUNS,
    "curves": CURVES,
    "incumbents": INCUMBENTS,
    "bands": BANDS,
    "winners": WINNERS,
    "baseline": BASELINE,
    "strategies": STRATEGIES,
    "efficiency": EFFICIENCY,
    "winner_predictions": WINNER_PREDICTIONS,
    "floors": FLOORS,
    "floor_predictions": WINNER_PREDICTIONS,
    "comparison": COMPARISON,
    "power": POWER,
    "failures": FAILURES,
    "cost": COST,
    "dollar_bands": BANDS,
    "dollar_efficiency": EFFICIENCY,
    "cost_curves": COST_CURVES,
    "crossovers": CROSSOVERS,
    "changes": CHANGES,
    "attribution": ATTRIBUTION,
    "improvements": IMPROVEMENTS,
    "subgroups": SUBGROUPS,
    "calibration": CALIBRATION,
    "coverage": COVERAGE,
    "generalisation": GENERALISATION,
    "importance": IMPORTANCE,
    "behaviour": BEHAVIOUR,
}


def markdown() -> str:
    """The tables and their columns for documentation."""
    lines = []
    for name, schema in TABLES.items():
        lines += [f"### tables/{name}.parquet", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| {field.name} | {field.type} | {field.metadata[b'meaning'].decode()} |" for field in schema]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
