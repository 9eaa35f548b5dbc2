"""From proteins to frozen per-residue ESM-2 embeddings, by way of a cache that studies and data sets share.

In   proteins.parquet, design.backbone
Out  results/embeddings/{dataset}/{backbone}/: views for fit and predict, index.parquet, embedding.json
"""


rule embed_shard:
    input:
        frozen_all(f"{DATA}/proteins.parquet"),
    output:
        f"{EMBEDDING}/shards/{{shard}}_of_{CONFIG.runtime.embed_shards}.json",
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
        backbone=literally(as_json(CONFIG.design.backbone)),
        cache=f"results/embeddings/cache/{BACKBONE}",
        shards=CONFIG.runtime.embed_shards,
        tokens=CONFIG.runtime.embed_tokens,
        device=CONFIG.design.device,
    shell:
        "python scripts/embed_shard.py --proteins {input:q} --backbone {params.backbone:q} --cache {params.cache:q}"
        " --shard {wildcards.shard:q} --shards {params.shards:q} --tokens {params.tokens:q} --threads {threads}"
        " --device {params.device:q} --done {output:q} 2> {log:q}"


rule join_embedding:
    input:
        proteins=frozen_all(f"{DATA}/proteins.parquet"),
        shards=frozen_all(
            *(
                f"{EMBEDDING}/shards/{shard}_of_{CONFIG.runtime.embed_shards}.json"
                for shard in range(CONFIG.runtime.embed_shards)
            )
        ),
    output:
        embedding=f"{EMBEDDING}/embedding.json",
        index=f"{EMBEDDING}/index.parquet",
        pool=f"{EMBEDDING}/pool.parquet",
        views=[
            f"{EMBEDDING}/{view}/{name}"
            for view in ("fit", "pool")
            for name in ("residues.f16", "offsets.npy", "composition.npy", "sequences.txt")
        ],
        labels=[f"{EMBEDDING}/fit/tm.npy", f"{EMBEDDING}/fit/is_stop.npy"],
    log:
        f"{EMBEDDING}/join_embedding.log",
    conda:
        "../envs/tmelt.yaml"
    resources:
        runtime=60,
        mem_mb=8000,
    params:
        backbone=literally(as_json(CONFIG.design.backbone)),
        cache=f"results/embeddings/cache/{BACKBONE}",
        folder=folder_of_output,
        seed=CONFIG.design.data.split_seed,
    shell:
        "python scripts/join_embedding.py --proteins {input.proteins:q} --backbone {params.backbone:q}"
        " --cache {params.cache:q} --folder {params.folder:q} --seed {params.seed:q} 2> {log:q}"


rule write_protocol:
    input:
        data=frozen_all(f"{DATA}/data.json"),
        embedding=frozen_all(f"{EMBEDDING}/embedding.json"),
    output:
        f"{STUDY}/protocol.json",
    log:
        f"{STUDY}/logs/write_protocol.log",
    conda:
        "../envs/tmelt.yaml"
    params:
        config=literally(as_json(CONFIG)),
    shell:
        "python scripts/write_protocol.py --config {params.config:q} --data {input.data:q}"
        " --embedding {input.embedding:q} --protocol {output:q} 2> {log:q}"
