"""One local, read-only page about a study while it runs: `tmelt watch`.

server.py answers requests, state.py reads the study's files, page.py makes the HTML. Everything that comes from the
study is text there: templates escape it by tmelt.text.safe.for_html, and the page's policy allows its own script alone.
"""
