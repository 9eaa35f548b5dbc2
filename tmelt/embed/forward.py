"""ESM-2's forward pass on packed sequences: no padding inside, a fixed number of tokens, the same bits in any company.

Sequences lie one after another in one array of T tokens; only attention sees where one ends. Against fair-esm's own
forward pass (Lin et al. 2023, Science 379:1123; rotary positions: Su et al. 2021, arXiv:2104.09864) this saves the
padding, and on a CPU with AMX the matrix products run in bf16 on weights laid out for oneDNN once.

Every array has exactly T rows whatever is in them (`plan.pass_tokens`): all operations but attention work row by row,
and attention is called sequence by sequence, so neither companions nor position change a single bit.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from tmelt.embed.backbone import LoadedBackbone
from tmelt.errors import InputError
from tmelt.packed import starts_of

MASK_RATIO = 0.15 * 0.8  # share of masked tokens in ESM-2's training, which `token_dropout` makes up for
EPS = 1e-5  # of every layer norm


def choose_precision(asked: str, device: torch.device) -> str:
    """`fp32` or `bf16`: what the matrix products run in, on this machine.

    Without AMX, bf16 products on a CPU are several times slower than fp32 ones, so `auto` means fp32 there.

    Args:
        asked: auto, fp32 or bf16.
        device: where the products run.

    Raises:
        InputError: bf16 is asked for where the hardware lacks it.
    """
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu._is_amx_tile_supported() and torch.backends.mkldnn.is_available()
    if asked == "bf16" and not able:
        raise InputError(f"design.backbone.precision: bf16 is not supported by this {device.type}; write fp32 or auto")
    return "bf16" if able and asked != "fp32" else "fp32"


@dataclass(frozen=True)
class _Matrix:
    """A linear layer's weight (out, in), as oneDNN wants it or plain, and its bias (out,)."""

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class _Layer:
    """The four matrix products of a transformer block, layer norms folded in."""

    qkv: _Matrix
    attention_out: _Matrix
    up: _Matrix
    down: _Matrix


class PackedESM2:
    """The layers of an ESM-2 up to the one that represents residues, ready for packed sequences.

    Args:
        backbone: the network; its tensors are copied, not kept.
        precision: fp32 or bf16, of the matrix products. The residual stream, layer norms and rotations are fp32.
        device: cpu or cuda.
        tokens: T, rows of an ordinary forward pass.
    """

    def __init__(self, backbone: LoadedBackbone, precision: str, device: torch.device, tokens: int):
        model = backbone.model
        self.device, self.tokens, self.layer, self.precision = device, tokens, backbone.layer, precision
        self.width: int = model.embed_dim
        self.heads: int = model.attention_heads
        self.head_width = self.width // self.heads
        self._type = torch.bfloat16 if precision == "bf16" else torch.float32
        self._onednn = device.type == "cpu" and precision == "bf16"
        self._varlen = device.type == "cuda" and precision == "bf16"
        scale = 1 - MASK_RATIO if model.token_dropout else 1.0
        self._embedding = (model.embed_tokens.weight * scale).to(device)  # (vocabulary, D)
        self._padding: int = model.padding_idx
        self._layers = [self._prepared(block) for block in model.layers[: self.layer]]
        last = self.layer == model.num_layers
        norm = model.emb_layer_norm_after
        # fair-esm normalises the last representation only.
        self._last_norm = (norm.weight.to(device), norm.bias.to(device)) if last else None
        self._frequencies = model.layers[0].self_attn.rot_emb.inv_freq.clone()  # (D / heads / 2,)
        self._rotations = self._rotation_table(tokens)  # (T, 1, D / heads / 2) complex

    def _prepared(self, block: torch.nn.Module) -> _Layer:
        """A block's weights with the scale of q, the affine part of the layer norms and the order of rotations in."""
        attention = block.self_attn
        scale = self.head_width**-0.5
        qkv = torch.cat([attention.q_proj.weight * scale, attention.k_proj.weight, attention.v_proj.weight])
        qkv_bias = torch.cat([attention.q_proj.bias * scale, attention.k_proj.bias, attention.v_proj.bias])
        # fair-esm rotates feature i with feature i + half; as neighbours the two are one complex number. q and k are
        # permuted alike, and their product does not see it.
        pairs = torch.arange(self.head_width).view(2, -1).T.reshape(-1)
        head_starts = torch.arange(2 * self.heads)[:, None] * self.head_width
        rows = torch.cat([(head_starts + pairs).reshape(-1), torch.arange(2 * self.width, 3 * self.width)])
        return _Layer(
            self._matrix(qkv[rows], qkv_bias[rows], block.self_attn_layer_norm),
            self._matrix(attention.out_proj.weight, attention.out_proj.bias),
            self._matrix(block.fc1.weight, block.fc1.bias, block.final_layer_norm),
            self._matrix(block.fc2.weight, block.fc2.bias),
        )

    def _matrix(self, weight: torch.Tensor, bias: torch.Tensor, norm: torch.nn.LayerNorm | None = None) -> _Matrix:
        if norm is not None:
            weight, bias = weight * norm.weight, bias + weight @ norm.bias
        weight = weight.to(self.device, self._type).contiguous()
        if self._onednn:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight, self.tokens)
        return _Matrix(weight, bias.to(self.device, self._type, copy=True).contiguous())

    def _rotation_table(self, positions: int) -> torch.Tensor:
        """Rotations of the first `positions` positions, (positions, 1, D / heads / 2) complex; fp32 always.

        In bf16 the angles of 2,000 positions would collapse into some 600.
        """
        angles = torch.outer(torch.arange(positions).float(), self._frequencies)
        return torch.complex(angles.cos(), angles.sin()).unsqueeze(1).to(self.device)

    @torch.inference_mode()
    def __call__(self, proteins: list[torch.Tensor], rows: int) -> list[torch.Tensor]:
        """Embed proteins in one forward pass.

        Args:
            proteins: tokens of each, uint8 (L + 2,) with start and end token.
            rows: tokens of the pass with padding, as `plan.pass_tokens` says.

        Returns:
            One fp32 tensor (L, D) per protein, start and end token stripped, on this model's device.
        """
        lengths = [len(protein) for protein in proteins]
        used = sum(lengths)
        if used > rows:
            raise ValueError(f"{used} tokens do not fit a forward pass of {rows}")
        if max(lengths) > len(self._rotations):
            self._rotations = self._rotation_table(max(lengths))
        padding = torch.full((rows - used,), self._padding, dtype=torch.uint8)
        positions = torch.cat([torch.arange(length) for length in (*lengths, rows - used)]).clamp_max(max(lengths) - 1)
        rotations = self._rotations[positions.to(self.device)]  # (T, 1, D / heads / 2)
        x = self._embedding[torch.cat([*proteins, padding]).to(self.device, torch.int64)]  # (T, D)
        attended = torch.zeros(rows, self.heads, self.head_width, dtype=self._type, device=self.device)
        for layer in self._layers:
            self._block(x, layer, rotations, lengths, attended)
        if self._last_norm is not None:
            x = F.layer_norm(x, (self.width,), *self._last_norm, EPS)
        return [part[1:-1] for part in x[:used].split(lengths)]

    def _block(
        self,
        x: torch.Tensor,
        layer: _Layer,
        rotations: torch.Tensor,
        lengths: list[int],
        attended: torch.Tensor,
    ) -> None:
        """One transformer block, in place on the residual stream `x` (T, D); `attended` is scratch (T, H, D / H)."""
        hidden = self._linear(self._normed(x), layer.qkv).view(len(x), 3 * self.heads, self.head_width)
        self._rotate(hidden[:, : 2 * self.heads], rotations)
        self._attention(*hidden.chunk(3, dim=1), lengths, attended)  # q, k and v, (T, heads, D / heads) each
        x += self._linear(attended.view(len(x), self.width), layer.attention_out)
        x += self._linear(self._linear(self._normed(x), layer.up, gelu=True), layer.down)

    def _normed(self, x: torch.Tensor) -> torch.Tensor:
        """Layer norm without its affine part, which the next matrix has, (T, D)."""
        return F.layer_norm(x, (self.width,), eps=EPS).to(self._type)

    def _linear(self, x: torch.Tensor, matrix: _Matrix, gelu: bool = False) -> torch.Tensor:
        """x @ weight.T + bias, (T, in) -> (T, out), optionally through GELU."""
        if self._onednn:
            activation = ("gelu", [], "none") if gelu else ("none", [], "")
            return torch.ops.mkldnn._linear_pointwise(x, matrix.weight, matrix.bias, *activation)
        y = F.linear(x, matrix.weight, matrix.bias)
        # In place: a fresh array of this size costs the kernel more than the GELU itself.
        return torch.ops.aten.gelu_(y) if gelu else y

    def _rotate(self, qk: torch.Tensor, rotations: torch.Tensor) -> None:
        """Rotary positions as complex products in fp32, in place on (T, 2 heads, D / heads)."""
        rows = len(qk) if self.device.type == "cuda" else 128  # their fp32 copy stays in a CPU's cache
        for part, turns in zip(qk.split(rows), rotations.split(rows), strict=True):
            wide = part.float()  # itself, if it is fp32 already
            torch.view_as_complex(wide.unflatten(-1, (-1, 2))).mul_(turns)
            if wide is not part:
                part.copy_(wide)

    def _attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int], out: torch.Tensor
    ) -> None:
        """Every sequence attends to itself; q, k, v, out are (T, heads, D / heads), q is scaled already."""
        used = sum(lengths)
        if self._varlen:
            from torch.nn.attention.varlen import varlen_attn

            starts, longest = starts_of(tuple(lengths), self.device), max(lengths)
            # One split of the keys: with more, the order of summation would depend on the other sequences.
            out[:used] = varlen_attn(
                q[:used], k[:used], v[:used], starts, starts, longest, longest, scale=1.0, num_splits=1
            )
            return
        parts = (tensor[:used].transpose(0, 1).split(lengths, 1) for tensor in (q, k, v, out))
        for one_q, one_k, one_v, one_out in zip(*parts, strict=True):  # (heads, L, D / heads)
            mixed = F.scaled_dot_product_attention(one_q[None], one_k[None], one_v[None], scale=1.0)
            one_out.copy_(mixed[0])
