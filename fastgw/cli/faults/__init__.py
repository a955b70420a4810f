"""Services that fail as told, for tests, demo, bench and k6: a scripted upstream and a proxy for bytes.

`python -m fastgw.cli.faults --help` starts some of them; fastgw/cli/faults/group.py is the same in process.
Nothing of the gateway is used here, so that neither can hide an error of the other.
"""
