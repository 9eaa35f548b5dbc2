"""Packed operations give what padded ones give, gradients included, and nothing leaks between proteins."""

import pytest
import torch
from torch.nn import functional as F

from tmelt import packed

LENGTHS = [5, 1, 17, 8]
HEADS, SIZE = 2, 3


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def to_padded(x):
    """(T, …) to (n, L, …) and the mask (n, L)."""
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    padded = x.new_zeros(*mask.shape, *x.shape[1:])
    padded[mask] = x
    return padded, mask


def random_qkv():
    return [torch.randn(sum(LENGTHS), HEADS, SIZE, dtype=torch.float64, requires_grad=True) for _ in range(3)]


def padded_attention(q, k, v):
    (q, mask), (k, _), (v, _) = to_padded(q), to_padded(k), to_padded(v)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (n, H, L, d)
    scores = q @ k.transpose(2, 3) / SIZE**0.5
    weights = scores.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(-1)
    return (weights @ v).transpose(1, 2)[mask]


def test_attention_is_padded_attention_with_gradients():
    q, k, v = random_qkv()
    weight = torch.randn_like(q)
    output, expected = packed.attention(q, k, v, LENGTHS), padded_attention(q, k, v)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    ours = torch.autograd.grad((output * weight).sum(), (q, k, v))
    theirs = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_attention_does_not_read_padding_rows():
    q, k, v = (packed.pad(t.detach(), 64) for t in random_qkv())
    expected = packed.attention(*(t[: sum(LENGTHS)] for t in (q, k, v)), LENGTHS)
    for t in (q, k, v):
        t[sum(LENGTHS) :] = torch.nan
    output = packed.attention(q, k, v, LENGTHS)
    assert len(output) == 64
    assert torch.equal(output[: sum(LENGTHS)], expected)
    assert not output[sum(LENGTHS) :].any()


def test_attention_stays_in_fp32_under_autocast_on_a_cpu():
    q, k, v = (t.detach().float() for t in random_qkv())
    halves = [t.bfloat16() for t in (q, k, v)]
    with torch.autocast("cpu", torch.bfloat16):
        inside = packed.attention(q, k, v, LENGTHS)
        from_halves = packed.attention(*halves, LENGTHS)
    assert torch.equal(inside, packed.attention(q, k, v, LENGTHS))
    assert torch.equal(from_halves, packed.attention(*(t.float() for t in halves), LENGTHS).bfloat16())


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (packed.segment_sum, lambda x, mask: x.masked_fill(~mask[..., None], 0).sum(1)),
        (packed.segment_mean, lambda x, mask: x.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True)),
        (packed.segment_max, lambda x, mask: x.masked_fill(~mask[..., None], -torch.inf).amax(1)),
    ],
)
def test_reductions_are_padded_ones_with_gradients(ours, reference):
    x = torch.randn(sum(LENGTHS), 6, requires_grad=True)
    output, expected = ours(x, LENGTHS), reference(*to_padded(x))
    torch.testing.assert_close(output, expected)
    weight = torch.randn_like(output)
    (mine,) = torch.autograd.grad((output * weight).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(mine, theirs)
    dirty = packed.pad(x.detach(), 40)
    dirty[sum(LENGTHS) :] = torch.nan
    assert torch.equal(ours(dirty, LENGTHS), output)


def test_softmax_is_the_padded_one_with_gradients():
    scores = torch.randn(sum(LENGTHS), 2, requires_grad=True)
    padded, mask = to_padded(scores)
    expected = padded.masked_fill(~mask[..., None], -torch.inf).softmax(1)[mask]
    output = packed.segment_softmax(scores, LENGTHS)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(packed.segment_sum(output, LENGTHS), torch.ones(len(LENGTHS), 2))
    weight = torch.randn_like(output)
    (mine,) = torch.autograd.grad((output * weight).sum(), scores)
    (theirs,) = torch.autograd.grad((expected * weight).sum(), scores)
    torch.testing.assert_close(mine, theirs)
    dirty = packed.pad(scores.detach(), 40)
    dirty[sum(LENGTHS) :] = torch.nan
    dirty.requires_grad_()
    output = packed.segment_softmax(dirty, LENGTHS)
    assert len(output) == 40
    assert not output[sum(LENGTHS) :].any()
    (gradient,) = torch.autograd.grad((output[: sum(LENGTHS)] * weight).sum(), dirty)
    torch.testing.assert_close(gradient[: sum(LENGTHS)], mine)
    assert not gradient[sum(LENGTHS) :].any()


def test_softmax_of_large_scores_is_finite():
    scores = torch.tensor([[1e4], [1e4 - 1], [-1e4]])
    weights = packed.segment_softmax(scores, [2, 1])
    torch.testing.assert_close(weights.flatten(), torch.tensor([0.7310586, 0.2689414, 1.0]))


def test_reductions_of_bf16_are_computed_in_fp32():
    x = torch.full((4096, 1), 1.0, dtype=torch.bfloat16)
    assert packed.segment_sum(x, [4096]).item() == 4096  # bf16 would stop at 256
    assert packed.segment_mean(x, [4096]).dtype == torch.float32


def test_pad_adds_zeros_up_to_the_multiple():
    x = torch.randn(5, 3)
    assert packed.pad(x, 5) is x
    padded = packed.pad(x, 4)
    assert padded.shape == (8, 3)
    assert torch.equal(padded[:5], x)
    assert not padded[5:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(dtype):
    dropout = packed.Dropout(0.25)
    x = torch.ones(1001, 101, dtype=dtype, requires_grad=True)
    y = dropout(x)
    share = (y == 0).float().mean().item()
    assert abs(share - 0.25) < 0.006  # five standard errors
    torch.testing.assert_close(y[y != 0].float(), torch.full((int((y != 0).sum()),), 4 / 3), rtol=4e-3, atol=0)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert not torch.equal(dropout(x), y)
    torch.manual_seed(3)
    first = dropout(x)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)


def test_dropout_does_nothing_in_prediction_or_at_zero():
    x = torch.randn(10, 10)
    assert packed.Dropout(0.5).eval()(x) is x
    assert packed.Dropout(0.0)(x) is x


@pytest.mark.parametrize("rows", [sum(LENGTHS), 64])
def test_what_flash_attention_is_given_and_gives_back(rows, monkeypatch):
    """All but the kernel of CUDA itself, whose place a loop over the proteins takes here."""

    def kernel(q, k, v, starts, ends, longest, longest_key, *, scale, num_splits):
        assert torch.equal(starts, ends) and starts.dtype == torch.int32 and longest == longest_key == max(LENGTHS)
        assert q.shape[2] % 8 == 0 and q.is_contiguous() and num_splits == 1
        proteins = zip(*(t.split(starts.diff().tolist()) for t in (q, k, v)), strict=True)
        return torch.cat(
            [
                F.scaled_dot_product_attention(*(t.transpose(0, 1) for t in protein), scale=scale).transpose(0, 1)
                for protein in proteins
            ]
        )

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    q, k, v = (packed.pad(t, rows) for t in random_qkv())
    output, expected = packed._flash_attention(q, k, v, LENGTHS), packed.attention(q, k, v, LENGTHS)
    assert output.shape == (rows, HEADS, SIZE)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    weight = torch.randn_like(output)
    ours = torch.autograd.grad((output * weight).sum(), (q, k, v))
    theirs = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_what_prediction_leaves_in_memory_serves_training():
    lengths = (3, 4, 5)
    with torch.inference_mode():
        starts = packed.starts_of(lengths, torch.device("cpu"))
    assert packed.starts_of(lengths, torch.device("cpu")) is starts and starts.tolist() == [0, 3, 7, 12]
    assert not starts.is_inference()


class _Mode(torch.autograd.Function):
    """Notes in which mode its backward runs."""

    seen = None

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        _Mode.seen = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        return gradient


def test_the_backward_of_attention_is_strictly_deterministic():
    x = torch.ones(3, requires_grad=True)
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        packed._repeatable(_Mode.apply(x)).sum().backward()
        assert _Mode.seen == (True, False)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
def test_reductions_in_pieces_are_reductions_with_gradients(how):
    lengths = [1, 64, 65, 200]
    x = torch.randn(sum(lengths), 3, requires_grad=True)
    dirty = packed.pad(x, 500)
    dirty.data[sum(lengths) :] = torch.nan
    output, expected = packed._reduce_in_pieces(dirty, lengths, how), packed._reduce(x, lengths, how)
    torch.testing.assert_close(output, expected)
    weight = torch.rand_like(output)
    (mine,) = torch.autograd.grad((output * weight).sum(), x)
    (theirs,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run it where there is a GPU")
@pytest.mark.parametrize("size", [4, 32])
def test_flash_attention_is_attention_with_gradients(size):
    inputs = [torch.randn(sum(LENGTHS), HEADS, size, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
    ours = [t.clone().requires_grad_() for t in inputs]
    theirs = [t.float().requires_grad_() for t in inputs]
    weight = torch.randn(sum(LENGTHS), HEADS, size, device="cuda")
    output = packed.attention(*(packed.pad(t, 64) for t in ours), LENGTHS)
    assert len(output) == 64
    assert not output[sum(LENGTHS) :].any()
    expected = torch.cat(
        [
            F.scaled_dot_product_attention(*(t.transpose(0, 1) for t in part)).transpose(0, 1)
            for part in zip(*(t.split(LENGTHS) for t in theirs), strict=True)
        ]
    )
    torch.testing.assert_close(output[: sum(LENGTHS)].float(), expected, rtol=0.03, atol=0.02)
    mine = torch.autograd.grad((output[: sum(LENGTHS)] * weight).sum(), ours)
    reference = torch.autograd.grad((expected * weight).sum(), theirs)
    for ours_, theirs_ in zip(mine, reference, strict=True):
        torch.testing.assert_close(ours_.float(), theirs_, rtol=0.05, atol=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run it where there is a GPU")
@pytest.mark.parametrize("operation", ["segment_sum", "segment_mean", "segment_max", "segment_softmax"])
def test_reductions_on_a_gpu_are_those_on_a_cpu(operation):
    x = torch.randn(sum(LENGTHS), 6)
    results = []
    for device in ("cpu", "cuda"):
        leaf = x.to(device).requires_grad_()
        output = getattr(packed, operation)(packed.pad(leaf, 64), LENGTHS)
        (gradient,) = torch.autograd.grad((output * output).sum(), leaf)
        results.append((output.detach().cpu(), gradient.cpu()))
    torch.testing.assert_close(results[0], results[1])
