"""Loading ESM-2: untrained, from files in fair-esm's checkpoint format, and the ways in which that can fail."""

import argparse
import urllib.error

import pytest
import torch

from tmelt.embed import backbone as loading
from tmelt.embed.backbone import load_backbone
from tmelt.embed.cache import open_cache
from tmelt.embed.released import RELEASED
from tmelt.embed.settings import parse_backbone
from tmelt.embed.shard import embed_share
from tmelt.errors import InfrastructureError, InputError
from tmelt.storage.files import sha256_file
from tmelt.storage.schema import PROTEINS, write_table
from tmelt.study.config import Backbone

TINY = Backbone(name="tiny", weights="random", seed=3)


def write_checkpoint(path, model, name="tiny", legacy=False, dtype=torch.float32):
    """A file as fair-esm's released ones: an argparse.Namespace in `cfg`, prefixed names, no contact regression."""
    layers, width, heads = loading.ARCHITECTURES[name]
    cfg = argparse.Namespace(
        encoder_layers=layers, encoder_embed_dim=width, encoder_attention_heads=heads, token_dropout=True
    )
    state = {
        ("encoder." if key.startswith("lm_head.") else "encoder.sentence_encoder.") + key: value.to(dtype)
        for key, value in model.state_dict().items()
        if not key.startswith("contact_head.")
    }
    content = {"cfg": {"model": cfg}, "model": state}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def test_random_weights_depend_on_the_seed_alone_and_leave_torch_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, again, other = load_backbone(TINY), load_backbone(TINY), load_backbone(TINY.model_copy(update={"seed": 4}))
    assert torch.equal(torch.rand(3), expected)
    assert first.untrained and first.layer == 4
    assert first.weights_sha256 == again.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("regression", [False, True])
def test_a_checkpoint_file_gives_the_same_weights_with_and_without_contact_regression(tmp_path, regression, legacy):
    original = load_backbone(TINY)
    path = write_checkpoint(tmp_path / "esm2_mine.pt", original.model, legacy=legacy)
    if regression:
        weights = {f"contact_head.regression.{name}": torch.ones(1) for name in ("weight", "bias")}
        torch.save({"model": weights}, tmp_path / "esm2_mine-contact-regression.pt")
    loaded = load_backbone(TINY.model_copy(update={"weights": str(path)}))
    assert loaded.weights_sha256 == original.weights_sha256
    assert not loaded.untrained
    tokens = torch.tensor([[0, 5, 6, 7, 2]])
    ours, theirs = (model(tokens, repr_layers=[4])["representations"][4] for model in (loaded.model, original.model))
    assert torch.equal(ours, theirs)


def test_a_contact_regression_inside_the_checkpoint_is_accepted(tmp_path):
    original = load_backbone(TINY)
    path = write_checkpoint(tmp_path / "x.pt", original.model)
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path)
    content["model"]["contact_head.regression.weight"] = torch.ones(1, 16)
    content["model"]["contact_head.regression.bias"] = torch.ones(1)
    torch.save(content, path)
    assert load_backbone(TINY.model_copy(update={"weights": str(path)})).weights_sha256 == original.weights_sha256


def test_half_precision_checkpoints_become_fp32(tmp_path):
    path = write_checkpoint(tmp_path / "x.pt", load_backbone(TINY).model, dtype=torch.float16)
    loaded = load_backbone(TINY.model_copy(update={"weights": str(path)}))
    assert loaded.model.layers[0].fc1.weight.dtype == torch.float32


def test_weights_that_overflow_float16_end_the_job_and_store_nothing(tmp_path):
    model = load_backbone(TINY).model
    model.emb_layer_norm_after.weight.data.fill_(1e6)
    weights = write_checkpoint(tmp_path / "hot.pt", model)
    row = {"protein_id": "P1", "sequence": "MKVLA", "organism": None, "split": "fit", "tm": 50.0}
    write_table(tmp_path / "proteins.parquet", [row], PROTEINS)
    hot = TINY.model_copy(update={"weights": str(weights)})
    with pytest.raises(InputError, match=r"protein P1: of 320 values of layer 4, \d+ beyond float16's range"):
        embed_share(tmp_path / "proteins.parquet", hot, tmp_path / "cache", 0, 1, 512, 1, "cpu")
    assert not open_cache(tmp_path / "cache").places


def _content(path):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path)


def _lacking(path):
    content = _content(path)
    del content["model"]["encoder.sentence_encoder.layers.0.fc1.weight"]
    torch.save(content, path)


def _of_another_shape(path):
    content = _content(path)
    content["model"]["encoder.sentence_encoder.layers.0.fc1.weight"] = torch.ones(2, 2)
    torch.save(content, path)


def _with_an_extra_tensor(path):
    content = _content(path)
    content["model"]["encoder.surprise"] = torch.ones(2)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "not a checkpoint"),
        (lambda path: path.write_text("hello, this is text"), "not a checkpoint"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "not a checkpoint"),
        (lambda path: torch.save({"model": {}}, path), "not a checkpoint"),
        (lambda path: torch.save([1, 2], path), "not a checkpoint"),
        (_lacking, "lacks layers.0.fc1.weight"),
        (_of_another_shape, "size mismatch for layers.0.fc1.weight"),
        (_with_an_extra_tensor, "has an unknown surprise"),
    ],
)
def test_a_bad_file_ends_in_one_line_that_names_it(tmp_path, damage, message):
    path = write_checkpoint(tmp_path / "x.pt", load_backbone(TINY).model)
    damage(path)
    with pytest.raises(InputError) as caught:
        load_backbone(TINY.model_copy(update={"weights": str(path)}))
    assert str(path) in str(caught.value) and message in str(caught.value)
    assert "\n" not in str(caught.value)


class _Evil:
    def __reduce__(self):
        return (print, ("code from a checkpoint ran",))


def test_a_checkpoint_cannot_run_code(tmp_path, capsys):
    torch.save({"cfg": _Evil(), "model": {}}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        load_backbone(TINY.model_copy(update={"weights": str(tmp_path / "x.pt")}))
    assert "ran" not in capsys.readouterr().out


def test_a_checkpoint_of_another_size_is_refused(tmp_path):
    path = write_checkpoint(tmp_path / "x.pt", load_backbone(TINY).model)
    with pytest.raises(InputError, match=r"4 layers of width 64 .* esm2_t6_8M_UR50D has 6, 320, 20"):
        load_backbone(Backbone(name="esm2_t6_8M_UR50D", weights=str(path)))


def test_unknown_names_and_layers_are_refused():
    with pytest.raises(InputError, match=r"^design\.backbone\.name: 'esm3' is unknown; one of tiny, esm2_t6_8M_UR50D"):
        load_backbone(Backbone(name="esm3"))
    with pytest.raises(InputError, match="layers 0 to 4"):
        load_backbone(TINY.model_copy(update={"layer": 5}))
    with pytest.raises(InputError, match="never trained"):
        load_backbone(Backbone(name="tiny", weights="download"))


def test_without_network_the_message_says_where_the_file_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "CHECKPOINT_URL", "http://127.0.0.1:9/{name}.pt")  # the discard port: refused
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(InfrastructureError) as caught:
        load_backbone(Backbone(name="esm2_t6_8M_UR50D"))
    place = tmp_path / "checkpoints" / "esm2_t6_8M_UR50D.pt"
    assert f"put it at {place}" in str(caught.value) and "\n" not in str(caught.value)
    assert not isinstance(caught.value.__cause__, urllib.error.URLError)


def test_a_download_that_fails_without_words_is_named_by_its_kind(tmp_path, monkeypatch):
    def time_out(url):
        raise TimeoutError

    monkeypatch.setattr("esm.pretrained.load_hub_workaround", time_out)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(InfrastructureError, match=r"cannot download esm2_t6_8M_UR50D \(TimeoutError\)"):
        load_backbone(Backbone(name="esm2_t6_8M_UR50D"))


def test_a_file_in_the_download_folder_is_used_if_it_is_the_released_one(tmp_path, monkeypatch):
    name = "esm2_t6_8M_UR50D"
    original = load_backbone(Backbone(name=name, weights="random"))
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint(tmp_path / "checkpoints" / f"{name}.pt", original.model, name)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(InputError, match=rf"{name}.pt: not the released {name} .*; delete it to fetch it again"):
        load_backbone(Backbone(name=name))
    _call_released(monkeypatch, tmp_path / "checkpoints" / f"{name}.pt", name)
    loaded = load_backbone(Backbone(name=name))
    assert loaded.weights_sha256 == original.weights_sha256 and loaded.released and not loaded.untrained


def _call_released(monkeypatch, path, name):
    """Take a file for the released one of this name: the real one cannot be here."""
    monkeypatch.setitem(RELEASED, sha256_file(path), name)


def test_a_download_is_served_by_fair_esms_own_loader(tmp_path, monkeypatch):
    """A real transfer from a server on the loopback, of a real checkpoint."""
    import http.server
    import threading
    from functools import partial

    name = "esm2_t6_8M_UR50D"
    original = load_backbone(Backbone(name=name, weights="random"))
    served = tmp_path / "served"
    served.mkdir()
    _call_released(monkeypatch, write_checkpoint(served / f"{name}.pt", original.model, name), name)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(loading, "CHECKPOINT_URL", f"http://127.0.0.1:{server.server_port}/{{name}}.pt")
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
        assert load_backbone(Backbone(name=name)).weights_sha256 == original.weights_sha256
        (tmp_path / "checkpoints" / f"{name}.pt").unlink()
        (served / f"{name}.pt").unlink()
        with pytest.raises(InfrastructureError, match="check if you specified a correct model name"):
            load_backbone(Backbone(name=name))
        server.shutdown()


def test_the_settings_are_checked():
    assert parse_backbone('{"name": "tiny", "weights": "random"}').name == "tiny"
    with pytest.raises(InputError, match=r"^config: design\.backbone\.nmae: Extra inputs"):
        parse_backbone('{"nmae": "tiny"}')
    with pytest.raises(InputError, match=r"^config: design\.backbone: Invalid JSON"):
        parse_backbone("{")
