"""ESM-2 in Hugging Face's layouts, the identity of weights, and files that are no checkpoint."""

import gzip
import hashlib
import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from needs import need
from test_embed_backbone import TINY, write_checkpoint

from tmelt.embed import released
from tmelt.embed.backbone import load_backbone
from tmelt.embed.cache import open_cache
from tmelt.embed.forward import PackedESM2
from tmelt.embed.shard import embed_share
from tmelt.embed.tokens import encode
from tmelt.errors import InputError
from tmelt.storage.schema import PROTEINS, write_table
from tmelt.study.config import Backbone

SEQUENCES = ("MKVLAAGIVGLLLAQWERTYHPNDC", "ACDX", "GGGGGGGG")


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    """A small ESM-2 of transformers' own class with random weights, saved by its own `save_pretrained`."""
    need(importlib.util.find_spec("transformers"), "no transformers here: make test installs requirements-test.lock")
    from transformers import EsmConfig, EsmForMaskedLM

    config = EsmConfig(
        vocab_size=33, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=256,
        position_embedding_type="rotary", token_dropout=True, emb_layer_norm_before=False, pad_token_id=1,
        mask_token_id=32, max_position_embeddings=1026, layer_norm_eps=1e-5,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = EsmForMaskedLM(config).eval()
        for parameter in model.parameters():  # biases and layer norms too, which start as zeros and ones
            parameter.data += 0.1 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("esm2")
    model.save_pretrained(folder / "safetensors")
    model.save_pretrained(folder / "sharded", max_shard_size="200KB")
    (folder / "bin").mkdir()
    shutil.copy(folder / "safetensors" / "config.json", folder / "bin")
    torch.save(model.state_dict(), folder / "bin" / "pytorch_model.bin")
    # Older files hold the frequencies of rotary positions once per layer, and a table of positions.
    state = model.state_dict()
    turns = state.pop("esm.rotary_embeddings.inv_freq")
    state |= {f"esm.encoder.layer.{n}.attention.self.rotary_embeddings.inv_freq": turns for n in range(4)}
    state["esm.embeddings.position_ids"] = torch.arange(1026)[None]
    (folder / "older").mkdir()
    torch.save(state, folder / "older" / "pytorch_model.bin")
    torch.save({key.removeprefix("esm."): state[key] for key in state if "lm_head" not in key}, folder / "encoder.bin")
    assert len(list((folder / "sharded").glob("*.safetensors"))) > 1
    return model, folder


LAYOUTS = (
    "safetensors",
    "safetensors/model.safetensors",
    "sharded",
    "bin",
    "bin/pytorch_model.bin",
    "older/pytorch_model.bin",
    "encoder.bin",
)


@pytest.mark.parametrize("layer", [None, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_hugging_faces_layouts_give_what_transformers_computes(hugging_face, layout, layer):
    model, folder = hugging_face
    loaded = load_backbone(TINY.model_copy(update={"weights": str(folder / layout), "layer": layer}))
    assert (loaded.untrained, loaded.released) == (False, False)
    tokens = [torch.from_numpy(encode(sequence, "p")) for sequence in SEQUENCES]
    ours = PackedESM2(loaded, "fp32", torch.device("cpu"), 64)(tokens, 64)
    for one, protein in zip(ours, tokens, strict=True):
        with torch.no_grad():
            states = model.esm(protein.long()[None], output_hidden_states=True).hidden_states
        expected = states[4 if layer is None else layer][0, 1:-1]
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-5)


def test_the_same_weights_have_one_hash_in_every_layout(hugging_face, tmp_path):
    _, folder = hugging_face
    loaded = [load_backbone(TINY.model_copy(update={"weights": str(folder / layout)})) for layout in LAYOUTS]
    fair = write_checkpoint(tmp_path / "x.pt", _with_heads(loaded[0].model))
    loaded.append(load_backbone(TINY.model_copy(update={"weights": str(fair)})))
    assert len({one.weights_sha256 for one in loaded}) == 1
    tokens = torch.from_numpy(encode(SEQUENCES[0], "p")).long()[None]
    theirs = loaded[-1].model(tokens, repr_layers=[4])["representations"][4][0, 1:-1]  # fair-esm's own forward pass
    ours = PackedESM2(loaded[0], "fp32", torch.device("cpu"), 64)([tokens[0].byte()], 64)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def _with_heads(model):
    """fair-esm's model with a language-model head of its own: Hugging Face's is not read."""
    whole = load_backbone(TINY).model
    ours = {key: value for key, value in model.state_dict().items() if not key.startswith(("lm_head", "contact"))}
    whole.load_state_dict(ours, strict=False, assign=True)
    return whole


def _edited(folder, place, **changes):
    copy = place / "copy"
    shutil.copytree(folder, copy)
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(settings | changes))
    return copy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 3}, "says 3 layers of width 64, but the weights have 4 of 64"),
        ({"num_attention_heads": 8}, "says 8 heads, but its rotary positions are those of 4"),
        ({"position_embedding_type": "absolute"}, "has position_embedding_type 'absolute', and ESM-2 has 'rotary'"),
        ({"model_type": "bert"}, "has model_type 'bert', and ESM-2 has 'esm': another model"),
        ({"layer_norm_eps": 1e-12}, "has layer_norm_eps '1e-12'"),
        ({"num_attention_heads": 0}, "no whole numbers"),
        ({"hidden_size": None}, "no whole numbers"),
    ],
)
def test_a_config_of_another_model_is_refused(hugging_face, tmp_path, changes, message):
    copy = _edited(hugging_face[1] / "safetensors", tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        load_backbone(TINY.model_copy(update={"weights": str(copy)}))
    assert message in str(caught.value) and str(copy) in str(caught.value) and "\n" not in str(caught.value)


def _no_config(folder):
    (folder / "config.json").unlink()


def _no_weights(folder):
    (folder / "model.safetensors.index.json").unlink()


def _no_shard(folder):
    next(iter(sorted(folder.glob("*.safetensors")))).unlink()


def _shard_outside(folder):
    index = folder / "model.safetensors.index.json"
    names = json.loads(index.read_text())
    index.write_text(json.dumps(names | {"weight_map": dict.fromkeys(names["weight_map"], "../x.safetensors")}))


def _no_index(folder):
    (folder / "model.safetensors.index.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_config, "no config.json in this folder"),
        (_no_weights, "no weights in this folder; expected model.safetensors or pytorch_model.bin"),
        (_no_shard, "lacks model-00001"),
        (_shard_outside, "names '../x.safetensors', which is no file of its folder"),
        (_no_index, "not an index of weights"),
    ],
)
def test_an_incomplete_folder_is_named(hugging_face, tmp_path, damage, message):
    copy = tmp_path / "copy"
    shutil.copytree(hugging_face[1] / "sharded", copy)
    damage(copy)
    with pytest.raises(InputError) as caught:
        load_backbone(TINY.model_copy(update={"weights": str(copy)}))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def _without(state, key):
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: _without(state, "esm.encoder.layer.1.output.dense.bias"), "lacks layers.1.fc2.bias"),
        (lambda state: state | {"esm.lora_A.weight": torch.ones(2)}, "has an unknown esm.lora_A.weight"),
        (lambda state: {"bert.weight": torch.ones(2)}, "no word embeddings in it"),
        (lambda state: state | {"esm.rotary_embeddings.inv_freq": torch.ones(8)}, "of other frequencies than tiny"),
        (
            lambda state: state | {"esm.embeddings.word_embeddings.weight": torch.full((33, 64), float("nan"))},
            "embed_tokens.weight has values that are not finite",
        ),
        (
            lambda state: state | {"esm.embeddings.word_embeddings.weight": torch.ones(20, 64)},
            "size mismatch for embed_tokens.weight",
        ),
    ],
)
def test_tensors_that_are_not_esm2s_are_refused(hugging_face, tmp_path, change, message):
    torch.save(change(hugging_face[0].state_dict()), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError) as caught:
        load_backbone(TINY.model_copy(update={"weights": str(tmp_path / "pytorch_model.bin")}))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML or XML page"),
        (b"\n<html>", "an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "a Git LFS pointer"),
        (b'{"error": "Invalid username or password."}', "JSON text"),
        (b"Not Found\n", "a text file"),
        (gzip.compress(b"x" * 100, mtime=0), "a compressed file; unpack it first"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "TensorFlow"),
        (bytes(200), "of no format that torch or safetensors read"),
        ((20).to_bytes(8, "little") + b"{not a header      }" + bytes(10), "damaged safetensors file"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("name", ["esm2_t6_8M_UR50D.pt", "model.safetensors"])
def test_what_is_no_checkpoint_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_backbone(TINY.model_copy(update={"weights": str(tmp_path / name)}))
    text = str(caught.value)
    assert text.startswith(f"design.backbone.weights: {tmp_path / name}: ") and message in text
    assert "\n" not in text and "weights_only" not in text


def test_home_and_relative_places_are_found(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "mine.pt", load_backbone(TINY).model)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for place in ("~/mine.pt", "mine.pt", "./mine.pt"):
        assert load_backbone(TINY.model_copy(update={"weights": place})).weights_sha256


def test_the_released_file_is_known_by_its_hash_and_another_is_not(tmp_path, monkeypatch):
    place = write_checkpoint(tmp_path / "x.pt", load_backbone(TINY).model)
    mine = TINY.model_copy(update={"weights": str(place)})
    assert not load_backbone(mine).released
    monkeypatch.setitem(released.RELEASED, hashlib.sha256(place.read_bytes()).hexdigest(), "esm2_t6_8M_UR50D")
    assert not load_backbone(mine).released, "released under another name"
    monkeypatch.setitem(released.RELEASED, hashlib.sha256(place.read_bytes()).hexdigest(), "tiny")
    assert load_backbone(mine).released


def test_every_released_name_has_hashes_of_both_projects():
    from collections import Counter

    from tmelt.embed.backbone import ARCHITECTURES

    counts = Counter(released.RELEASED.values())
    assert counts.keys() == ARCHITECTURES.keys() - {"tiny"}
    assert set(counts.values()) == {2, 3} and all(len(sha256) == 64 for sha256 in released.RELEASED)
    assert not released.is_released("tiny", [])


def test_a_pinned_hash_is_compared(hugging_face, tmp_path):
    place = write_checkpoint(tmp_path / "x.pt", load_backbone(TINY).model)
    sha256 = hashlib.sha256(place.read_bytes()).hexdigest()
    pinned = TINY.model_copy(update={"weights": str(place), "sha256": sha256})
    assert load_backbone(pinned).weights_sha256 == load_backbone(TINY).weights_sha256
    with pytest.raises(InputError, match=rf"^design.backbone.sha256: {place}: its SHA-256 is {sha256}, not 0000"):
        load_backbone(pinned.model_copy(update={"sha256": "0" * 64}))
    sharded = pinned.model_copy(update={"weights": str(hugging_face[1] / "sharded")})
    with pytest.raises(InputError, match=r"its weights are in \d+ files, not"):
        load_backbone(sharded)
    with pytest.raises(ValueError, match="random weights have no file"):
        Backbone(name="tiny", weights="random", sha256="0" * 64)


def _zeroed(model):
    for parameter in model.parameters():
        parameter.data.zero_()


def _equal_tokens(model):
    model.embed_tokens.weight.data[:] = 1.0


def _equal_features(model):
    model.emb_layer_norm_after.weight.data.zero_()
    model.emb_layer_norm_after.bias.data.fill_(0.5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_zeroed, "all features of every residue are equal"),
        (_equal_tokens, "all 5 residues have one and the same embedding"),
        (_equal_features, "all features of every residue are equal"),
    ],
)
def test_embeddings_without_information_end_the_job_and_store_nothing(tmp_path, damage, message):
    model = load_backbone(TINY).model
    damage(model)
    weights = write_checkpoint(tmp_path / "empty.pt", model)
    row = {"protein_id": "P1", "sequence": "MKVLA", "organism": None, "split": "fit", "tm": 50.0}
    write_table(tmp_path / "proteins.parquet", [row], PROTEINS)
    with pytest.raises(InputError, match=rf"^protein P1: {message} in layer 4; .*check design.backbone.weights"):
        backbone = TINY.model_copy(update={"weights": str(weights)})
        embed_share(tmp_path / "proteins.parquet", backbone, tmp_path / "cache", 0, 1, 512, 1, "cpu")
    assert not open_cache(tmp_path / "cache").places


def test_a_protein_of_one_kind_of_residue_may_have_equal_rows(tmp_path):
    row = {"protein_id": "P1", "sequence": "AAAAA", "organism": None, "split": "fit", "tm": 50.0}
    write_table(tmp_path / "proteins.parquet", [row], PROTEINS)
    first_layer = TINY.model_copy(update={"layer": 0})
    embed_share(tmp_path / "proteins.parquet", first_layer, tmp_path / "cache", 0, 1, 512, 1, "cpu")
    cache = open_cache(tmp_path / "cache")
    (residues,) = (cache.residues(key) for key in cache.places)
    assert np.array_equal(residues, np.repeat(residues[:1], 5, axis=0))
