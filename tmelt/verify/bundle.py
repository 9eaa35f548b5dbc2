"""Compare the bundle of a study with its own hashes, with the study, and with the recomputed evidence."""

import json
from pathlib import Path

from tmelt.bundle.archive import CARD, RESIDUALS, SCRIPT, Bundle, open_bundle
from tmelt.bundle.card import write_card
from tmelt.bundle.choose import rank_winners
from tmelt.bundle.facts import measured_facts
from tmelt.bundle.write import residuals_of
from tmelt.evidence.schema import ENDPOINTS, FLOORS, PLAN
from tmelt.evidence.winners import Confirmed
from tmelt.storage.files import sha256_text
from tmelt.storage.schema import read_table
from tmelt.verify.group import Group
from tmelt.verify.place import Place


def check_bundle(group: Group, place: Place) -> None:
    """Compare the members with their hashes, and card and script with those of the study, where there is a bundle."""
    path = _path(place)
    if not path.exists():
        group.notes.append(f"{group.named(path)}: absent, not compared")
        return
    bundle = group.passes(lambda: open_bundle(path), path, "members")
    if bundle is None:
        return
    group.equal(path, "protocol_sha256", bundle.about["protocol_sha256"], place.protocol.sha256)
    script = place.study / "confirm" / bundle.about["winner"]["candidate"] / "train.py"
    if group.present(script):
        found = sha256_text(script.read_text(encoding="utf-8"))
        group.equal(path, SCRIPT, sha256_text(bundle.text(SCRIPT)), found)
    card = place.study / "bundle" / CARD
    group.equal(path, CARD, bundle.text(CARD), write_card(bundle.about))
    if group.present(card):
        group.equal(card, "text", card.read_text(encoding="utf-8"), bundle.text(CARD))


def check_measured(group: Group, place: Place, made: Path, plan: Path) -> None:
    """Compare the bundle's choice, errors and residuals with those of the recomputed evidence.

    Args:
        made: the folder of the study made again, with tables/ and evidence/.
        plan: the recomputed plan of the confirmation.
    """
    path = _path(place)
    bundle = _readable(path) if path.exists() else None
    if bundle is None:
        return  # said by check_bundle
    confirmed = Confirmed.read(
        made / "evidence" / "confirmed_predictions.parquet", made / "evidence" / "labels.parquet"
    )
    planned = read_table(plan, PLAN)
    about = bundle.about
    passed_over = {one["candidate"] for one in about["passed_over"]}
    ranked = group.passes(lambda: rank_winners(planned, confirmed), path, "winner")
    chosen = next((one for one in ranked or [] if one.candidate not in passed_over), None)
    if chosen is None or not group.equal(
        path, "winner", about["winner"]["candidate"], chosen.candidate, "chosen by validation"
    ):
        return
    residuals = sorted(residuals_of(chosen, confirmed))
    group.equal(path, RESIDUALS, json.loads(bundle.text(RESIDUALS)), residuals)
    floors = read_table(made / "tables" / "floors.parquet", FLOORS)
    endpoints = read_table(made / "tables" / "endpoints.parquet", ENDPOINTS)
    found = json.loads(json.dumps(measured_facts(chosen, planned, confirmed, floors, endpoints, residuals)))
    for name in sorted(found.keys() | about["measured"].keys()):
        group.equal(path, f"measured.{name}", about["measured"].get(name), found.get(name))


def _path(place: Place) -> Path:
    return place.study / "bundle" / f"{place.config.study}.zip"


def _readable(path: Path) -> Bundle | None:
    group = Group("bundle", path.parent)
    return group.passes(lambda: open_bundle(path), path, "members")
