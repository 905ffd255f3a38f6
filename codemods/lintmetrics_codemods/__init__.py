"""The codemods that come with lintmetrics, one file each."""
