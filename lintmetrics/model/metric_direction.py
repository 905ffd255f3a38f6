"""Whether a number is better when it is higher or lower, by the words of its key."""

from __future__ import annotations

import re

_HIGHER = frozenset(
    (
        *("acc", "accuracy", "top1", "top5", "auc", "auroc", "roc", "auprc", "f1", "f1score"),
        *("fscore", "dice", "iou", "miou", "jaccard", "map", "map50", "precision", "recall"),
        *("r2", "bleu", "rouge", "psnr", "ssim", "kappa", "mcc", "specificity", "sensitivity"),
        *("ndcg", "mrr", "reward"),
    )
)
_LOWER = frozenset(
    (
        *("loss", "losses", "error", "err", "mse", "mae", "rmse", "mape", "smape", "nll"),
        *("perplexity", "ppl", "wer", "cer", "fid", "lpips", "distance", "divergence", "kl"),
    )
)
# What turns a word around, or makes it another number.
_TURNS = frozenset(
    ("neg", "negative", "minus", "inverse", "one", "gap", "drop", "diff", "delta", "std", "time")
)


def better(key: str) -> str:
    """Return ``max`` or ``min``: where the best value of a key lies; empty where that is open."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)
    words = {word for text in (key, spaced) for word in re.split(r"[^0-9a-z]+", text.lower())}
    if words & _TURNS:
        return ""
    higher, lower = bool(words & _HIGHER), bool(words & _LOWER)
    if higher == lower:
        return ""
    return "max" if higher else "min"
