"""What the domain talks about: hooks, values and where they come from, metrics, log calls."""
