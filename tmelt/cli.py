"""The command `tmelt`: what a study's bundle is good for.

tmelt predict proteins.fasta --bundle results/my_study/bundle/my_study.zip --output predictions.csv
tmelt card results/my_study/bundle/my_study.zip
"""

from pathlib import Path

from tmelt.command import run_subcommand


def predict(
    fasta: Path,
    *,
    bundle: Path,
    output: Path,
    level: float = 0.9,
    weights: Path | None = None,
    sandbox: str = "auto",
    sandbox_image: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
) -> None:
    """Predict the melting temperatures of new proteins with a study's bundle.

    Writes one row per protein, in the order of the file: protein_id, length, tm (°C, mean over the bundle's seeds),
    seed_sd (spread over them), low and high (the interval that validation errors calibrated), level, warning.

    Args:
        fasta: FASTA file with the proteins; or a .csv, .tsv or .parquet table with columns protein_id and sequence
        bundle: the bundle, results/{study}/bundle/{study}.zip
        output: file to write, .parquet or .csv
        level: share of new proteins that the interval is to hold; 0.9 by default
        weights: checkpoint of the ESM-2 backbone, where it is not to be downloaded; its hash must be the bundle's
        sandbox: what keeps the bundle's script in: auto (the first that works here), bwrap, apptainer, landlock, or
            none, which runs it with all of your rights
        sandbox_image: image of the Apptainer sandbox
        device: cpu or cuda; the study's by default
        precision: fp32 or bf16; the study's by default
        threads: of torch; the study's by default
    """
    from tmelt.bundle.predict import predict_file

    print(
        predict_file(
            fasta,
            bundle=bundle,
            output=output,
            level=level,
            weights=weights,
            sandbox=sandbox,
            sandbox_image=sandbox_image,
            device=device,
            precision=precision,
            threads=threads,
        )
    )


def card(bundle: Path) -> None:
    """Print a bundle's model card.

    Args:
        bundle: the bundle, results/{study}/bundle/{study}.zip
    """
    from tmelt.bundle.archive import CARD, open_bundle

    print(open_bundle(bundle).text(CARD), end="")


def main(arguments: list[str] | None = None) -> None:
    """Run the subcommand that the command line names."""
    run_subcommand("tmelt", "Melting temperatures of proteins, by what a study found.", (predict, card), arguments)
