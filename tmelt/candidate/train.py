"""The reference candidate: a protein's label `tm`, read off its frozen ESM-2 embedding.

    residues (T, D) → linear → self-attention blocks → pooling over each protein → MLP → tm, in the target's unit

Batches are packed: T residues of all their proteins one after another; `lengths` says where each protein ends.
CONTRACT.md describes `task`, the proteins and `tmelt.packed`; tmelt/search/knobs.py the knobs.
"""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

from tmelt import packed

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU}
INITIALISERS = {
    "xavier": nn.init.xavier_uniform_,
    "kaiming": nn.init.kaiming_uniform_,
    "orthogonal": nn.init.orthogonal_,
}
PROTEINS_PER_PASS = 256  # most proteins predicted at a time


class Attention(nn.Module):
    """Multi-head self-attention within each protein."""

    def __init__(self, knobs):
        super().__init__()
        self.heads = knobs["heads"]
        self.project_in = nn.Linear(knobs["width"], 3 * knobs["width"])
        self.project_out = nn.Linear(knobs["width"], knobs["width"])

    def forward(self, h, lengths):
        qkv = self.project_in(h).unflatten(1, (3, self.heads, -1))  # (T, 3, H, d)
        return self.project_out(packed.attention(*qkv.unbind(1), lengths).flatten(1))  # (T, W)


class FeedForward(nn.Module):
    """Two linear layers with a non-linearity between them, on each residue."""

    def __init__(self, knobs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(knobs["width"], knobs["feed_forward"]),
            ACTIVATIONS[knobs["activation"]](),
            packed.Dropout(knobs["dropout"]),
            nn.Linear(knobs["feed_forward"], knobs["width"]),
        )

    def forward(self, h, lengths):
        return self.layers(h)


class Residual(nn.Module):
    """A part of a block, with its layer norm, its dropout and the way it is added to what came in."""

    def __init__(self, part, knobs):
        super().__init__()
        self.part = part
        self.norm = nn.LayerNorm(knobs["width"])
        self.dropout = packed.Dropout(knobs["dropout"])
        self.pre = knobs["norm"] == "pre"
        self.residual = knobs["residual"]
        if self.residual == "scaled":
            self.scale = nn.Parameter(torch.tensor(0.1))

    def forward(self, h, lengths):
        y = self.dropout(self.part(self.norm(h) if self.pre else h, lengths))
        if self.residual == "scaled":
            y = h + self.scale * y
        elif self.residual == "plain":
            y = h + y
        return y if self.pre else self.norm(y)


class Predictor(nn.Module):
    """From residues to one number per protein: its tm, centred and scaled."""

    def __init__(self, features, knobs, centre=0.0, scale=1.0):
        super().__init__()
        width = knobs["width"]
        self.embedding_dropout = packed.Dropout(knobs["embedding_dropout"])
        self.project = nn.Linear(features, width)
        self.blocks = nn.ModuleList(
            Residual(part(knobs), knobs) for _ in range(knobs["depth"]) for part in (Attention, FeedForward)
        )
        self.norm = nn.LayerNorm(width)
        self.pooling = knobs["pooling"]
        if self.pooling == "attention":
            self.score = nn.Linear(width, 1)
        layers = []
        for layer in range(knobs["head_depth"]):
            hidden = max(1, knobs["head_width"] // 4**layer)
            layers += [nn.Linear(width, hidden), ACTIVATIONS[knobs["activation"]](), nn.Dropout(knobs["head_dropout"])]
            width = hidden
        self.head = nn.Sequential(*layers, nn.Linear(width, 1))
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("scale", torch.tensor(scale))
        if knobs["initialisation"] != "default":
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    INITIALISERS[knobs["initialisation"]](module.weight)
                    nn.init.zeros_(module.bias)

    def forward(self, x, lengths):
        # Few shapes are faster in training; one shape makes a prediction independent of its companions.
        tokens, proteins = (128, 1) if self.training else (packed.tokens_per_pass(x.device), PROTEINS_PER_PASS)
        h = self.project(packed.pad(self.embedding_dropout(x), tokens))  # (T, W)
        for block in self.blocks:
            h = block(h, lengths)
        pooled = packed.pad(self.pool(self.norm(h), lengths), proteins)  # (n, W)
        with torch.autocast(x.device.type, enabled=False):  # three digits of bf16 are too few for a label
            return self.head(pooled).squeeze(1)[: len(lengths)]  # (n,)

    def pool(self, h, lengths):
        if self.pooling == "mean":
            return packed.segment_mean(h, lengths)
        if self.pooling == "max":
            return packed.segment_max(h, lengths)
        return packed.segment_sum(packed.segment_softmax(self.score(h), lengths) * h, lengths)


def target_scale(tm, how):
    """Centre and scale of the training labels, in their unit."""
    if how == "standard":
        return tm.mean().item(), max(tm.std().item(), 1e-3)
    if how == "robust":
        low, middle, high = tm.quantile(torch.tensor([0.25, 0.5, 0.75], device=tm.device)).tolist()
        return middle, max(high - low, 1e-3)
    return 0.0, 1.0


def loss_sum(prediction, target, knobs, scale):
    """Sum of the losses of some proteins, in scaled units."""
    if knobs["loss"] == "huber":  # its delta has the unit of labels
        return F.huber_loss(prediction * scale, target * scale, reduction="sum", delta=knobs["huber_delta"]) / scale**2
    return {"mse": F.mse_loss, "mae": F.l1_loss}[knobs["loss"]](prediction, target, reduction="sum")


def make_optimiser(model, knobs):
    """The optimiser; fused: one pass over the weights per step."""
    settings = {"lr": knobs["learning_rate"], "weight_decay": knobs["weight_decay"], "fused": True}
    if knobs["optimiser"] == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=knobs["momentum"], **settings)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[knobs["optimiser"]]
    return kind(model.parameters(), betas=(knobs["beta1"], knobs["beta2"]), **settings)


def learning_rate(step, steps, knobs):
    """Learning rate of a step: a linear warm-up, then the schedule."""
    warmup = round(knobs["warmup"] * steps)
    if step < warmup:
        return knobs["learning_rate"] * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    shape = {"constant": 1.0, "cosine": 0.5 + 0.5 * math.cos(math.pi * progress), "linear": 1.0 - progress}
    return knobs["learning_rate"] * shape[knobs["schedule"]]


def train_step(task, model, optimiser, batch, knobs):
    """One step on a batch, in micro-batches that the device handles best; returns the sum of its losses."""
    total = torch.zeros((), device=task.device)
    for part in batch.split():
        with task.autocast():
            prediction = model(part.x, part.lengths)
        target = (part.tm - model.centre) / model.scale
        loss = loss_sum(prediction, target, knobs, model.scale)
        (loss / len(batch)).backward()
        total += loss.detach()
    nn.utils.clip_grad_norm_(model.parameters(), knobs["gradient_clip"])
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return total


@torch.inference_mode()
def predict_tm(task, model, proteins):
    """Predicted tm of each protein, (n,)."""
    model.eval()
    predictions = []
    for batch in proteins.batches(PROTEINS_PER_PASS, max_tokens=packed.tokens_per_pass(task.device)):
        with task.autocast():
            predictions.append(model(batch.x, batch.lengths) * model.scale + model.centre)
    return torch.cat(predictions)


def fit(task, knobs, checkpoint):
    """Train until the stop error has not improved for `patience` epochs; keep the weights of the best epoch.

    A run with another time budget than the search's has epochs and patience in proportion.
    """
    torch.manual_seed(task.seed)
    centre, scale = target_scale(task.fit.tm, knobs["target_scaling"])
    model = Predictor(task.fit.width, knobs, centre, scale).to(task.device)
    task.log_model(parameter_count=sum(parameter.numel() for parameter in model.parameters()))
    optimiser = make_optimiser(model, knobs)
    generator = torch.Generator().manual_seed(task.seed)
    epochs = max(1, round(knobs["epochs"] * task.budget_factor))
    patience = max(1, round(knobs["patience"] * task.budget_factor))
    steps = epochs * math.ceil(len(task.fit) / knobs["batch_size"])
    reserve = 0.1 * task.seconds_left()  # for the last look at stop and for saving
    best_mae, best_epoch, best_weights = math.inf, 0, None
    step = 0
    for epoch in range(1, epochs + 1):
        model.train()
        total, seen = 0.0, 0
        for batch in task.fit.batches(knobs["batch_size"], generator, crop=knobs["crop"]):
            optimiser.param_groups[0]["lr"] = rate = learning_rate(step, steps, knobs)
            total = total + train_step(task, model, optimiser, batch, knobs)
            seen, step = seen + len(batch), step + 1
            if task.seconds_left() < reserve:
                break
        fit_loss = float(total) / seen
        stop_mae = (predict_tm(task, model, task.stop) - task.stop.tm).abs().mean().item()
        if not math.isfinite(fit_loss + stop_mae):
            raise FloatingPointError(f"epoch {epoch}: loss {fit_loss}, stop MAE {stop_mae}: training diverged")
        task.log_epoch(epoch=epoch, fit_loss=fit_loss, stop_mae=stop_mae, learning_rate=rate)
        if stop_mae < best_mae:
            best_mae, best_epoch, best_weights = stop_mae, epoch, copy.deepcopy(model.state_dict())
        if epoch - best_epoch >= patience or task.seconds_left() < reserve:
            break
    torch.save({"features": task.fit.width, "knobs": knobs, "weights": best_weights}, checkpoint / "model.pt")


def predict(task, checkpoint):
    """Predict the tm of every protein in the pool."""
    saved = torch.load(checkpoint / "model.pt", map_location=task.device, weights_only=True)
    model = Predictor(saved["features"], saved["knobs"]).to(task.device)
    model.load_state_dict(saved["weights"])
    return predict_tm(task, model, task.pool)
