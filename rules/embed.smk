"""From proteins to frozen per-residue ESM-2 embeddings, by way of a cache that studies and data sets share.

In   proteins.parquet, design.backbone
Out  results/embeddings/{dataset}/{backbone}/: views for fit and predict, index.parquet, embedding.json
"""

CACHE = f"results/embeddings/cache/{BACKBONE}"


rule embed_shard:
    input:
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        done=f"{EMBEDDING}/shards/{{shard}}_of_{CONFIG.runtime.embed_shards}.json",
    log:
        f"{EMBEDDING}/shards/{{shard}}_of_{CONFIG.runtime.embed_shards}.log",
    conda:
        "../envs/tmelt.yaml"
    threads: CONFIG.runtime.threads
    resources:
        gpu=int(CONFIG.design.device == "cuda"),
        runtime=240,
        mem_mb=16000,
    params:
        command=script(
            "embed_shard",
            backbone=as_json(CONFIG.design.backbone),
            cache=CACHE,
            shard=partial(wildcard, "shard"),
            shards=CONFIG.runtime.embed_shards,
            tokens=CONFIG.runtime.embed_tokens,
            threads=cores,
            device=CONFIG.design.device,
        ),
    shell:
        RUN


rule join_embedding:
    input:
        frozen_all(
            *(
                f"{EMBEDDING}/shards/{shard}_of_{CONFIG.runtime.embed_shards}.json"
                for shard in range(CONFIG.runtime.embed_shards)
            )
        ),
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
    output:
        f"{EMBEDDING}/embedding.json",
        f"{EMBEDDING}/index.parquet",
        f"{EMBEDDING}/pool.parquet",
        [
            f"{EMBEDDING}/{view}/{name}"
            for view in ("fit", "pool")
            for name in ("residues.f16", "offsets.npy", "composition.npy", "sequences.txt")
        ],
        [f"{EMBEDDING}/fit/tm.npy", f"{EMBEDDING}/fit/is_stop.npy"],
    log:
        f"{EMBEDDING}/join_embedding.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=60,
        mem_mb=8000,
    params:
        command=script(
            "join_embedding",
            backbone=as_json(CONFIG.design.backbone),
            cache=CACHE,
            folder=folder_of_output,
            seed=CONFIG.design.data.split_seed,
        ),
    shell:
        RUN


rule write_protocol:
    input:
        # A bad table of an external set shows before any work; a set that is added later is no reason to wait.
        [ancient(f"{STUDY}/external/{name}/set.json") for name in CONFIG.design.external],
        data=frozen_all(f"{DATA}/data.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
    output:
        protocol=f"{STUDY}/protocol.json",
    log:
        f"{STUDY}/logs/write_protocol.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        command=script("write_protocol", config=as_json(CONFIG)),
    shell:
        RUN
