"""Tasks, one small file each, found by their registered names."""
