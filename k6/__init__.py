"""Open-model load suites (Grafana k6) against the gateway and nginx, side by side. `python k6/run.py`."""
