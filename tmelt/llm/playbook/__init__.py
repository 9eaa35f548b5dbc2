"""The offline researcher: a scripted chat model, not an LLM, that stands where an LLM would.

It gets the same messages and answers in the same form, so the whole path (prompt, reply, check, record, budget,
replay) runs without a key. It reads what the prompt says (knob table, trials, script, log of a crash, a person's words)
and proposes the next thing that a textbook would, skipping what was tried. The same messages
and the same seed of the search give the same reply.
"""

from tmelt.llm.playbook.model import Playbook

__all__ = ["Playbook"]
