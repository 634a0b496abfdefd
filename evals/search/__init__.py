"""The search for temperatures and other settings on validation questions."""
