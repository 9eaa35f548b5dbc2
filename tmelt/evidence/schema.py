"""Column by column what the tables under results/{study}/tables/ hold.

`TABLES` of tmelt.evidence.make names them all. A table that has nothing to say (no confirmation yet, no hybrid, no LLM)
exists with its columns and no rows. Columns named `low` and `high` bound a 95 % interval; they are null where too few
replicates allow none, and `note` then says why. MAE, RMSE, labels and effects are; a negative effect is better.
"""

import pyarrow as pa

from tmelt.storage.schema import CURVE, RUN, TRIAL, F, N, S, column

B = pa.bool_()

_SEARCH = [
    column("strategy", S, "name of the strategy in the config"),
    column("trajectory", N, "replicate of the search"),
]
_TRIAL_KEY = [*_SEARCH, column("iteration", N, "trial number; 0 is the baseline")]
_CANDIDATE = [
    column("role", S, "winner (of a search), baseline (trial 0) or floor (a trivial predictor)"),
    column("strategy", S, "name of the strategy; null for the baseline; the predictor's name for a floor"),
    column("trajectory", N, "replicate of the search; null for the baseline and the floors"),
]
_INTERVAL = [column("low", F, "lower end of the 95 % interval"), column("high", F, "upper end of the 95 % interval")]
_NOTE = column("note", S, "why a value is missing or must be read with care, or null")
_SCORES = [
    column("val_mae", F, "exact validation MAE in target units; null unless ok"),
    column("val_spearman", F, "rank correlation on validation"),
    column("val_within_rho", F, "rank correlation within organisms on validation (weighted mean, ≥ 8 proteins each)"),
    column("select_mae", F, "exact MAE in target units on select, which no search sees; null unless ok"),
    column("test_mae", F, "exact test MAE in target units; null unless ok"),
    column("test_rmse", F, "test root mean square error in target units"),
    column("test_r2", F, "test coefficient of determination"),
    column("test_spearman", F, "rank correlation on test"),
    column("test_within_rho", F, "rank correlation within organisms on test (weighted mean, ≥ 8 proteins each)"),
    column("test_bias", F, "mean of prediction minus measured on test in target units"),
]

TRIALS = TRIAL

RUNS = pa.schema([*_TRIAL_KEY, *RUN, *_SCORES])

CONFIRMED_RUNS = pa.schema([
    column("candidate", S, "folder under confirm/: a hash of script, knobs, budget and data"), *RUN, *_SCORES,
])  # fmt: skip

PLAN = pa.schema([
    column("purpose", S, "why it is trained (tmelt.study.config.Purpose)"),
    column("candidate", S, "folder under confirm/ in which it is trained; several purposes may share one"),
    column("strategy", S, "whose winner this is about; null for the baseline"),
    column("trajectory", N, "whose winner this is about; null for the baseline"),
    column("iteration", N, "the winner's or incumbent's trial"),
    column("change", N, "ablation, projection: iteration of the kept change in question; null: the whole winner"),
    column(
        "part",
        S,
        "ablation: the knob left out, or `script`; projection: projected, parent or child; interaction: JSON list of"
        " the changes it keeps, `+` between those that are one; else null",
    ),
    column("level", F, "budget: factor on fit_s, which the script is told; fraction: share of fit; else null"),
    column("organism", S, "organism: the one left out of fit and stop; else null"),
    column("seeds", pa.list_(N), "training seeds, none of them used in the search"),
    column("budget_factor", F, "factor on the budget's fit_s"),
    column("fit_fraction", F, "share of fit proteins trained on"),
    column("without_organism", S, "organism absent from fit and stop, or null"),
])  # fmt: skip

OPENED_LABELS = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("split", S, "val, select or test"),
    column("organism", S, "organism, or null"),
    column("cluster", S, "family of homologues: the unit of independent evidence"),
    column("length", N, "residues"),
    column("identity", F, "of its nearest homologue in fit or stop (best gapless segment); 0 where none is found"),
    column("tm", F, "measured, target units"),
    column("parent", S, "what it is a variant of, or null"),
])  # fmt: skip

CONFIRMED_PREDICTIONS = pa.schema([
    column("candidate", S, "folder under confirm/"),
    column("seed", N, "fresh seed"),
    column("protein_id", S, "name of the protein"),
    column("split", S, "val, select or test"),
    column("prediction", F, "predicted label in target units"),
])  # fmt: skip

PERTURBED = pa.schema([
    column("candidate", S, "folder under confirm/"),
    column("seed", N, "fresh seed"),
    column("protein_id", S, "name of the protein; the first one of a joined pair"),
    column("kind", S, "same (as it is), noise, trimmed, swapped or joined: see tmelt.harness.perturbation"),
    column("partner", S, "joined: name of the second protein; else null"),
    column("prediction", F, "predicted label in target units"),
    column("note", S, "why there is no prediction at all, in a single row; else null"),
])  # fmt: skip

EXTERNAL_PROTEINS = pa.schema([
    column("protein_id", S, "name of the protein"),
    column("sequence", S, "amino acids, one letter each; X where masked"),
    column("organism", S, "organism, or null"),
    column("parent", S, "what the protein is a variant of, or null"),
    column("cluster", S, "family of homologues, the study's proteins included"),
    column("identity", F, "of its nearest homologue in fit or stop (best gapless segment); 0 where none is found"),
    column("homologous", B, "its family has a member in fit or stop"),
    column("in_study", S, "split in which the study has the same sequence, or null"),
])  # fmt: skip

EXTERNAL_PREDICTED = pa.schema([
    column("candidate", S, "folder under confirm/"),
    column("seed", N, "fresh seed"),
    column("protein_id", S, "name of the protein"),
    column("prediction", F, "predicted label in target units"),
    column("note", S, "why there is no prediction, or null"),
])  # fmt: skip

CURVES = pa.schema([*_TRIAL_KEY, column("seed", N, "training seed"), *CURVE])

INCUMBENTS = pa.schema([
    *_TRIAL_KEY,
    column("equivalents", F, "full trials that the search amounts to, baseline not counted; cheap ones as shares"),
    column("incumbent", N, "iteration of the incumbent after this trial"),
    column("search_val_mae", F, "the incumbent's validation MAE as the search saw it (mean over seeds, rounded)"),
    column("val_mae", F, "the same, exact"),
    column("test_mae", F, "mean over search seeds of the incumbent's test MAE: reported, never selected on"),
    column("test_within_rho", F, "the incumbent's mean rank correlation within organisms on test"),
    column("fit_mae", F, "the incumbent's MAE on decoys from fit, mean over search seeds"),
    column("stop_mae", F, "the incumbent's MAE on stop, mean over search seeds"),
    column("fit_s", F, "cumulative seconds of training, all seeds, and of an agent's checks and tries"),
    column("cpu_s", F, "cumulative CPU seconds, all seeds"),
    column("device_s", F, "cumulative seconds a GPU was held"),
    column("cost_usd", F, "cumulative price of LLM calls as recorded; null from the first unknown one on"),
    column("prompt_tokens", N, "cumulative tokens sent; null from the first unknown one on"),
    column("completion_tokens", N, "cumulative tokens received; null from the first unknown one on"),
])  # fmt: skip

BANDS = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("axis", S, "trials, fit_s, device_s or total_usd"),
    column("x", F, "position on the axis"),
    column("split", S, "val or test: both are at the validation incumbent"),
    column("median", F, "median over trajectories of the incumbent's MAE"),
    column("lower", F, "lower quartile over trajectories; the least one with fewer than 4"),
    column("upper", F, "upper quartile over trajectories; the largest one with fewer than 4"),
    column("trajectories", N, "searches that reach this far; those that ended keep their incumbent"),
])  # fmt: skip

LAST_INCUMBENTS = pa.schema([
    *_TRIAL_KEY,
    column("place", N, "1: the last incumbent of the search, 2: the one before it, …"),
    column("search_val_mae", F, "validation MAE as the search saw it (mean over seeds, rounded)"),
    column("select_mae", F, "MAE on select of the search's runs, mean over search seeds, exact"),
    column("chosen", B, "whether it is the search's winner: the lowest error on select, of equals the simpler one"),
])  # fmt: skip

CHOICES = pa.schema([
    *LAST_INCUMBENTS,
    column("candidate", S, "folder under confirm/, or null if not trained on fresh seeds"),
    column("test_mae", F, "confirmed: mean over fresh seeds of the test MAE"),
    column("test_low", F, "lower end of its 95 % interval over protein families and training seeds"),
    column("test_high", F, "upper end"),
    column("difference", F, "confirmed test MAE minus that of the search's winner; null for the winner"),
    column("low", F, "lower end of its 95 % interval, paired over proteins and training seeds"),
    column("high", F, "upper end"),
])  # fmt: skip

WINNERS = pa.schema([
    *_TRIAL_KEY,
    column("candidate", S, "folder under confirm/, or null if not confirmed"),
    column("origin", S, "who proposed it: baseline, or an origin that the kind of the strategy declares"),
    column("script", S, "SHA-256 of the training script"),
    column("knobs", S, "active knobs as JSON"),
    column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    column("search_val_mae", F, "validation MAE of the search, exact mean over search seeds"),
    column("search_test_mae", F, "test MAE of the search's runs, mean over search seeds"),
    column("select_mae", F, "MAE on select of the search's runs, mean over search seeds: what it was chosen by"),
    column("outcome", S, "hash of its confirmed predictions: winners that share it are one observation"),
    column("confirmed_seeds", N, "fresh seeds that ended ok"),
    column("failed_seeds", N, "fresh seeds that failed"),
    column("val_mae", F, "confirmed: mean over fresh seeds of the validation MAE"),
    column("val_low", F, "lower end of its 95 % interval over protein families and training seeds"),
    column("val_high", F, "upper end"),
    column("test_mae", F, "confirmed: mean over fresh seeds of the test MAE: the number that counts"),
    column("test_low", F, "lower end of its 95 % interval over protein families and training seeds"),
    column("test_high", F, "upper end"),
    column("test_ensemble_mae", F, "test MAE of the mean prediction over fresh seeds"),
    column("test_rmse", F, "mean over fresh seeds"),
    column("test_r2", F, "mean over fresh seeds"),
    column("test_spearman", F, "mean over fresh seeds"),
    column("test_within_rho", F, "mean over fresh seeds"),
    column("optimism", F, "of the last incumbent: gain in validation minus gain on held-out proteins, search's runs"),
    column("optimism_low", F, "lower end of its 95 % interval over families and training seeds"),
    column("optimism_high", F, "upper end"),
    column("gain", F, "confirmed test MAE minus the confirmed baseline's; negative is better"),
    column("gain_low", F, "lower end of its 95 % interval, paired over proteins and training seeds"),
    column("gain_high", F, "upper end"),
    _NOTE,
])  # fmt: skip

STRATEGIES = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("trajectories", N, "searches"),
    column("trials", N, "trials of all searches, the baselines too"),
    column("ok", N, "trials with a validation error"),
    column("failed", N, "trials without"),
    column("kept", N, "trials that became the incumbent, without the baselines"),
    column("search_val_mae", F, "mean over searches of the winner's validation MAE"),
    column("confirmed", N, "searches whose winner was confirmed"),
    column("distinct", N, "distinct searches among them: copies are one observation"),
    column("test_mae", F, "mean over searches of the winners' confirmed test MAE"),
    column("test_low", F, "lower end of its 95 % interval over distinct searches, training seeds and families"),
    column("test_high", F, "upper end"),
    column("test_sd", F, "standard deviation over searches"),
    column("test_within_rho", F, "mean over searches"),
    column("val_mae", F, "mean over searches of the winners' confirmed validation MAE"),
    column("optimism", F, "mean over searches"),
    column("optimism_low", F, "lower end of its 95 % interval over distinct searches, training seeds and families"),
    column("optimism_high", F, "upper end"),
    column("gain", F, "mean over searches of test MAE minus the baseline's"),
    column("seed_sd", F, "pooled standard deviation of the validation MAE over training seeds"),
    column("auc", F, "mean over searches of the incumbent's validation MAE averaged over trials"),
    column("fit_s", F, "mean over searches: seconds of training"),
    column("device_s", F, "mean over searches: seconds a GPU was held"),
    column("cost_usd", F, "mean over searches: LLM calls as recorded; null when unknown"),
    _NOTE,
])  # fmt: skip

EFFICIENCY = pa.schema([
    *_SEARCH,
    column("axis", S, "trials, fit_s, device_s or total_usd"),
    column("horizon", F, "up to where: the least total that any search spent, so that all are compared alike"),
    column("auc", F, "mean over the axis up to the horizon of the incumbent's validation MAE in target units"),
    column("target", F, "validation MAE in target units to reach: the median over all searches of their final one"),
    column("time_to_target", F, "position on the axis where the incumbent first reaches it; null if never"),
    column("reached", B, "whether it does within this search"),
    column("spent", F, "what the whole search used; null when unknown"),
    _NOTE,
])  # fmt: skip

WINNER_PREDICTIONS = pa.schema([
    *_CANDIDATE,
    column("protein_id", S, "name of the protein"),
    column("split", S, "val, select or test"),
    column("organism", S, "organism, or null"),
    column("cluster", S, "protein cluster; the protein itself where there are none"),
    column("length", N, "residues"),
    column("tm", F, "measured, target units"),
    column("prediction", F, "mean over fresh seeds, target units"),
    column("prediction_sd", F, "standard deviation over fresh seeds, target units; null with one"),
    column("seeds", N, "fresh seeds averaged"),
])  # fmt: skip

EXTERNAL_PREDICTIONS = pa.schema([
    column("set", S, "name of the external set in the config"),
    *(WINNER_PREDICTIONS.field(name) for name in WINNER_PREDICTIONS.names),
])  # fmt: skip

_SCORE = [
    column("role", S, "baseline, winner (of a search), strategy (mean of its searches' winners) or floor"),
    column("strategy", S, "name of the strategy; null for the baseline; the predictor's name for a floor"),
    column("trajectory", N, "replicate of the search; null but for a winner"),
    column("metric", S, "name of the score: SCORE_NAMES and ENDPOINT_NAMES of the evidence, mae_difference"),
    column("value", F, "mean over fresh seeds; errors in target units; null where undefined"),
    *_INTERVAL,
    column("proteins", N, "proteins that it is the score of"),
    column("clusters", N, "their families"),
    column("positives", N, "of the proteins, at or above the threshold; without one those measured highest"),
    column("threshold", F, "evidence.endpoints.threshold in target units, or null"),
    column("top", F, "evidence.endpoints.top: share of the proteins that is picked by prediction"),
    _NOTE,
]

ENDPOINTS = pa.schema([*_SCORE])

EXTERNAL = pa.schema([
    column("set", S, "name of the external set in the config"),
    column("part", S, "all of its proteins, or `distant`: those without a homologue in fit and stop"),
    *_SCORE,
])  # fmt: skip

EXTERNAL_SETS = pa.schema([
    column("set", S, "name of the external set in the config"),
    column("proteins", N, "proteins after cleaning"),
    column("clusters", N, "their families"),
    column("in_study", N, "of them, sequences that the study has, in whatever split"),
    column("homologous", N, "of them, proteins of a family that has a member in fit or stop"),
    column("identity", F, "median identity to the nearest homologue in fit or stop; 0 where none is found"),
    column(
        "domain_auroc",
        F,
        "how well composition and length tell its proteins from those of fit, cross-validated: 0.5 is not at all",
    ),
    column("tm_mean", F, "mean label in target units"),
    column("tm_sd", F, "standard deviation of the labels"),
    column("fit_tm_mean", F, "mean label of fit in target units"),
])  # fmt: skip

FLOORS = pa.schema([
    column("name", S, "median, organism, ridge, ridge_dipeptides, mlp, noise or best_reachable"),
    column("label", S, "as a figure names it"),
    column("kind", S, "predictor (fair), oracle (is told what no candidate knows) or bound (from the data's maker)"),
    column("val_mae", F, "target units"),
    column("test_mae", F, "target units"),
    *_INTERVAL,
    column("test_rmse", F, "target units"),
    column("test_r2", F, "coefficient of determination"),
    column("test_spearman", F, "rank correlation"),
    column("test_within_rho", F, "rank correlation within organisms"),
    _NOTE,
])  # fmt: skip

BASELINE = pa.schema([
    column("candidate", S, "folder under confirm/"),
    column("seeds", N, "fresh seeds that ended ok"),
    column("val_mae", F, "confirmed: mean over fresh seeds of the validation MAE"),
    column("test_mae", F, "confirmed: mean over fresh seeds of the test MAE"),
    *_INTERVAL,
    column("test_rmse", F, "mean over fresh seeds"),
    column("test_r2", F, "mean over fresh seeds"),
    column("test_spearman", F, "mean over fresh seeds"),
    column("test_within_rho", F, "mean over fresh seeds"),
    column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    _NOTE,
])  # fmt: skip

COMPARISON = pa.schema([
    column("a", S, "strategy"),
    column("b", S, "strategy, `baseline`, or `reference`: the strongest reference predictor by validation"),
    column("metric", S, "test_mae, val_mae, test_within_rho (all of confirmed winners) or auc (over trials)"),
    column("n_a", N, "searches of a"),
    column("n_b", N, "searches of b; 1 for a fixed candidate"),
    column("distinct_a", N, "distinct searches of a: copies are one observation"),
    column("distinct_b", N, "distinct searches of b"),
    column("mean_a", F, "mean over searches, in the metric's unit"),
    column("mean_b", F, "mean over searches, in the metric's unit"),
    column("difference", F, "mean of a minus mean of b"),
    *_INTERVAL,
    column("covers", S, "what the interval accounts for: proteins, training seeds, searches"),
    column("probability", F, "of improvement: share of pairs of searches in which a is better (ties half)"),
    column("probability_low", F, "lower end of its 95 % interval (Wilson, on the fewer distinct searches)"),
    column("probability_high", F, "upper end"),
    column("p_value", F, "two-sided, by the decision rule (tmelt.evidence.verdict); null where it is not tested"),
    column("p_adjusted", F, "the same adjusted for all contrasts that are tested (Holm)"),
    column("verdict", S, "a better, b better, or undecided; null where it is not tested"),
    _NOTE,
])  # fmt: skip

POWER = pa.schema([
    column("a", S, "strategy"),
    column("b", S, "strategy"),
    column("metric", S, "test_mae"),
    column("difference", F, "observed, target units"),
    column("sd", F, "pooled standard deviation between distinct searches, target units; null if it is unknown or 0"),
    column("sd_low", F, "its 95 % interval (chi square)"),
    column("sd_high", F, "its upper end"),
    column("trajectories", N, "distinct searches per strategy now (the smaller number)"),
    column("family", N, "contrasts that the adjustment counts; 1 for the registered one"),
    column("attainable", F, "least adjusted p that this number of searches can give; null below 5"),
    column("needed_80", N, "searches of each with which the verdict finds it in 80 % of studies; null beyond 100"),
    column("needed_80_high", N, "the same at the upper end of the standard deviation"),
    column("needed_90", N, "in 90 %"),
    column("detectable", F, "smallest difference that the present number finds in 80 %; null if none can be found"),
    _NOTE,
])  # fmt: skip

FAILURES = pa.schema([
    *_TRIAL_KEY,
    column("origin", S, "who proposed it"),
    column("status", S, "how it ended"),
    column("reason", S, "the harness's word for the first failed run, or null"),
    column("failed_seeds", N, "runs that failed"),
    column("seeds", N, "runs"),
    column("in_space", B, "the script is the reference script"),
    column("fit_s", F, "seconds of training spent on it"),
    column("cost_usd", F, "price of its LLM calls; null when unknown"),
    column("error", S, "end of the log, or why it was refused"),
])  # fmt: skip

COST = pa.schema([
    *_SEARCH,
    column("trials", N, "trials"),
    column("fit_s", F, "seconds of training, all seeds, and of an agent's checks and tries"),
    column("cpu_s", F, "CPU seconds of both"),
    column("device_s", F, "seconds a GPU was held for both"),
    column("tool_s", F, "seconds of an agent's checks and tries by the budget's clock, which fit_s includes"),
    column("device", S, "whose price applies: cpu or the GPU's name"),
    column("compute_usd", F, "GPU seconds, or CPU-core seconds on a CPU, at the listed price; null without one"),
    column("llm_usd", F, "LLM calls as recorded; null when unknown"),
    column("llm_calls", N, "LLM calls"),
    column("prompt_tokens", N, "tokens sent; null when unknown"),
    column("completion_tokens", N, "tokens received; null when unknown"),
    column("total_usd", F, "both; null when unknown"),
    column("usd_per_degree", F, "total per units of confirmed test MAE gained over the baseline; null without a gain"),
    _NOTE,
])  # fmt: skip

COST_CURVES = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("compute_usd_per_h", F, "price of an hour of the training device"),
    column("token_price", S, "recorded, or a level of tokens.yaml (USD per million tokens in and out)"),
    column("usd", F, "spent so far"),
    column("median_val_mae", F, "median over trajectories of the incumbent's validation MAE"),
    column("median_test_mae", F, "median over trajectories of the incumbent's test MAE"),
])  # fmt: skip

CROSSOVERS = pa.schema([
    column("a", S, "strategy that is ahead below the crossover"),
    column("b", S, "strategy that is ahead above it"),
    column("compute_usd_per_h", F, "price of an hour of the training device"),
    column("token_price", S, "recorded, or a level of tokens.yaml (USD per million tokens in and out)"),
    column("usd", F, "where b's median curve overtakes a's"),
    column("val_mae", F, "validation MAE there"),
    column("support", F, "share of bootstrap resamples of the searches that show it; at least 0.95"),
])  # fmt: skip

CHANGES = pa.schema([
    *_TRIAL_KEY,
    column("parent", N, "the incumbent that it replaced"),
    column("position", F, "iteration divided by the search's last"),
    column("origin", S, "who proposed it"),
    column("kind", S, "in_space (knobs in effect), out_of_space (script), mixed, or none (spelling only)"),
    column("outside", S, "what is out of space: structure, hyperparameters (constants that are no knob), or null"),
    column("knobs", S, "JSON: knob: [before, after] of the reference's knobs"),
    column("own_knobs", S, "JSON: the same for knobs that a script declares itself"),
    column("functions", pa.list_(S), "parts of the script that differ beyond knobs, in normal form"),
    column("lines_added", N, "lines in the script's diff"),
    column("lines_removed", N, "lines in the script's diff"),
    column("categories", pa.list_(S), "architecture, optimisation, objective, data, other"),
    column("effect", F, "validation MAE minus the parent's, by `source`"),
    column("effect_se", F, "its standard error; fresh seeds: over proteins and seeds; search: from the seed noise"),
    column("source", S, "fresh seeds (both ends were retrained) or search (its own scores, which are optimistic)"),
    column("search_effect", F, "the effect by the search's own scores"),
    column("gain_share", F, "search_effect's share of the search's whole gain in validation MAE"),
    column("in_space_share", F, "share of this gain that in-space changes explain: 1, 0, or by the projection"),
    column("in_space_basis", S, "by kind, by projection (re-run), or unknown"),
    column("rationale", S, "why, in the proposer's words"),
    column("diff", S, "unified diff of the script against the parent's; empty if the same"),
])  # fmt: skip

ATTRIBUTION = pa.schema([
    *_SEARCH,
    column("search_gain", F, "validation MAE of the winner minus the baseline's, by the search's scores: optimistic"),
    column("kept", N, "kept changes"),
    column("source", S, "of the gain and its parts: fresh seeds (retrained) or search (its own scores)"),
    column(
        "basis",
        S,
        "of the parts: steps (sum over kept changes), kind (all changes are of one kind), projection (in space: the"
        " winner's knobs in the baseline's script)",
    ),
    column("gain", F, "validation MAE of the winner minus the baseline's, by `source`: what is split"),
    column("in_space", F, "gain by in-space changes, target units"),
    column("out_of_space", F, "gain by out-of-space changes, target units"),
    column("hyperparameters", F, "... by undiscovered hyperparameters, constants that are no knob; null: unknown"),
    column("structure", F, "... by structural changes; null: unknown"),
    column("unknown", F, "gain by mixed changes that no projection has split, or by changes of spelling alone"),
    column("in_space_share", F, "share of the gain that in-space changes explain; null while some of it is unknown"),
    column("confirmed_gain", F, "validation MAE of the winner minus the baseline's on fresh seeds"),
    column("projected_gain", F, "the same for the baseline's script with the winner's knobs (re-run)"),
    column("switch", N, "first kept change that touches the script; null if none does"),
    _NOTE,
])  # fmt: skip

IMPROVEMENTS = pa.schema([
    column("rank", N, "1 is the most helpful by the lower-risk end of its interval"),
    *_SEARCH,
    column("iteration", N, "trial that brought the change"),
    column("part", S, "knob, or `script`"),
    column("change", S, "before → after, as people write it"),
    column("kind", S, "in_space or out_of_space"),
    column("effect", F, "test MAE of the winner minus the winner without the change; negative: the change helps"),
    *_INTERVAL,
    column("seeds", N, "pairs of fresh seeds behind it"),
    column("found_in", N, "searches whose winner has the same change"),
    column("cost_fit_s", F, "seconds of training it adds per run; negative: saves"),
    column("evidence", S, "confirmed or harmful (Bonferroni; two seeds or more), suggestive, none, not run"),
    column("diff", S, "unified diff of the script; empty for a knob"),
    _NOTE,
])  # fmt: skip

INTERACTIONS = pa.schema([
    *_SEARCH,
    column("iteration", N, "the winner's trial"),
    column("term", S, "change (its Shapley value) or pair (the interaction of the two largest, given all others)"),
    column("change", S, "before → after; changes that could not be told apart are joined by +, a pair by ×"),
    column("kind", S, "in_space, out_of_space or mixed"),
    column("joined", N, "changes in it"),
    column("effect", F, "on test MAE; changes add up to the winner's gain; a pair below 0 gains more together"),
    *_INTERVAL,
    column("seeds", N, "fresh seeds that all its candidates have"),
    column("orders", N, "orders of adding the changes that it is a mean of; null for a pair"),
    column("complete", B, "all subsets of the changes were trained; false: some orders with their mirror images"),
    _NOTE,
])  # fmt: skip

SUBGROUPS = pa.schema([
    *_CANDIDATE,
    column("dimension", S, "organism, tm_band, length_band or distance_band"),
    column("group", S, "the organism or band; organisms of fewer than 8 proteins are pooled as 'other organisms'"),
    column("order", N, "position of the band"),
    column("proteins", N, "test proteins in it"),
    column("mae", F, "target units, of the mean prediction over fresh seeds"),
    *_INTERVAL,
    column("bias", F, "mean of prediction minus measured, target units"),
    column("spearman", F, "rank correlation within the group; null below 8 proteins and for pooled organisms"),
])  # fmt: skip

_COVERED = [
    column("coverage_low", F, "lower end of its 95 % interval (Wilson, at the effective number of families)"),
    column("coverage_high", F, "upper end"),
]

CALIBRATION = pa.schema([
    *_CANDIDATE,
    column("bin", N, "fifth of the test proteins by spread over fresh seeds, 0 the most certain"),
    column("proteins", N, "test proteins"),
    column("sd", F, "mean spread over fresh seeds in target units"),
    column("mae", F, "MAE of the mean prediction in target units"),
    column("mae_low", F, "lower end of its 95 % interval over protein families"),
    column("mae_high", F, "upper end"),
    column("coverage", F, "share of proteins within the 90 % conformal interval, equally wide for all"),
    *_COVERED,
    column("rho", F, "rank correlation of spread and absolute error over all test proteins; the same in each bin"),
])  # fmt: skip

COVERAGE = pa.schema([
    *_CANDIDATE,
    column("kind", S, "conformal (from errors on select) or spread (from the disagreement of fresh seeds)"),
    column("level", F, "share of proteins that the interval should hold"),
    column("group", S, "all, or an organism (of at least 8 test proteins; conformal at 90 % only)"),
    column("proteins", N, "test proteins"),
    column("coverage", F, "share of them within the interval around the mean prediction over fresh seeds"),
    *_COVERED,
    column("chance_low", F, "conformal: least share that chance allows (95 %, exchangeable proteins); else null"),
    column("chance_high", F, "largest share that chance allows"),
    column("half_width", F, "mean half width in target units"),
])  # fmt: skip

GENERALISATION = pa.schema([
    *_CANDIDATE,
    column("kind", S, "budget, fraction or organism"),
    column("level", F, "factor on the budget, or share of fit; null for organism"),
    column("organism", S, "organism left out and tested on; null else"),
    column("seeds", N, "fresh seeds"),
    column("test_mae", F, "mean over fresh seeds; of the left-out organism's val and test proteins for `organism`"),
    *_INTERVAL,
    column("reference_mae", F, "the same proteins with the whole budget and data"),
    column("test_within_rho", F, "rank correlation within organisms"),
    _NOTE,
])  # fmt: skip

HORIZONS = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("kind", S, "budget or fraction"),
    column("level", F, "factor on the budget, or share of fit; 1 is the search's own"),
    column("winners", N, "searches whose winner was retrained at this level"),
    column("distinct", N, "distinct ones among them"),
    column("test_mae", F, "mean over them, target units"),
    *_INTERVAL,
    column("difference", F, "to the same winners at level 1, target units; null at level 1"),
    column("difference_low", F, "lower end of its 95 % interval, paired over searches, training seeds and proteins"),
    column("difference_high", F, "upper end"),
    column("p_value", F, "two-sided p of no difference, not adjusted for the number of levels"),
    column("covers", S, "what the interval of the difference accounts for"),
    _NOTE,
])  # fmt: skip

AGREEMENT = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("trajectory", N, "replicate of the search; null: the strategy, mean over its distinct searches"),
    column("trials", N, "trials with a validation and a test error"),
    column("rho", F, "Spearman correlation over trials of validation and test MAE (mean over search seeds)"),
    *_INTERVAL,
    column("covers", S, "searches (Student's t, from 3 distinct ones on), or trials taken as independent"),
    _NOTE,
])  # fmt: skip

SPREAD = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("searches", N, "searches whose winner was confirmed"),
    column("distinct", N, "distinct ones among them"),
    column("test_sd", F, "standard deviation of the confirmed test MAE over distinct searches, target units"),
    column("lowest", F, "least confirmed test MAE of a search"),
    column("highest", F, "largest one"),
    column("p_value", F, "of equal variance in all tested strategies (Brown and Forsythe); the same in each row"),
    _NOTE,
])  # fmt: skip

IMPORTANCE = pa.schema([
    column("scope", S, "all, or a strategy"),
    column("method", S, "ped_anova"),
    column("knob", S, "knob of the reference space"),
    column("importance", F, "share; sums to 1 within scope and method"),
    column("rank", N, "1 is the most important"),
    column("trials", N, "in-space trials pooled"),
    _NOTE,
])  # fmt: skip

BEHAVIOUR = pa.schema([
    *_TRIAL_KEY,
    column("origin", S, "who proposed it"),
    column("status", S, "how it ended"),
    column("decision", S, "baseline, keep, discard or inconclusive; partial for a cheap trial that ended ok"),
    column("fidelity", F, "share of a full training that it was given"),
    column("parent", N, "trial it was changed from; the incumbent before it where none is named"),
    column("kind", S, "in_space, out_of_space, mixed or none, against that parent"),
    column("outside", S, "what is out of space: structure, hyperparameters, or null"),
    column("changed_knobs", N, "knobs that differ from the parent's"),
    column("step", F, "distance to the parent in knob space, each knob scaled to 0–1, root mean square over knobs"),
    column("script_change", F, "share of the script's lines that differ from the parent's"),
    column("categories", pa.list_(S), "architecture, optimisation, objective, data, other"),
    column("duplicate_of", N, "earlier trial of this search and fidelity that differs in spelling only, or null"),
    column("expected_effect", F, "what the proposer expected, target units"),
    column("effect", F, "validation MAE minus the parent's; null unless both are ok and of one fidelity"),
    column("effect_se", F, "standard error from the pooled seed noise"),
    column("came_true", B, "expected and observed effect have one sign and the observed exceeds its standard error"),
    column("val_mae", F, "as the search saw it"),
    column("parameter_count", N, "trainable parameters, as the candidate reports them"),
    column("script_lines", N, "lines of the training script"),
    column("predict_s", F, "mean over seeds: seconds of a prediction pass"),
    column("pareto", B, "no other full trial is better in error, parameters or latency without being worse in another"),
])  # fmt: skip

ROBUSTNESS = pa.schema([
    column("role", S, "winner (of a search) or baseline (trial 0)"),
    column("strategy", S, "name of the strategy; null for the baseline"),
    column("trajectory", N, "replicate of the search; null for the baseline"),
    column("candidate", S, "folder under confirm/"),
    column("kind", S, "change: noise, trimmed, swapped or joined (tmelt.harness.perturbation); null with a note"),
    column("proteins", N, "val, select and test proteins that were changed"),
    column("seeds", N, "fresh seeds averaged"),
    column("change", F, "mean change of a prediction, target units; joined: distance to the mean of both, by length"),
    column("mae", F, "MAE on the unchanged proteins, target units"),
    column("mae_changed", F, "MAE on the changed ones against the same labels; joined: against the mean of both"),
    column("lost", F, "mae_changed minus mae"),
    column("lost_se", F, "its standard error over protein families"),
    column("lost_share", F, "lost divided by mae_changed: 1 where all accuracy is gone"),
    column("flagged", B, "lost_share is above 0.25 and lost above 3 standard errors, as with a table of labels"),
    _NOTE,
])  # fmt: skip

INTEGRITY = pa.schema([
    column("strategy", S, "name of the strategy"),
    column("label", S, "clean, table_like, timed_out, not_row_wise or tampered (tmelt.search.integrity)"),
    column("trials", N, "trials after the baseline that have the label"),
    column("of", N, "trials after the baseline"),
    column("rate", F, "trials divided by of"),
    column("searches", N, "searches with at least one such trial"),
    column("incumbents", N, "such trials that became an incumbent"),
])  # fmt: skip

NOT_TRIED = pa.schema([
    *_SEARCH,
    column("searches", N, "searches of the strategy; all of them are left out of the other tables"),
    column("trials", N, "trials after the baseline until the search ended"),
    column("llm_calls", N, "calls to the model"),
    column("reason", S, "why the replies could not be used"),
])  # fmt: skip
