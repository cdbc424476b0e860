"""What it costs: prices, budgets, the plan before a run and the bill after it."""
