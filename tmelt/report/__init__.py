"""The report of a study: one self-contained HTML page, and its figures as files with the data behind them.

`page` puts together what the others make: figures (`figures/`, drawn by `render`), sentences (`cautions`, `finding`,
`methods`), tables (`results`, `numbers`) and the trials (`trial_page`). All of them read one `inputs.Study`, and word
numbers by `words`. The page itself is `page.html.j2` with `style.css` and `script.js`.
"""
