"""Proteins and their melting temperatures: read, clean, split, or synthesize, and write them for a study.

One way through: `read` (a person's table) or `synthesize` (the project's own generator) gives records, `clean` decides
what stays and reports every decision, `split` says who is fit, stop, val and test (with `cluster` for homologues), and
`prepare` writes the files. By hand: `python scripts/prepare_proteins.py --config data.json --folder results/data/mine`.
"""
