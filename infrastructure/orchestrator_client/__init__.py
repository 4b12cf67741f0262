"""The orchestrator as RAS sees it: it knows batches that are not registered yet."""
