"""Proteins and their melting temperatures: read, clean, split, or synthesize, and write them for a study.

One way through: `read` (the user's table: the file by `table`, columns by `columns`, cells by `label` and `mutate`) or
`synthesize` (the project's own generator) gives records, `clean` decides what stays and reports every decision, `split`
divides them into fit, stop, val, select and test (with `cluster` for homologues), and `prepare` writes the files. By
hand: `python scripts/prepare_proteins.py --config data.json --folder results/data/mine`.
"""
