"""lintmetrics finds, rewrites and proves the metrics that PyTorch Lightning code logs."""

__version__ = "0.1.0"
