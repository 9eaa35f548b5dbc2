"""Models of the library transformers: small ones of their real classes, equal to the library's own forward pass."""

import importlib.util
import json

import pytest
import torch
from needs import need
from proteins_tables import sequence

from tmelt.embed.cache import open_cache
from tmelt.embed.embedder import embedder_of, encoder_of, load
from tmelt.embed.shard import embed_share
from tmelt.errors import InputError
from tmelt.storage.files import sha256_text
from tmelt.storage.schema import PROTEINS, write_table
from tmelt.study.config import Backbone

LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO"
STRUCTURE = "pynwrqhgdlvtmfsaeikc#"
SEQUENCES = (sequence(1, 30), "MKVLX", sequence(2, 17))


@pytest.fixture(scope="module", autouse=True)
def _library():
    need(importlib.util.find_spec("transformers"), "no transformers here: make test installs requirements-test.lock")


def write_tokenizer(folder, words, **special):
    """A tokenizer of whole words, as the library reads it from a folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def prot_t5(folder, mark="▁"):
    from transformers import T5Config, T5EncoderModel

    words = ["<pad>", "</s>", "<unk>", *(f"{mark}{letter}" for letter in "ALGVSREDTIPKFQNYMHWCX")]
    write_tokenizer(folder, words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    settings = T5Config(vocab_size=len(words), d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4)
    return T5EncoderModel(settings), lambda text: [words.index(f"{mark}{letter}") for letter in text] + [1], 0


def ankh(folder):
    return prot_t5(folder, mark="")


def esm2(folder):
    from transformers import EsmConfig, EsmForMaskedLM

    words = ["<cls>", "<pad>", "<eos>", "<unk>", *LETTERS, ".", "-", "<null_1>", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))
    return EsmForMaskedLM(_esm_settings(EsmConfig, words)), lambda text: [0, *map(words.index, text), 2], 1


def saprot(folder):
    from transformers import EsmConfig, EsmForMaskedLM

    pairs = [letter + shape for letter in "ACDEFGHIKLMNPQRSTVWY#" for shape in STRUCTURE]
    words = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *pairs]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))

    def tokens(text):
        return [0, *(4 if letter == "X" else words.index(f"{letter}#") for letter in text), 2]

    return EsmForMaskedLM(_esm_settings(EsmConfig, words)), tokens, 1


def _esm_settings(kind, words):
    return kind(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        position_embedding_type="rotary", token_dropout=True, emb_layer_norm_before=False, pad_token_id=1,
        mask_token_id=words.index("<mask>"),
    )  # fmt: skip


def esmc(folder):
    from transformers import EsmcConfig, EsmcForMaskedLM, EsmcTokenizer

    tokenizer = EsmcTokenizer()
    tokenizer.save_pretrained(folder)
    settings = EsmcConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64)
    return EsmcForMaskedLM(settings), lambda text: tokenizer(text)["input_ids"], 1


KINDS = [prot_t5, ankh, esm2, saprot, esmc]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.__name__)
def model(request, tmp_path_factory):
    """A folder, the library's model, its tokens of a sequence, and how many of them stand before the residues."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network, tokens, before = request.param(folder)
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    network.eval().save_pretrained(folder)
    return folder, network, tokens, before


def embedded(backbone, sequences, most=64):
    encode = encoder_of(backbone)
    return embedder_of(load(backbone), "fp32", torch.device("cpu"), most)([encode(one, "p") for one in sequences], most)


@pytest.mark.parametrize("layer", [None, 1])
def test_it_equals_the_librarys_own_forward_pass(model, layer):
    folder, network, tokens, before = model
    backbone = Backbone(name="transformers", weights=str(folder), layer=layer)
    for one, text in zip(embedded(backbone, SEQUENCES), SEQUENCES, strict=True):
        with torch.no_grad():
            read = torch.tensor([tokens(text)])
            told = network(input_ids=read, attention_mask=torch.ones_like(read), output_hidden_states=True)
        expected = told.hidden_states[3 if layer is None else layer][0, before : before + len(text)]
        torch.testing.assert_close(one, expected, rtol=1e-5, atol=1e-6)


def test_companions_order_and_share_change_no_bit(model, tmp_path):
    backbone = Backbone(name="transformers", weights=str(model[0]))
    alone = [embedded(backbone, [text])[0] for text in SEQUENCES]
    together = embedded(backbone, SEQUENCES[::-1])[::-1]
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    rows = [
        {"protein_id": f"p{number}", "sequence": text, "organism": None, "split": "fit", "tm": 50.0}
        for number, text in enumerate(SEQUENCES)
    ]
    write_table(tmp_path / "proteins.parquet", rows, PROTEINS)
    for shard in range(2):
        embed_share(tmp_path / "proteins.parquet", backbone, tmp_path / "cache", shard, 2, 512, 1, "cpu")
    cache = open_cache(tmp_path / "cache")
    assert (cache.key.backbone, cache.key.width, cache.key.layer) == ("transformers", 32, 3)
    for text, one in zip(SEQUENCES, alone, strict=True):
        assert torch.equal(torch.from_numpy(cache.residues(sha256_text(text)).copy()), one.half())


def test_rare_residues_and_letters_that_are_none(model):
    encode = encoder_of(Backbone(name="transformers", weights=str(model[0])))
    assert len(encode("MKUZOBX", "p")) == 9
    for text, said in (("MK1", "'1' at position 3"), ("mk", "'m' at position 1"), ("", "empty sequence")):
        with pytest.raises(InputError, match=f"protein p: .*{said}|protein p: {said}"):
            encode(text, "p")


def test_what_is_no_such_model_is_named(model, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = model[0]
    copies = {}
    for name in ("lacking", "broken", "other", "wordless"):
        copies[name] = shutil.copytree(folder, tmp_path / name)
    state = load_file(folder / "model.safetensors")
    gone = next(key for key in sorted(state) if "layer" in key and key.endswith("weight"))
    save_file({key: value for key, value in state.items() if key != gone}, copies["lacking"] / "model.safetensors")
    (copies["broken"] / "model.safetensors").write_bytes(b"<html>")
    settings = json.loads((folder / "config.json").read_text())
    (copies["other"] / "config.json").write_text(json.dumps(settings | {"model_type": "bert"}))
    said = {"lacking": "lacks ", "broken": "cannot be read by transformers", "other": "model type 'bert'; expected one"}
    for name, words in said.items():
        with pytest.raises(InputError) as caught:
            load(Backbone(name="transformers", weights=str(copies[name])))
        text = str(caught.value)
        assert text.startswith(f"design.backbone.weights: {copies[name]}: ") and words in text and "\n" not in text
    with pytest.raises(InputError, match="has layers 0 to 3"):
        load(Backbone(name="transformers", weights=str(folder), layer=4))
    with pytest.raises(InputError, match=r"no folder with a config\.json"):
        encoder_of(Backbone(name="transformers", weights=str(tmp_path / "none")))


def test_a_tokenizer_of_words_is_refused(tmp_path):
    prot_t5(tmp_path)[0].save_pretrained(tmp_path)
    write_tokenizer(tmp_path, ["<unk>", "</s>", "the", "A"], eos_token="</s>", unk_token="<unk>")
    with pytest.raises(InputError, match="no tokens for amino acids"):
        encoder_of(Backbone(name="transformers", weights=str(tmp_path)))


@pytest.mark.parametrize("settings", [{}, {"weights": "random"}, {"weights": "x", "sha256": "0" * 64}])
def test_settings_that_name_no_folder_are_refused(settings):
    with pytest.raises(ValueError, match=r"name the folder of a model|a folder holds several files"):
        Backbone(name="transformers", **settings)
