"""Evidence: who won, by how much, at what price, and why.

In the order of rules/evidence.smk: `confirmation` plans what is trained after the searches; `vault` opens the labels
and scores every run; then each module makes the table of its name, and others that belong to it, from the tables
before it. `schema` says column by column what they hold. `statistics`, `metrics`, `conformal` and `difference` compute;
`reading`, `tables` and `prices` are for files.
"""
