"""The config: schema, loading, shipped files, topology files."""
