"""How a proof is told: a table in the terminal, JSON for programs, one HTML page for reviewers."""
