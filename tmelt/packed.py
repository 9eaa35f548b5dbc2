"""Operations on packed batches: the residues of all proteins one after another, without padding, (T, …).

`lengths`, a list of residues per protein, says where each protein ends. Rows beyond `sum(lengths)`, which `pad` adds
for speed, belong to no protein: nothing here reads them. On one CPU core a packed step costs a tenth of a padded one.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def tokens_per_pass(device: torch.device) -> int:
    """Residues that a device handles best at a time: the size of micro-batches.

    On a CPU the working set of 4,096 residues still fits the cache; a GPU wants enough to keep all its cores busy.
    """
    return 65_536 if device.type == "cuda" else 4_096


def pad(x: Tensor, multiple: int) -> Tensor:
    """`x` (T, …) with rows of zeros up to the next multiple.

    Matrix products on bf16 CPUs prepare a kernel per shape, so few different T are up to three times faster; and at
    one fixed T a protein's features are the same to the last bit whichever proteins are beside it.
    """
    rest = -len(x) % multiple
    return torch.cat([x, x.new_zeros(rest, *x.shape[1:])]) if rest else x


def attention(q: Tensor, k: Tensor, v: Tensor, lengths: list[int]) -> Tensor:
    """Every residue attends to all residues of its own protein.

    Args:
        q, k, v: queries, keys and values, each (T, H, d) with H heads.
        lengths: residues per protein.

    Returns:
        softmax(q kᵀ / √d) v per protein and head, (T, H, d) in q's type; zero on padding rows. On a CPU it is computed
        in fp32 even under autocast, where its bf16 form is slower; in bf16 or fp16 on a GPU by flash attention.
    """
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16):
        return _flash_attention(q, k, v, lengths)
    sizes = _with_rest(lengths, len(q))
    with torch.autocast(q.device.type, enabled=False):
        q_float, k_float, v_float = (t.float().transpose(0, 1).unsqueeze(0) for t in (q, k, v))  # (1, H, T, d)
        # split, not slices: the backward of a slice fills a whole (T, H, d) of zeros
        proteins = zip(*(t.split(sizes, dim=2)[:-1] for t in (q_float, k_float, v_float)), strict=True)
        outputs = [_repeatable(F.scaled_dot_product_attention(*protein)) for protein in proteins]  # each (1, H, L, d)
    rest = q_float.new_zeros(1, q.shape[1], sizes[-1], q.shape[2])
    return torch.cat([*outputs, rest], dim=2).squeeze(0).transpose(0, 1).to(q.dtype)


def _flash_attention(q: Tensor, k: Tensor, v: Tensor, lengths: list[int]) -> Tensor:
    """`attention` in one kernel of CUDA; head sizes are padded to what the kernel wants, a multiple of 8."""
    from torch.nn.attention.varlen import varlen_attn  # imports much that a CPU never needs

    rows, total, size = len(q), sum(lengths), q.shape[-1]
    q, k, v = (F.pad(t[:total], (0, -size % 8)).contiguous() for t in (q, k, v))
    starts, longest = starts_of(tuple(lengths), q.device), max(lengths)
    # One split of the keys: with more, the order of summation would depend on the other proteins.
    output = varlen_attn(q, k, v, starts, starts, longest, longest, scale=size**-0.5, num_splits=1)
    return F.pad(_repeatable(output)[..., :size], (0, 0, 0, 0, 0, rows - total))


@lru_cache(maxsize=8)  # one copy to the GPU per batch, not one per layer
def starts_of(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each protein begins, and where the last one ends, int32 (n + 1,)."""
    with torch.inference_mode(False):  # what prediction leaves here, training may find
        return F.pad(torch.tensor(lengths).cumsum(0), (1, 0)).to(device, torch.int32, non_blocking=True)


def _repeatable(output: Tensor) -> Tensor:
    """Attention whose backward adds up in a fixed order on CUDA.

    There it does so if deterministic algorithms are required; where torch is only to warn of others, as in the harness,
    it would not (aten/src/ATen/native/transformers/cuda/attention_backward.cu).
    """
    if output.grad_fn is not None and torch.is_deterministic_algorithms_warn_only_enabled():
        output.grad_fn.register_prehook(lambda *_: torch.use_deterministic_algorithms(True))
        output.grad_fn.register_hook(lambda *_: torch.use_deterministic_algorithms(True, warn_only=True))
    return output


def segment_sum(x: Tensor, lengths: list[int]) -> Tensor:
    """Sum over the residues of each protein: (T, D) to float32 (n, D)."""
    return _reduce(x, lengths, "sum")


def segment_mean(x: Tensor, lengths: list[int]) -> Tensor:
    """Mean over the residues of each protein: (T, D) to float32 (n, D)."""
    return _reduce(x, lengths, "mean")


def segment_max(x: Tensor, lengths: list[int]) -> Tensor:
    """Maximum over the residues of each protein: (T, D) to float32 (n, D)."""
    return _reduce(x, lengths, "max")


def segment_softmax(scores: Tensor, lengths: list[int]) -> Tensor:
    """Softmax over the residues of each protein: (T, K) to float32 (T, K), zero on padding rows."""
    segment = _segment(lengths, scores)  # (T,)
    scores = scores.float().masked_fill((segment == len(lengths)).unsqueeze(1), -torch.inf)
    highest = F.pad(segment_max(scores.detach(), lengths), (0, 0, 0, 1))  # (n + 1, K): the last for padding rows
    weights = (scores - highest[segment]).exp()
    total = F.pad(segment_sum(weights, lengths), (0, 0, 0, 1), value=1.0)
    return weights / total[segment]


def _reduce(x: Tensor, lengths: list[int], how: str) -> Tensor:
    """One row per protein, in fp32; on both devices in an order that only the protein itself decides."""
    x = x.float()
    if x.is_cuda:  # index_add is not deterministic there
        return _reduce_in_pieces(x, lengths, how)
    sizes = _with_rest(lengths, len(x))
    if how == "max":
        return torch.stack([part.amax(0) for part in x.split(sizes)[:-1]])
    total = x.new_zeros(len(sizes), *x.shape[1:]).index_add(0, _segment(lengths, x), x)[:-1]
    return total / torch.tensor(lengths).unsqueeze(1) if how == "mean" else total


def _reduce_in_pieces(x: Tensor, lengths: list[int], how: str) -> Tensor:
    """`_reduce` for CUDA, where one thread walks through a segment: first pieces of 64 residues, then the pieces."""
    pieces = [min(64, length - start) for length in lengths for start in range(0, length, 64)]
    pieces_of_protein = [-(-length // 64) for length in lengths]
    x = x[: sum(lengths)]
    for sizes in (pieces, pieces_of_protein):
        counts = torch.tensor(sizes).to(x.device, non_blocking=True)
        x = torch.segment_reduce(x, "max" if how == "max" else "sum", lengths=counts, axis=0, unsafe=True)
    return x / torch.tensor(lengths).to(x.device, non_blocking=True).unsqueeze(1) if how == "mean" else x


def _with_rest(lengths: list[int], tokens: int) -> list[int]:
    """The lengths and, last, the number of padding rows."""
    return [*lengths, tokens - sum(lengths)]


def _segment(lengths: list[int], x: Tensor) -> Tensor:
    """Protein number of each row of `x`, (T,); padding rows count as one protein more."""
    sizes = torch.tensor(_with_rest(lengths, len(x)))
    return torch.repeat_interleave(torch.arange(len(sizes)), sizes).to(x.device, non_blocking=True)


class Dropout(nn.Module):
    """`nn.Dropout` at half its price on a CPU: it draws one random byte per feature, so `p` moves in steps of 1/256."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with features dropped and the others scaled up; `x` itself outside training."""
        dropped = round(self.p * 256)
        if not self.training or dropped == 0:
            return x
        if x.is_cuda:
            return F.dropout(x, self.p)
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8).ge_(dropped)[: x.numel()].view(x.shape)  # 0 or 1; in place it is vectorised
        return x * kept.to(x.dtype).mul_(256 / (256 - dropped))
