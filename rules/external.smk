"""External test sets: read and sealed before the searches, predicted and opened after them.

In   design.external of the config, the embedding's settings, confirm/ with the checkpoints that the journal kept
Out  results/{study}/external/{set}/ (proteins, vault, embedding), confirm/{candidate}/external_{set}_c{n}.parquet

No search has any of these files among its inputs. A set that is there before the protocol is written must be sound first.
"""

EXTERNAL = f"{STUDY}/external/{{external}}"


rule prepare_external:
    input:
        sources_of_set,
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        f"{EXTERNAL}/proteins.parquet",
        f"{EXTERNAL}/vault/labels.parquet",
        f"{EXTERNAL}/cleaning.parquet",
        f"{EXTERNAL}/set.json",
    log:
        f"{STUDY}/logs/prepare_external_{{external}}.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=30,
        mem_mb=4000,
    params:
        command=script("prepare_external", settings=settings_of_set, made_from=identity_of_set, folder=folder_of_output),
    shell:
        "{params.command} 2> >(tee {log:q} >&2)"


rule embed_external:
    input:
        proteins=frozen_all(f"{EXTERNAL}/proteins.parquet"),
        protocol=frozen_all(f"{STUDY}/protocol.json"),
    output:
        f"{EXTERNAL}/embedding.json",
        [f"{EXTERNAL}/embedding/{name}" for name in ("residues.f16", "offsets.npy", "composition.npy", "sequences.txt")],
    log:
        f"{STUDY}/logs/embed_external_{{external}}.log",
    conda:
        "../envs/tmelt.yaml"
    threads: CONFIG.runtime.threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=240,
        mem_mb=16000,
    params:
        command=script(
            "embed_external",
            called=partial(wildcard, "external"),
            backbone=as_json(CONFIG.design.backbone),
            embeddings=embeddings_of_set,
            threads=cores,
            folder=folder_of_output,
        ),
    shell:
        RUN


rule predict_external:
    input:
        frozen_all(f"{EXTERNAL}/embedding.json"),
        protocol=frozen_all(f"{STUDY}/protocol.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        external=frozen_all(f"{EXTERNAL}/proteins.parquet"),
        runs=frozen_all(f"{STUDY}/confirm/{{candidate}}/{CONFIRMED}"),
    output:
        predicted=f"{STUDY}/confirm/{{candidate}}/{PREDICTED}",
    log:
        f"{STUDY}/confirm/{{candidate}}/predict_external_{{external}}.log",
    retries: 2
    conda:
        "../envs/tmelt.yaml"
    threads: training_threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=confirmation_minutes,
        mem_mb=training_megabytes,
    params:
        command=script("predict_external", candidate=folder_of_candidate, journal=JOURNAL, cores=cores),
    shell:
        RUN
