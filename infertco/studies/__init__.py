"""Questions answered with tables of scenarios: each study makes one, calls `evaluate`, and returns a table."""
