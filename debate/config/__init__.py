"""The config: a YAML file (`load.py`) checked against the schema (`schema.py`), with agents and groups (`groups.py`), topology
files and shipped files. `debate/build.py` makes agents of it.
"""
