"""The command `tmelt`: check a table, plan, run and watch a study, read its report, use its model, check its numbers.

tmelt check table.csv
tmelt power my_study.yaml
tmelt study my_study.yaml
tmelt status my_study.yaml
tmelt watch my_study.yaml
tmelt report results/my_study
tmelt predict proteins.fasta --bundle results/my_study/bundle/my_study.zip --output predictions.csv
tmelt embed proteins.fasta --output embeddings.h5
tmelt card results/my_study/bundle/my_study.zip
tmelt verify results/my_study
tmelt compare results/my_study results/another_study
tmelt export git results/my_study
"""

import sys
from pathlib import Path

from tmelt.command import run_subcommand
from tmelt.front.commands import report, status, study, watch


def predict(
    fasta: Path,
    *,
    bundle: Path,
    output: Path,
    level: float = 0.9,
    weights: Path | None = None,
    embeddings: Path | None = None,
    sandbox: str = "auto",
    sandbox_image: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    seconds: float = 3600.0,
    reference: bool = False,
) -> None:
    """Predict the study's target, such as the melting temperature, of new proteins with a study's bundle.

    Writes one row per protein, in the order of the file: protein_id, length, tm or the target's name (mean over the
    bundle's seeds, in the target's unit), seed_sd (spread over them), low and high (the interval that validation errors
    calibrated), level, warning. An entry that cannot be predicted has a row without a value and the reason in
    `warning`. A protein's name is the first word of its header, or the whole header where several share that word.

    Args:
        fasta: FASTA file with the proteins; or a .csv, .tsv or .parquet table with columns protein_id and sequence
        bundle: the bundle, results/{study}/bundle/{study}.zip
        output: file to write, .parquet or .csv
        level: share of new proteins that the interval is to hold; 0.9 by default
        weights: checkpoint of the ESM-2 backbone, where it is not to be downloaded; its hash must be the bundle's
        embeddings: embeddings of the proteins, where the study imported its own; a file or folder as in
            design.backbone.path
        sandbox: what keeps the bundle's script in: auto (the first that works here), bwrap, apptainer, landlock, or
            none, which runs it with all of your rights
        sandbox_image: image of the Apptainer sandbox
        device: cpu or cuda; the study's by default
        precision: fp32 or bf16; the study's by default
        threads: of torch; the study's by default
        seconds: the most that the bundle's script may take for some hundred thousand residues, whatever the bundle
            asks for; 3600 by default
        reference: predict by the study's best reference predictor instead, which needs no embedding: where the bundle's
            verdict says that it is as good
    """
    from tmelt.bundle.predict import predict_file

    print(
        predict_file(
            fasta,
            bundle=bundle,
            output=output,
            level=level,
            weights=weights,
            embeddings=embeddings,
            sandbox=sandbox,
            sandbox_image=sandbox_image,
            device=device,
            precision=precision,
            threads=threads,
            seconds=seconds,
            reference=reference,
        )
    )


def embed(
    fasta: Path,
    *,
    output: Path,
    backbone: str = "esm2_t30_150M_UR50D",
    weights: str = "download",
    layer: int | None = None,
    pooled: bool = False,
    device: str = "cpu",
    precision: str = "auto",
    tokens: int = 4096,
    threads: int | None = None,
) -> None:
    """Embed proteins into a file of biotrainer's HDF5 form, which `backbone: {name: imported, path: x.h5}` reads.

    Each sequence once, as float16, with the protein's name; by the network and the code that embed a study's proteins.
    With embeddings of a study's own kind, `tmelt predict --embeddings` takes such a file for new proteins.

    Args:
        fasta: FASTA file with the proteins; or a .csv, .tsv or .parquet table with columns protein_id and sequence
        output: file to write, .h5
        backbone: as design.backbone.name; ESM-2 150M by default
        weights: as design.backbone.weights: download (the default), random, or a file or folder
        layer: representation layer; the last by default
        pooled: write the mean over the residues, one row per protein
        device: cpu or cuda
        precision: auto, fp32 or bf16, of the matrix products
        tokens: of one forward pass; 4096 by default
        threads: of torch; all cores by default
    """
    from pydantic import ValidationError

    from tmelt.errors import InputError, first_complaint
    from tmelt.export.embeddings import embed_file
    from tmelt.study.config import Backbone

    try:
        told = {"name": backbone, "weights": weights, "layer": layer, "precision": precision}
        network = Backbone.model_validate(told)
    except ValidationError as error:
        raise InputError(f"tmelt embed: {first_complaint(error)}") from None
    print(
        embed_file(fasta, backbone=network, output=output, pooled=pooled, device=device, tokens=tokens, threads=threads)
    )


def card(bundle: Path) -> None:
    """Print a bundle's model card.

    Args:
        bundle: the bundle, results/{study}/bundle/{study}.zip
    """
    from tmelt.bundle.archive import CARD, open_bundle
    from tmelt.bundle.front_matter import without_front_matter
    from tmelt.text.safe import for_terminal

    print(for_terminal(without_front_matter(open_bundle(bundle).text(CARD))), end="")


def power(config: Path, *, sd: float | None = None, seed_sd: float | None = None, proteins: int = 0) -> None:
    """Say what a study of this design can establish, before it is run.

    Simulates the decision rule of the report: for the registered hypothesis, and for all pairs of strategies.

    Args:
        config: the study's config file
        sd: standard deviation in the target's unit between the winners of one strategy's searches; the default is
            an assumption, the table `power` of a finished study has the observed one
        seed_sd: the same between training seeds; by default near that of the default study's baseline
        proteins: test proteins, where the config does not say how many there are
    """
    from tmelt.evidence.design_power import assumed_noise, statements
    from tmelt.study.config import load_config

    parsed = load_config(config)
    print("\n".join(statements(parsed, assumed_noise(parsed, sd, seed_sd, proteins=proteins))))


def verify(
    study: Path, *, json: Path | None = None, tolerance: float = 1e-9, cores: int | None = None, show: int = 20
) -> None:
    """Recompute a finished study from its raw files, and list what differs from what it says.

    Compares hashes, transcripts, trials, tables and page with the predictions, labels, scripts and recorded calls that
    they come from. Only reads the study; needs no network and trains nothing. Exit status: 0 if everything is as
    recomputed, 1 if something differs, 2 if files are missing that this takes.

    Args:
        study: the study's folder, results/{study}; results/data is needed beside it, results/embeddings is optional
        json: file to write all differences to
        tolerance: differences between floats that count as none, relative to the larger one or to 1; 1e-9 by default
        cores: cores to use; all by default
        show: differences to print per group; 20 by default
    """
    from tmelt.verify.run import verify_study

    sys.exit(verify_study(study, report=json, tolerance=tolerance, cores=cores, shown=show))


def compare(studies: list[Path], *, output: Path = Path("results/compare")) -> None:
    """Compare strategies over several finished studies, each on a data set of its own.

    Writes compare.html, pairs.parquet and scores.parquet: mean differences with intervals over data sets, ranks, and
    the interquartile mean of the reduction of the baseline's error. A strategy is known by its name in the configs.

    Args:
        studies: folders results/{study}, two or more
        output: folder to write to; results/compare by default
    """
    from tmelt.compare.page import compare_studies

    print(compare_studies(studies, output))


def export(form: str, study: Path, *, output: Path | None = None) -> None:
    """Write a study's searches in another form, also while it runs. No test error is in any of them.

    git: each search as a repository, one commit per trial with its script, knobs, hypothesis and outcome. `main` is
    what was kept; every trial is a branch trial/N from the trial that it was built on.
    csv: all trials so far as one table, each knob a column.
    optuna: all trials so far as an Optuna storage, for optuna-dashboard: one Optuna study per search, and one per
    strategy in which the trials of its searches have their real times.
    transcripts: the recorded LLM calls as one archive, for `replay_from` of another study.

    Args:
        form: git, csv, optuna or transcripts
        study: the study's folder, results/{study}
        output: folder to write to; {study}/export/{form} by default, for csv and optuna {study}/export/interim
    """
    from tmelt.export.forms import export_form

    for path in export_form(form, study, output):
        print(path)


def check(
    table: Path,
    *,
    config: Path | None = None,
    fasta: Path | None = None,
    columns: list[str] | None = None,
    cleaned: Path | None = None,
    time: bool = False,
) -> None:
    """Say what a study would read, keep, average and drop of a table, and why; list all of its faults.

    Ends with the `data:` part of a config for this table. Status 2 if a study would stop.

    Args:
        table: the table: CSV, TSV, Parquet, or FASTA with labels
        config: a study's config, or a file with its `data:` part, to check the table with
        fasta: FASTA with the sequences, joined on protein_id
        columns: names of columns, such as tm="Tm (C)" organism=null
        cleaned: write the cleaned proteins to this file, .csv or .parquet
        time: measure for some seconds how long a trial would take on this machine
    """
    from tmelt.errors import InputError
    from tmelt.proteins.check import check_table, data_block, describe, settings_for, write_cleaned

    data = settings_for(table, config, fasta, columns or [])
    checked = check_table(data)
    print("\n".join(describe(checked)))
    if checked.proteins and time:
        from tmelt.front.trial_time import trial_time

        print("\n".join(["", "how long a trial takes", *(f"  {line}" for line in trial_time(checked, config, table))]))
    if checked.proteins:
        print(f"\nfor the config, under `design:`\n{data_block(data, checked.reading)}")
    if cleaned is not None:
        if not checked.proteins:
            raise InputError(f"--cleaned: {cleaned}: not written, no protein was read from {table}")
        print(f"\n{write_cleaned(checked, cleaned)}")
    if count := len(checked.faults.found):
        raise InputError(f"{table}: {count} fault{'s' * (count > 1)}, listed above")


ABOUT = """Which way of searching finds the best model of protein melting temperature on the same budget?

  tmelt check table.csv              what a table holds, its faults, and the config for it
  tmelt power my_study.yaml          what a study can establish
  tmelt study my_study.yaml          run it
  tmelt report results/my_study      its answer
  tmelt predict proteins.fasta --bundle results/my_study/bundle/my_study.zip --output predictions.csv

`tmelt COMMAND --help` describes a command."""

COMMANDS = (check, power, study, status, watch, report, card, embed, predict, verify, compare, export)


def main(arguments: list[str] | None = None) -> None:
    """Run the subcommand that the command line names."""
    run_subcommand("tmelt", ABOUT, COMMANDS, arguments)
