"""How a run is told: text for people, data for programs, totals that close, and diffs."""
