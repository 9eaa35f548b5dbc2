"""The report of a study: one self-contained HTML page, and its figures as files with the data behind them."""
