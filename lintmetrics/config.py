"""What a project asks for: ``Settings`` and how they are read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """The settings in force for one project, after config file and command line.

    Args:
        select: codes, code prefixes or rule names to run; ``("ALL",)`` for all.
        ignore: codes, prefixes or names to leave out.
        exclude: git-ignore patterns of paths to leave out.
        per_file_ignores: pattern to codes, prefixes or names.
        lightning_bases: dotted names of LightningModule classes in packages outside the project.
        style: ``"auto"``, ``"torchmetrics"`` or ``"outputs"``.
        target_lightning: version the code must run on, such as ``"2.6"``; newest when empty.
        target_torchmetrics: the same for TorchMetrics.
    """

    select: tuple[str, ...] = ("ALL",)
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lightning_bases: tuple[str, ...] = ()
    style: str = "auto"
    target_lightning: str = ""
    target_torchmetrics: str = ""
