"""Start a coding agent of the user's (Claude Code, Codex, aider, mini-swe-agent, a shell script) for one proposal.

workspace.py  the git repository that it finds, and what it leaves there
confined.py   the command inside bubblewrap: what it sees, its limits, its end
inside.py     the part of that which runs inside
proxy.py      the hosts that it may reach, and no others
desk.py       `./check` and `./try`: the harness answers them from outside
reported.py   dollars and calls, as the tool says in its own JSON
session.py    record of a session: paid once, replayed without starting anything
"""
