"""Where and how debates are played: batches, engines, faults, observers, Ray."""
