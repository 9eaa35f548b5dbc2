"""Evidence: who won, by how much, at what price, and why.

`confirmation` plans what is trained after the searches; `vault` opens the labels and scores every run. Then each module
of `make` makes its tables from the tables before it, by the module of its name here and others. `schema` says column by
column what they hold. `statistics`, `metrics`, `conformal` and `difference` compute;
`reading` and `tables` are for files.
"""
