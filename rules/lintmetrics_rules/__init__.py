"""The rules that come with lintmetrics, one file each."""
