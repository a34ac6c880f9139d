"""Messages of the protocol, made from `proto/` by `scripts/generate.py`."""
