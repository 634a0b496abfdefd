"""The config: a YAML file (`load.py`) checked against the schema (`schema.py`), its agents and groups (`groups.py`), topology files,
shipped files. `debate/build.py` makes agents of it.
"""
