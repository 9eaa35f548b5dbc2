"""Protein language models of the library `transformers`, from a folder with weights and tokenizer.

ProtT5, Ankh, ESMC, SaProt by sequence alone, ESM-2:

    backbone: {name: transformers, weights: ./prot_t5_xl_half_uniref50-enc}

Each protein goes through the network alone and without padding, so nothing depends on its companions. That is slower
than tmelt.embed.forward, which packs ESM-2. The library comes with `pip install tmelt[transformers]`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tmelt.embed.checkpoint import first_line
from tmelt.errors import InputError
from tmelt.study.config import Backbone
from tmelt.text.safe import one_line

TRANSFORMERS = "transformers"  # the backbone's name in a config
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
RARE = "UZOB"  # read as X by models without a token for them (Elnaggar et al. 2021, arXiv:2007.06225)
NONE = -1  # stands where a model has no token before or after a sequence
# Heads that representations of residues do not need.
_UNUSED = ("pooler.", "contact_head.", "lm_head.", "classifier.")


@dataclass(frozen=True)
class Alphabet:
    """Tokens of residues, and what stands around a sequence."""

    tokens: dict[str, int]
    start: int
    end: int

    def encode(self, sequence: str, protein_id: str) -> torch.Tensor:
        """The tokens of a protein, int32 (L + 2,): one per residue, and start and end token or `NONE`.

        Raises:
            InputError: the sequence is empty or has a letter without a token.
        """
        if not sequence:
            raise InputError(f"protein {protein_id}: empty sequence; drop the protein")
        for position, letter in enumerate(sequence, 1):
            if letter not in self.tokens:
                raise InputError(
                    f"protein {protein_id}: residue {letter!r} at position {position} is unknown to this model; write "
                    "X for it or drop the protein"
                )
        return torch.tensor([self.start, *(self.tokens[letter] for letter in sequence), self.end], dtype=torch.int32)


@dataclass(frozen=True)
class LoadedTransformer:
    """A frozen model and its weights' hash."""

    name: str
    model: torch.nn.Module
    layer: int
    layers: int
    width: int
    weights_sha256: str
    untrained: bool = False
    released: bool = False


def read_alphabet(backbone: Backbone) -> Alphabet:
    """The alphabet in a folder.

    Raises:
        InputError: no folder, no tokenizer of a protein language model, or the library is missing.
    """
    folder, settings = _configured(backbone)
    from transformers import AutoTokenizer

    tokenizer = _read(folder, lambda: AutoTokenizer.from_pretrained(folder, local_files_only=True))
    vocabulary = tokenizer.get_vocab()
    # SaProt pairs each residue with one of structure, `#` where it is unknown; SentencePiece marks the begin of a word.
    spelling = next((one for one in ("{}#", "▁{}", "{}") if one.format("A") in vocabulary), None)
    known = {letter for letter in AMINO_ACIDS + "X" + RARE if spelling and spelling.format(letter) in vocabulary}
    # SaProt has no X, but its mask.
    if spelling is None or not known >= set(AMINO_ACIDS if spelling == "{}#" else AMINO_ACIDS + "X"):
        raise _fault(folder, "its tokenizer has no tokens for amino acids; is this a protein language model?")
    tokens = {letter: vocabulary[spelling.format(letter)] for letter in known}
    tokens.setdefault("X", tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.unk_token_id)
    for letter in RARE:
        tokens.setdefault(letter, tokens["X"])
    has_start = settings.model_type in ("esm", "esmc")
    end = tokenizer.eos_token_id
    return Alphabet(tokens, tokenizer.cls_token_id if has_start else NONE, NONE if end is None else end)


def load_transformer(backbone: Backbone) -> LoadedTransformer:
    """The model in a folder, in fp32 on the CPU.

    Raises:
        InputError: no folder, another kind of model, no such layer, damaged or incomplete weights, or the library is
            missing.
    """
    from tmelt.embed.backbone import weights_hash

    folder, settings = _configured(backbone)
    import transformers

    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "t5": (transformers.T5EncoderModel, {}),
        "esm": (transformers.EsmModel, {"add_pooling_layer": False}),
        "esmc": (transformers.EsmcModel, {}),
    }
    if settings.model_type not in kinds:
        raise _fault(folder, f"model type {settings.model_type!a}; expected one of {', '.join(kinds)}")
    kind, options = kinds[settings.model_type]
    model, found = _read(
        folder,
        lambda: kind.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True, **options
        ),
    )
    # What is missing was drawn at random, with a warning at most.
    missing = sorted(key for key in found["missing_keys"] if not key.startswith(_UNUSED))
    if missing:
        raise _fault(folder, f"lacks {missing[0]}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}")
    layers = settings.num_hidden_layers
    layer = layers if backbone.layer is None else backbone.layer
    if layer > layers:
        raise InputError(f"design.backbone.layer: {layer}, but {folder} has layers 0 to {layers}; null is the last")
    model = model.eval().requires_grad_(False)
    for key, value in model.state_dict().items():
        if not value.isfinite().all():
            raise _fault(folder, f"{key} has values that are not finite; fetch it again")
    return LoadedTransformer(TRANSFORMERS, model, layer, layers, settings.hidden_size, weights_hash(model))


def choose_precision(asked: str) -> str:
    """`fp32` or `bf16`: what the whole model runs in; `auto` is fp32."""
    return "bf16" if asked == "bf16" else "fp32"


class SingleTransformer:
    """The model, one protein at a time; the same interface as tmelt.embed.forward.PackedESM2.

    Args:
        loaded: the model; moved to `device` and cast.
        precision: fp32 or bf16, of everything.
        device: cpu or cuda.
        tokens: most tokens of the proteins that are handed over at once.
    """

    def __init__(self, loaded: LoadedTransformer, precision: str, device: torch.device, tokens: int):
        self.device, self.tokens, self.precision = device, tokens, precision
        self.layer, self.width = loaded.layer, loaded.width
        self._last = loaded.layer == loaded.layers
        self._model = loaded.model.to(device, torch.bfloat16 if precision == "bf16" else torch.float32)

    @torch.inference_mode()
    def __call__(self, proteins: list[torch.Tensor], rows: int) -> list[torch.Tensor]:
        """Embed proteins, one after the other.

        Args:
            proteins: tokens of each, int32 (L + 2,), see `Alphabet.encode`.
            rows: unused; there is no padding.

        Returns:
            One fp32 tensor (L, D) per protein, on this model's device.
        """
        return [self._residues(protein) for protein in proteins]

    def _residues(self, protein: torch.Tensor) -> torch.Tensor:
        read = protein[protein != NONE].to(self.device, torch.int64)[None]  # (1, L and what stands around)
        told = self._model(input_ids=read, attention_mask=torch.ones_like(read), output_hidden_states=not self._last)
        states = told.last_hidden_state if self._last else told.hidden_states[self.layer]
        first = int(protein[0] != NONE)
        return states[0, first : first + len(protein) - 2].float()


def _configured(backbone: Backbone) -> tuple[Path, Any]:
    """The folder of a model and its configuration."""
    folder = Path(backbone.weights).expanduser()
    if not (folder / "config.json").is_file():
        raise _fault(folder, "no folder with a config.json; `name: transformers` needs a model's folder in `weights`")
    try:
        from transformers import AutoConfig
    except ImportError:
        raise InputError(
            "design.backbone.name: transformers needs the library of this name; install it: pip install"
            " 'tmelt[transformers]'"
        ) from None
    return folder, _read(folder, lambda: AutoConfig.from_pretrained(folder, local_files_only=True))


def _read(folder: Path, load: Callable[[], Any]) -> Any:
    """What the library reads; its many errors as one line."""
    try:
        return load()
    except Exception as error:  # it raises ValueError, OSError, KeyError, RuntimeError, SafetensorError and others
        raise _fault(folder, f"cannot be read by transformers ({one_line(first_line(error), 200)})") from None


def _fault(folder: Path, what: str) -> InputError:
    return InputError(f"design.backbone.weights: {folder}: {what}")
